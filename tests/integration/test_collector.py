"""The collector on a real broker: what comes in is on the topics, and 2xx means that it is there."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from streams.local.broker import EmbeddedBroker
from streams.partitioning import partition_of
from tests.integration.collector_bed import (
    KEY,
    RunningCollector,
    events_of,
    running_collector,
    snowplow,
    spoken,
    track,
)
from tests.kafka_topics import read_all

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SECRET = "a signing secret"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture(scope="module")
def collector(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    folder = tmp_path_factory.mktemp("collector")
    (folder / "assets.yaml").write_text("guide: {url: 'https://cdn.example/guide.pdf?v=1', funnel_stage: BOTTOM}\n")
    (folder / "secret").write_text(SECRET + "\n")
    given = ["--assets", str(folder / "assets.yaml"), "--booking-secret-file", str(folder / "secret")]
    with running_collector(address, folder, *given) as running_one:
        yield running_one


def letters_of(address: str, original: bytes) -> list[dict[str, Any]]:
    return [letter for letter in events_of(address, "dead-letters") if letter["value"] == original]


def test_each_record_is_on_the_partition_of_its_key_as_the_java_client_has_it(
    collector: RunningCollector, address: str
) -> None:
    leads = [f"partitioned-{number}" for number in range(20)]
    batch = [{**track(lead, f"m-{lead}"), "anonymousId": f"visitor-{lead}"} for lead in leads]
    assert collector.post("/v1/batch", {"batch": batch}).status_code == 200
    found = read_all(address, "activities", "identity-links")
    placed = [(m, r) for messages in found.values() for m, r in messages if r and r["lead_id"] in leads]
    assert len(placed) == 40
    for message, record in placed:
        assert record is not None
        assert message.key().decode() == record.get("anonymous_id", record["lead_id"])
        assert message.partition() == partition_of(message.key(), 12)


@pytest.mark.parametrize(
    "path", ["/v1/track", "/v1/t", "/t", "/v1/batch", "/v1/b", "/b", "/v1/import", "/beacon/v1/batch"]
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_segments_paths_take_plain_and_gzipped_bodies_with_the_key_in_either_place(
    collector: RunningCollector, address: str, path: str, zipped: bool
) -> None:
    lead = f"paths{path}{zipped}".replace("/", "-")
    message = track(lead, "m")
    body = json.dumps(
        {"batch": [message], "writeKey": KEY}
        if path.endswith(("b", "batch", "import"))
        else {**message, "writeKey": KEY}
    )
    raw = body.encode()
    headers = {"content-type": "text/plain", **({"content-encoding": "gzip"} if zipped else {})}
    answer = collector.post(path, gzip.compress(raw) if zipped else raw, key=None, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [event["event_id"] for event in events_of(address, "activities", lead)] == ["m"]


def test_a_batch_keeps_its_good_events_and_its_bad_ones_become_dead_letters(
    collector: RunningCollector, address: str
) -> None:
    bad = b'{"type":"track","userId":"half-bad"}'
    good = json.dumps(track("half-good", "m")).encode()
    answer = collector.post("/v1/batch", b'{"batch":[' + good + b"," + bad + b"]}")
    assert answer.status_code == 200
    assert len(events_of(address, "activities", "half-good")) == 1
    (letter,) = letters_of(address, bad)
    assert (letter["consumer"], letter["topic"], letter["error"]) == ("collector", "segment", "INVALID")
    assert (letter["detail"], letter["lead_id"]) == ("track: no event name", "half-bad")
    assert (letter["partition"], letter["offset"]) == (-1, -1)


def test_a_bad_event_alone_is_refused_with_the_reason_and_kept(collector: RunningCollector, address: str) -> None:
    body = b'{"userId":"alone-and-bad"}'
    answer = collector.post("/v1/track", body)
    assert (answer.status_code, answer.json()["message"]) == (400, "track: no event name")
    assert len(letters_of(address, body)) == 1


def test_a_body_that_is_nothing_is_kept_when_its_sender_has_a_key_and_only_then(
    collector: RunningCollector, address: str
) -> None:
    assert collector.post("/v1/batch", b"{ known").status_code == 400
    assert collector.post("/v1/batch", b"{ unknown", key="not-a-key").status_code == 400
    assert len(letters_of(address, b"{ known")) == 1
    assert letters_of(address, b"{ unknown") == []


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x"])
def test_without_a_key_nothing_is_taken(collector: RunningCollector, address: str, key: str | None) -> None:
    for path, body in (("/v1/track", track("stranger", "m")), ("/v1/batch", {"batch": [track("stranger", "m")]})):
        assert collector.post(path, body, key=key).status_code == 401
    assert events_of(address, "activities", "stranger") == []


def test_snowplows_application_id_is_the_key(collector: RunningCollector, address: str) -> None:
    view = {"e": "pv", "url": "https://x.example/", "uid": "plower", "eid": "e-1"}
    path = "/com.snowplowanalytics.snowplow/tp2"
    assert collector.post(path, snowplow({**view, "aid": "other"}), key=None).status_code == 401
    answer = collector.post(path, snowplow({**view, "aid": KEY}, {**view, "aid": "other", "eid": "e-2"}), key=None)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert [event["event_id"] for event in events_of(address, "page-views", "plower")] == ["e-1"]
    pixel = collector.get("/i", params={**view, "aid": KEY, "eid": "e-3"})
    assert (pixel.status_code, pixel.headers["content-type"], pixel.content[:6]) == (200, "image/gif", b"GIF89a")
    assert len(events_of(address, "page-views", "plower")) == 2


def test_a_nameless_visitor_gets_a_cookie_and_is_known_by_it_the_next_time(
    collector: RunningCollector, address: str
) -> None:
    view = {"e": "pv", "url": "https://x.example/", "aid": KEY}
    browser = {"user-agent": "Mozilla/5.0"}
    cookie = collector.get("/i", params=view, headers=browser).headers["set-cookie"]
    assert {"Secure", "HttpOnly", "SameSite=None"} <= set(cookie.split("; "))
    visitor = cookie.partition("=")[2].partition(";")[0]
    again = collector.get("/i", params=view, headers={**browser, "cookie": f"leadstream_visitor={visitor}"})
    assert "set-cookie" not in again.headers
    assert len(events_of(address, "page-views", visitor)) == 2


@pytest.mark.parametrize(
    "headers",
    [{"dnt": "1"}, {"sec-gpc": "1"}, {"cookie": "leadstream_optout=1"}],
    ids=["do not track", "global privacy control", "opted out"],
)
def test_who_does_not_want_to_be_tracked_is_not(
    collector: RunningCollector, address: str, headers: dict[str, str]
) -> None:
    lead = "left-alone"
    body = snowplow({"e": "pv", "url": "https://x.example/", "uid": lead, "aid": KEY})
    answers = [
        collector.post("/v1/track", track(lead, "m"), headers=headers),
        collector.post("/v1/batch", {"batch": [track(lead, "m")]}, headers=headers),
        collector.post("/com.snowplowanalytics.snowplow/tp2", body, key=None, headers=headers),
        collector.get("/i", params={"e": "pv", "url": "https://x.example/", "aid": KEY}, headers=headers),
        collector.get("/o.gif", params={"l": lead, "e": "m"}, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert all("set-cookie" not in answer.headers for answer in answers)
    redirect = collector.get("/d/guide", params={"l": lead}, headers=headers)
    assert (redirect.status_code, redirect.headers["location"]) == (302, "https://cdn.example/guide.pdf?v=1")
    for topic in ("activities", "page-views", "email-opens", "downloads"):
        assert events_of(address, topic, lead) == []


def test_snowplows_anonymous_tracking_leaves_no_address_and_no_cookie(
    collector: RunningCollector, address: str
) -> None:
    headers = {"sp-anonymous": "*", "user-agent": "Mozilla/5.0"}
    view = {"e": "pv", "url": "https://x.example/", "aid": KEY}
    path = "/com.snowplowanalytics.snowplow/tp2"
    nameless = collector.post(path, snowplow(view), key=None, headers=headers)
    assert (nameless.status_code, "set-cookie" in nameless.headers) == (200, False)
    assert collector.post(path, snowplow({**view, "uid": "anonymously"}), key=None, headers=headers).status_code == 200
    (event,) = events_of(address, "page-views", "anonymously")
    assert event["ip"] is None


def test_opting_out_sets_a_cookie_and_opting_in_takes_it_back(collector: RunningCollector) -> None:
    out = collector.get("/opt-out").headers["set-cookie"]
    assert "leadstream_optout=1" in out
    assert "HttpOnly" in out
    assert "leadstream_optout=; Max-Age=0" in collector.get("/opt-in").headers["set-cookie"]


def test_the_pixel_and_the_download_link_count(collector: RunningCollector, address: str) -> None:
    pixel = collector.get(
        "/o.gif", params={"l": "reader", "e": "mail-1", "c": "launch"}, headers={"user-agent": "Mozilla/5.0 (mail)"}
    )
    assert (pixel.status_code, pixel.headers["cache-control"]) == (200, "no-store, max-age=0")
    (opened,) = events_of(address, "email-opens", "reader")
    assert (opened["email_id"], opened["campaign"], opened["user_agent"]) == ("mail-1", "launch", "Mozilla/5.0 (mail)")
    assert opened["ip"] == "127.0.0.1"
    assert collector.get("/d/guide", params={"l": "reader"}).status_code == 302
    (download,) = events_of(address, "downloads", "reader")
    assert (download["asset_id"], download["funnel_stage"]) == ("guide", "BOTTOM")


@pytest.mark.parametrize(
    "name", ["none", "https://evil.example", "//evil.example", "..%2fguide", "guide/", "guide%00", ""]
)
def test_a_download_link_leads_nowhere_that_the_file_does_not_name(collector: RunningCollector, name: str) -> None:
    answer = collector.get(f"/d/{name}", params={"l": "x", "url": "https://evil.example", "next": "//evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_signed_booking_is_taken_and_an_unsigned_one_is_not(collector: RunningCollector, address: str) -> None:
    body = json.dumps({"booking_id": "b-1", "email": "booker@example.com", "employees": 500}).encode()
    at = int(time.time())
    made = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    for header in ("Calendly-Webhook-Signature", "Webhook-Signature"):
        answer = collector.post("/v1/demo-bookings", body, key=None, headers={header: f"t={at},v1={made}"})
        assert answer.status_code == 200
    assert collector.post("/v1/demo-bookings", body, key=None).status_code == 401
    old = f"t={at - 4000},v1={made}"
    assert collector.post("/v1/demo-bookings", body, key=None, headers={"Webhook-Signature": old}).status_code == 401
    bookings = events_of(address, "demo-bookings", "email:booker@example.com")
    assert len({booking["event_id"] for booking in bookings}) == 1  # sent twice, one event
    assert events_of(address, "lead-profiles", "email:booker@example.com")[0]["employees"] == 500


def test_a_browser_may_send_from_any_page_with_its_cookies(collector: RunningCollector) -> None:
    headers = {"origin": "https://site.example"}
    before = requests.options(collector.url + "/v1/batch", headers=headers, timeout=10)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == "https://site.example"
    assert before.headers["access-control-allow-credentials"] == "true"
    named = set(before.headers["access-control-allow-headers"].split(", "))
    # As their sources have it: analytics-next's, RudderStack's and Snowplow's.
    assert named >= {"authorization", "content-type", "x-retry-count"}
    assert named >= {"anonymousid", "sentat", "rsa-recovered", "rsa-retry-attempt", "rsa-retry-reason"}
    assert named >= {"rsa-since-last-attempt", "rsa-since-first-attempt", "sp-anonymous"}
    for answer in (
        collector.post("/v1/track", track("cors", "m"), headers=headers),
        collector.get("/nothing", headers=headers),
    ):
        assert answer.headers["access-control-allow-origin"] == "https://site.example"
    odd = collector.post("/v1/track", track("cors", "m"), headers={"origin": "https://a.example<script>"})
    assert "access-control-allow-origin" not in odd.headers


def test_the_tracker_is_a_small_script_that_may_be_kept(collector: RunningCollector) -> None:
    script = collector.get("/tracker.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len(script.content) < 3_000
    assert "max-age" in script.headers["cache-control"]


def test_a_person_who_opted_out_is_left_alone_also_where_a_proxy_has_split_the_cookies(
    collector: RunningCollector, address: str
) -> None:
    start = "GET /o.gif?l=split&e=m HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: a=b\r\n"
    for more in ("Cookie: leadstream_optout=1\r\n", ""):
        assert b" 200 OK" in spoken(collector, start + more + "\r\n")
        assert len(events_of(address, "email-opens", "split")) == (0 if more else 1)


def test_addresses_are_truncated_when_that_is_configured(address: str, tmp_path: Path) -> None:
    given = ["--truncate-addresses", "--trusted-proxies", "127.0.0.0/8"]
    with running_collector(address, tmp_path, *given) as collector:
        page = {"userId": "short-address", "properties": {"url": "https://x.example/"}}
        told = {**page, "messageId": "told", "context": {"ip": "2001:db8:1:2::9"}}
        headers = {"user-agent": "Mozilla/5.0", "x-forwarded-for": "9.9.9.9, 203.0.113.77"}
        assert collector.post("/v1/page", {**page, "messageId": "seen"}, headers=headers).status_code == 200
        assert collector.post("/v1/page", told).status_code == 200
    found = {event["event_id"]: event["ip"] for event in events_of(address, "page-views", "short-address")}
    assert found == {"seen": "203.0.113.0", "told": "2001:db8:1::"}
