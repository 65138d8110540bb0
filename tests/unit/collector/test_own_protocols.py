"""The open pixel, download links and booking webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from streams.collector import bookings, downloads, pixel
from streams.collector.downloads import Asset, BadAssets, read_assets
from streams.collector.events import Accepted, BadBody, Outcome, Refused, Visit
from streams.collector.mapping import read_mapping

MAPPING = read_mapping()
NOW = 1_795_521_600_000
VISIT = Visit(NOW, "203.0.113.9", "Mozilla/5.0", None)


def only(outcomes: list[Outcome]) -> dict[str, Any]:
    (one,) = outcomes
    assert isinstance(one, Accepted), one
    return one.event


def booked(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = bookings.outcomes(body, VISIT, MAPPING, json.dumps(body).encode())
    assert all(isinstance(one, Accepted) for one in found), found
    return {one.topic: one.event for one in found if isinstance(one, Accepted)}


def test_the_pixel_is_an_open_of_that_email_by_that_lead() -> None:
    query = {"l": "u-1", "e": "mail-7", "c": "launch", "s": "1795521590"}
    event = only(pixel.outcomes(query, VISIT, b"l=u-1"))
    assert (event["lead_id"], event["email_id"], event["campaign"]) == ("u-1", "mail-7", "launch")
    assert (event["sent_at"], event["occurred_at"]) == (1_795_521_590_000, NOW)
    assert (event["ip"], event["user_agent"]) == ("203.0.113.9", "Mozilla/5.0")


def test_each_look_at_an_email_is_an_event_of_its_own() -> None:
    first, second = (only(pixel.outcomes({"l": "u", "e": "m"}, VISIT, b"")) for _ in range(2))
    assert first["event_id"] != second["event_id"]


@pytest.mark.parametrize("query", [{}, {"l": "u"}, {"e": "m"}, {"l": "", "e": "m"}])
def test_a_pixel_that_does_not_say_who_or_what_is_refused(query: dict[str, str]) -> None:
    (one,) = pixel.outcomes(query, VISIT, b"q")
    assert isinstance(one, Refused)
    assert (one.topic, one.original) == ("email-opens", b"q")


def test_the_gif_is_one() -> None:
    assert pixel.GIF.startswith(b"GIF89a\x01\x00\x01\x00")
    assert pixel.GIF.endswith(b";")


def test_a_download_is_what_the_file_of_assets_says_and_the_lead_of_link_or_cookie() -> None:
    asset = Asset("https://cdn.example/prices.pdf", "Prices", "BOTTOM")
    event = only(downloads.outcomes("prices", asset, {"l": "u"}, VISIT, b""))
    assert (event["asset_id"], event["funnel_stage"], event["title"]) == ("prices", "BOTTOM", "Prices")
    assert (event["lead_id"], event["url"]) == ("u", "https://cdn.example/prices.pdf")
    known = VISIT._replace(visitor="cookie-1")
    assert only(downloads.outcomes("prices", asset, {}, known, b""))["lead_id"] == "cookie-1"
    (one,) = downloads.outcomes("prices", asset, {}, VISIT, b"/d/prices?")
    assert isinstance(one, Refused)


def test_assets_are_read_and_odd_addresses_refused(tmp_path: Path) -> None:
    path = tmp_path / "assets.yaml"
    path.write_text("guide: {url: https://cdn.example/guide.pdf, funnel_stage: TOP}\n")
    assert read_assets(path) == {"guide": Asset("https://cdn.example/guide.pdf", None, "TOP")}
    for wrong in (
        "javascript:alert(1)",
        "//evil.example",
        "https://x.example/a b",
        '"https://x.example/\\r\\nset-cookie: a"',
    ):
        path.write_text(f"guide: {{url: {wrong}}}\n")
        with pytest.raises(BadAssets, match="is no web address"):
            read_assets(path)
    for wrong in ("- a", "guide: {url: https://x.example, stage: TOP}", "guide: {funnel_stage: TOP}", ":"):
        path.write_text(wrong)
        with pytest.raises(BadAssets):
            read_assets(path)
    with pytest.raises(BadAssets, match="no such file"):
        read_assets(tmp_path / "none")


def test_our_own_booking_is_a_booking_and_a_profile_of_its_email() -> None:
    found = booked(
        {
            "booking_id": "b-1",
            "email": "Ada@Example.com",
            "name": "Ada",
            "employees": 400,
            "scheduled_for": "2026-12-01T10:00:00Z",
            "product": "Platform",
        }
    )
    booking, profile = found["demo-bookings"], found["lead-profiles"]
    assert (booking["lead_id"], booking["status"], booking["booking_id"]) == ("email:ada@example.com", "BOOKED", "b-1")
    assert (booking["scheduled_for"], booking["product"]) == (1_796_119_200_000, "Platform")
    assert (profile["employees"], profile["name"]) == (400, "Ada")
    assert profile["event_id"] == f"{booking['event_id']}:profile"


def test_the_same_booking_sent_again_is_the_same_event() -> None:
    body = {"booking_id": "b-1", "lead_id": "u", "status": "cancelled"}
    assert booked(body) == booked(body)
    assert booked(body)["demo-bookings"]["status"] == "CANCELLED"
    assert booked(body).keys() == {"demo-bookings"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"booking_id": "b"}, "neither lead_id nor an email address"),
        ({"lead_id": "u"}, "booking_id is missing"),
        ({"lead_id": "u", "booking_id": "b", "status": "PONDERED"}, "status is none of"),
        ({"email": "nobody", "booking_id": "b"}, "neither lead_id nor an email address"),
    ],
)
def test_a_booking_that_can_not_be_used_is_refused_with_the_reason(body: dict[str, Any], reason: str) -> None:
    (one,) = bookings.outcomes(body, VISIT, MAPPING, b"original")
    assert isinstance(one, Refused)
    assert reason in one.bad.detail
    assert one.original == b"original"


def calendly(event: str, **payload: Any) -> dict[str, Any]:
    scheduled = {"start_time": "2026-12-01T10:00:00.000000Z", "name": "Demo", "uri": "https://api.calendly.example/e/1"}
    invitee = {
        "uri": "https://api.calendly.example/i/1",
        "email": "ada@example.com",
        "name": "Ada Example",
        "scheduled_event": scheduled,
        "questions_and_answers": [{"question": "Company", "answer": "Example Robotics"}],
    }
    return {"event": event, "created_at": "2026-11-24T11:59:00.000000Z", "payload": {**invitee, **payload}}


def test_calendlys_invitee_is_a_booking_with_the_answers_as_traits() -> None:
    found = booked(calendly("invitee.created"))
    booking = found["demo-bookings"]
    assert (booking["status"], booking["lead_id"], booking["product"]) == ("BOOKED", "email:ada@example.com", "Demo")
    assert (booking["scheduled_for"], booking["occurred_at"]) == (1_796_119_200_000, NOW - 60_000)
    assert found["lead-profiles"]["company"] == "Example Robotics"


def test_calendlys_cancellation_is_of_the_same_booking_and_that_of_a_rescheduled_one_is_no_news() -> None:
    cancelled = booked(calendly("invitee.canceled", rescheduled=False))["demo-bookings"]
    assert cancelled["status"] == "CANCELLED"
    assert cancelled["booking_id"] == booked(calendly("invitee.created"))["demo-bookings"]["booking_id"]
    assert booked(calendly("invitee.canceled", rescheduled=True)) == {}
    moved = booked(calendly("invitee.created", uri="https://api.calendly.example/i/2",
                            old_invitee="https://api.calendly.example/i/1"))["demo-bookings"]  # fmt: skip
    assert (moved["status"], moved["booking_id"]) == ("RESCHEDULED", cancelled["booking_id"])


def test_a_booking_that_is_rescheduled_again_and_again_is_one_booking_at_every_moment() -> None:
    def invitee(number: int) -> str:
        return f"https://api.calendly.example/i/{number}"

    news = [calendly("invitee.created", uri=invitee(1))]
    for number in (2, 3, 4):
        before = {"old_invitee": invitee(number - 2)} if number > 2 else {}
        news.append(calendly("invitee.created", uri=invitee(number), old_invitee=invitee(number - 1)))
        news.append(
            calendly(
                "invitee.canceled", uri=invitee(number - 1), rescheduled=True, new_invitee=invitee(number), **before
            )
        )
    live: set[str] = set()
    ids = []
    for one in news:
        for outcome in bookings.outcomes(one, VISIT, MAPPING, b"original"):
            assert isinstance(outcome, Accepted)
            ids.append((outcome.topic, outcome.event["event_id"]))
            if outcome.topic == "demo-bookings":
                booking_id, status = outcome.event["booking_id"], outcome.event["status"]
                live = live - {booking_id} if status == "CANCELLED" else live | {booking_id}
                assert live, "at a moment there was no booking"
        if one["event"] == "invitee.canceled":
            assert len(live) == 1, "one booking has become two"
    assert len(ids) == len(set(ids))
    last = booked(calendly("invitee.canceled", uri=invitee(4), old_invitee=invitee(3), rescheduled=False))
    assert {last["demo-bookings"]["booking_id"]} == live


def test_a_no_show_that_the_host_takes_back_is_a_booking_again_as_often_as_that_happens() -> None:
    news = [calendly("invitee.created")]
    for minute, event in enumerate(("created", "deleted", "created", "deleted")):
        news.append(calendly(f"invitee_no_show.{event}") | {"created_at": f"2026-11-24T11:{minute:02}:00.000000Z"})
    found = [booked(one)["demo-bookings"] for one in news]
    assert [one["status"] for one in found] == ["BOOKED", "NO_SHOW", "BOOKED", "NO_SHOW", "BOOKED"]
    assert len({one["booking_id"] for one in found}) == 1
    assert len({one["event_id"] for one in found}) == 5
    assert booked(news[2])["demo-bookings"]["event_id"] == found[2]["event_id"]  # sent again, it is the same event


@pytest.mark.parametrize("odd", [5, True, "text", {"a": 1}, [None], [[]]])
def test_answers_that_are_none_cost_no_booking(odd: object) -> None:
    assert booked(calendly("invitee.created", questions_and_answers=odd))["demo-bookings"]["status"] == "BOOKED"


def test_news_that_are_of_no_booking_are_nothing() -> None:
    assert booked(calendly("routing_form_submission.created")) == {}


def test_a_signature_holds_for_its_body_its_secret_and_five_minutes() -> None:
    body, secret, at = b'{"a": 1}', b"s3cret", 1_795_521_600
    made = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={at},v1={made}"
    assert bookings.signed(secret, header, body, at + 299)
    assert not bookings.signed(secret, header, body, at + 301)
    assert not bookings.signed(secret, header, body + b" ", at)
    assert not bookings.signed(b"other", header, body, at)
    for wrong in (None, "", "t=,v1=", f"t={at}", f"v1={made}", f"t=x,v1={made}", f"t={at},v1=é", "t=" + "9" * 5000):
        assert not bookings.signed(secret, wrong, body, at)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"\xff", b"[" * 99_999])
def test_a_booking_body_that_is_no_object_says_so(body: bytes) -> None:
    with pytest.raises(BadBody):
        bookings.decode(body)
