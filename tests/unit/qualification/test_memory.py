"""What a lead remembers beside its points: event ids, visits, touches, facts, bookings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from handmade import DAY, DEFAULT, HOUR, LEAD_ID, activity, booking, days, download, event, page_view, profile
from hypothesis import given
from hypothesis import strategies as st

from streams.qualification.events import Event, Ignored
from streams.qualification.fit import MOST_ATTRIBUTES, fit_of, update_profile
from streams.qualification.interest import REMEMBERED_BOOKINGS
from streams.qualification.lead import LONGEST_TEXT, Lead
from streams.qualification.memory import (
    REMEMBERED_EVENTS,
    event_digest,
    fact_since,
    is_duplicate,
    note_facts,
    remember_event,
    remember_visit,
    visits_within,
)
from streams.qualification.model.values import Visits
from streams.qualification.state import pack
from streams.qualification.step import step


def blank(at: int = days(0)) -> Lead:
    return Lead(LEAD_ID, at)


def test_the_last_64_event_ids_are_remembered_and_the_one_before_is_not() -> None:
    lead = blank()
    for number in range(REMEMBERED_EVENTS + 1):
        assert not is_duplicate(lead, event_digest(f"event-{number}"))
        remember_event(lead, event_digest(f"event-{number}"))
    assert all(is_duplicate(lead, event_digest(f"event-{number}")) for number in range(1, REMEMBERED_EVENTS + 1))
    assert not is_duplicate(lead, event_digest("event-0"))


def test_noise_does_not_push_out_the_ids_of_what_counts() -> None:
    once = download(days(0))
    lead, _ = step(None, once, days(0), DEFAULT)
    model = replace(DEFAULT, noise=replace(DEFAULT.noise, bots=True))
    crawler = [page_view(days(0), user_agent="Googlebot/2.1") for _ in range(REMEMBERED_EVENTS)]
    for told in (*crawler, crawler[-1]):
        lead, out = step(lead, told, days(0), model)
        assert out == [Ignored("bot")]
    after, out = step(lead, once, days(0), model)
    assert out == [Ignored("duplicate")]
    assert after == lead


def test_a_visit_is_a_utc_day_with_a_page_view() -> None:
    lead = blank()
    for at in (days(0), days(0) + 23 * HOUR, days(3), days(3)):
        remember_visit(lead, page_view(at))
    assert visits_within(lead, days(3), Visits(1, 14 * DAY)) == 2
    assert visits_within(lead, days(3), Visits(1, 2 * DAY)) == 1
    assert visits_within(lead, days(14), Visits(1, 14 * DAY)) == 2
    assert visits_within(lead, days(15), Visits(1, 14 * DAY)) == 1


@given(st.permutations(range(6)))
def test_touches_are_the_same_in_any_order_of_arrival(order: list[int]) -> None:
    said = [
        {},
        {"utm_source": "news"},
        {"referrer": "https://search.example.org/q"},
        {"referrer": "https://example.com/other"},  # navigation on the page's own host
        {"utm_campaign": "spring"},
        {},
    ]
    lead = blank()
    for number in order:
        remember_visit(lead, page_view(days(number), **said[number]))
    assert lead.first_touch is not None
    assert lead.last_touch is not None
    assert lead.first_touch.occurred_at == days(0)
    assert (lead.last_touch.campaign, lead.last_touch.occurred_at) == ("spring", days(4))


def facts(*events: Event) -> Lead:
    lead = blank()
    for told in events:
        note_facts(lead, told, DEFAULT)
    return lead


@given(
    st.permutations([booking(days(1)), booking(days(2), "CANCELLED"), booking(days(3)), booking(days(4), "ATTENDED")])
)
def test_a_fact_is_the_same_in_any_order_of_arrival(order: list[Event]) -> None:
    assert fact_since(facts(*order), "demo_booked") == days(3)


@pytest.mark.parametrize("status", ["CANCELLED", "NO_SHOW"])
def test_a_cancelled_demo_is_no_longer_booked(status: str) -> None:
    assert fact_since(facts(booking(days(1)), booking(days(2), status)), "demo_booked") is None


def test_cancelling_one_demo_does_not_undo_another() -> None:
    both = (booking(days(1)), booking(days(2), booking_id="demo-2"), booking(days(3), "CANCELLED", "demo-2"))
    assert fact_since(facts(*both), "demo_booked") == days(1)


def test_a_fact_is_remembered_with_the_last_time_it_became_true() -> None:
    assert fact_since(facts(download(days(1), "BOTTOM"), download(days(9), "BOTTOM")), "buyers_content") == days(9)
    assert fact_since(facts(download(days(1), "TOP")), "buyers_content") is None


def test_the_last_bookings_are_remembered_and_older_ones_keep_their_points() -> None:
    lead: Lead | None = None
    for number in range(REMEMBERED_BOOKINGS + 1):
        lead, _ = step(lead, booking(days(0), booking_id=f"demo-{number}"), days(0), DEFAULT)
    for number in reversed(range(REMEMBERED_BOOKINGS + 1)):
        lead, _ = step(lead, booking(days(0), "CANCELLED", f"demo-{number}"), days(0), DEFAULT)
    assert lead is not None
    assert lead.groups["intent"] == (pytest.approx(60.0), days(0))


PROFILES = [
    (days(1), {"email": "old@example.com", "employees": 10, "attributes": {"plan": "free", "tier": "1"}}),
    (days(2), {"email": "new@example.com", "employees": None, "attributes": {"plan": "paid"}}),
    (days(3), {"email": None, "budget": "UNKNOWN", "industry": "software", "attributes": {}}),
]


@given(st.permutations(PROFILES))
def test_a_profile_is_value_by_value_the_newest_in_any_order_of_arrival(
    order: list[tuple[int, dict[str, object]]],
) -> None:
    known: dict[str, object] = {}
    said: dict[str, int] = {}
    for at, fields in order:
        update_profile(known, said, profile(at, **fields).fields, at)
    assert known == {
        "email": "new@example.com",
        "employees": 10,
        "industry": "software",
        "attributes": {"plan": "paid", "tier": "1"},
    }


@given(st.permutations(range(20)))
def test_the_64_attributes_said_last_are_kept_in_any_order_of_arrival(order: list[int]) -> None:
    """Five at a time, each time other keys but one; those of one time are kept from the last name on."""
    known: dict[str, Any] = {}
    said: dict[str, int] = {}
    for number in order:
        news = {f"{number:02}-{letter}": "x" for letter in "abcde"} | {"ever": str(number)}
        update_profile(known, said, profile(days(number), attributes=news).fields, days(number))
    keys = [f"{number:02}-{letter}" for number in range(20) for letter in "abcde"]
    assert known["attributes"] == dict.fromkeys(keys[-MOST_ATTRIBUTES + 1 :], "x") | {"ever": "19"}
    assert said.keys() == {f"attributes.{key}" for key in known["attributes"]}


def test_one_profile_with_too_many_attributes_keeps_64() -> None:
    known: dict[str, Any] = {}
    news = {f"{number:03}": "x" for number in range(200)}
    assert update_profile(known, {}, profile(days(0), attributes=news).fields, days(0))
    assert known["attributes"].keys() == {f"{number:03}" for number in range(136, 200)}


def test_long_texts_do_not_make_a_lead_large() -> None:
    endless = "x" * 100_000
    lead: Lead | None = None
    for told in (
        page_view(days(0), f"https://example.com/{endless}", referrer=f"https://search.example.org/{endless}"),
        page_view(days(1), f"https://example.com/{endless}", utm_source=endless, utm_campaign=endless),
        download(days(2), title=endless),
    ):
        lead, _ = step(lead, told, told.occurred_at, DEFAULT)
    assert lead is not None
    assert len(pack(lead)) < 6_000
    assert lead.first_touch is not None
    assert lead.first_touch.url == f"https://example.com/{endless}"[:LONGEST_TEXT]
    assert [one.subject for one in lead.strongest["content"]] == [endless[:LONGEST_TEXT]]


def test_what_is_no_news_changes_nothing() -> None:
    known: dict[str, object] = {"email": "vera@example.com"}
    assert not update_profile(known, {"email": days(1)}, profile(days(2)).fields, days(2))
    assert known == {"email": "vera@example.com"}


def test_unknown_facts_give_no_fit() -> None:
    assert fit_of({}, DEFAULT) == 0.0
    assert fit_of({"employees": None, "industry": "software"}, DEFAULT) == 20.0


def test_an_event_that_no_rule_matches_does_not_end_a_silence() -> None:
    lead: Lead | None = None
    for told in (
        download(days(0)),
        activity(days(20), "chat"),
        event("email_open", days(25), email_id="mail-1"),
    ):
        lead, _ = step(lead, told, told.occurred_at, DEFAULT)
        assert lead is not None
    assert lead is not None
    assert lead.last_scored == days(25)
    lead, _ = step(lead, activity(days(26), "chat"), days(26), DEFAULT)
    assert lead is not None
    assert lead.last_scored == days(25)


def test_silence_takes_points_once_at_its_due_time() -> None:
    lead, _ = step(None, download(days(0)), days(0), DEFAULT)
    lead, _ = step(lead, activity(days(100), "chat"), days(100), DEFAULT)
    assert lead is not None
    assert lead.groups["disengagement"] == (-10.0, days(30))
