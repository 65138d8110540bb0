"""What is refused of an event that could be decoded, and with which reason."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_records import page_view

from streams.topics import DAY_MS, INPUT_TOPICS, TOPICS
from streams.wire.bad import BadRecord
from streams.wire.limits import MAX_VALUE_BYTES
from streams.wire.schemas import shipped
from streams.wire.validation import MAX_AGE_MS, invalid, too_large

NOW = 1_790_000_000_000
BASE: dict[str, Any] = {"event_id": "e-1", "lead_id": "l-1", "occurred_at": NOW}
ACTIVITY = {**BASE, "kind": "engaged", "subject": None, "value": None, "attributes": {}}
LINK = {**BASE, "anonymous_id": "a-1", "revoked": False}


def profile(**fields: Any) -> dict[str, Any]:
    names = [field["name"] for field in shipped().of_topic("lead-profiles").declaration["fields"]]
    return {**dict.fromkeys(names), **BASE, "attributes": {}, **fields}


def verdict(topic: str, event: dict[str, Any], key: bytes | None = b"l-1", arrival: int = NOW) -> Any:
    return invalid(topic, event, arrival, key)


def test_a_good_event_passes() -> None:
    assert verdict("page-views", page_view(**BASE, duration_ms=0)) is None
    assert verdict("activities", {**ACTIVITY, "value": -1.5, "attributes": {"a": "b"}}) is None
    assert verdict("identity-links", LINK, b"a-1") is None


@pytest.mark.parametrize("key", [None, b""])
def test_a_record_without_a_key_is_refused_for_that(key: bytes | None) -> None:
    bad = verdict("page-views", page_view(**BASE), key)
    assert bad.error == "EMPTY_KEY"


@pytest.mark.parametrize(
    ("topic", "event", "key"),
    [
        ("page-views", page_view(**BASE), b"l-2"),
        ("page-views", page_view(**BASE), b"\xff"),
        ("identity-links", LINK, b"l-1"),
    ],
)
def test_a_key_that_is_not_the_topics_key_field_is_invalid(topic: str, event: dict[str, Any], key: bytes) -> None:
    assert verdict(topic, event, key).error == "INVALID"


@pytest.mark.parametrize(
    ("topic", "event", "detail"),
    [
        ("page-views", page_view(event_id=""), "event_id is empty"),
        ("page-views", page_view(lead_id=""), "lead_id is empty"),
        ("identity-links", {**LINK, "anonymous_id": ""}, "anonymous_id is empty"),
        ("page-views", page_view(lead_id="ü" * 501), "lead_id is longer than 1,000 bytes"),
        ("page-views", page_view(occurred_at=-1), "occurred_at is -1 ms"),
        ("page-views", page_view(occurred_at=2**62), f"occurred_at is {2**62} ms"),
        ("page-views", page_view(duration_ms=-1), "duration_ms is -1, less than nothing"),
        ("page-views", page_view(duration_ms=2**53), f"duration_ms is {2**53}; at most 9,007,199,254,740,991 is taken"),
        ("lead-profiles", profile(employees=2**31), f"employees is {2**31}; at most 2,147,483,647 is taken"),
        ("page-views", page_view(url="x" * 8001), "url is longer than 8,000 bytes"),
        ("page-views", page_view(referrer="ü" * 4001), "referrer is longer than 8,000 bytes"),
        ("page-views", page_view(user_agent="x" * 8001), "user_agent is longer than 8,000 bytes"),
        ("page-views", page_view(title="ü" * 501), "title is longer than 1,000 bytes"),
        ("lead-profiles", profile(company="x" * 1001), "company is longer than 1,000 bytes"),
        ("activities", {**ACTIVITY, "kind": "x" * 1001}, "kind is longer than 1,000 bytes"),
        ("activities", {**ACTIVITY, "value": math.nan}, "value is nan, not a number"),
        ("activities", {**ACTIVITY, "value": -math.inf}, "value is -inf, not a number"),
        ("activities", {**ACTIVITY, "value": 1.5e308}, "value is 1.5e+308; from -1e+18 to 1e+18 is taken"),
        ("lead-profiles", profile(annual_revenue=-2e18), "annual_revenue is -2e+18; from -1e+18 to 1e+18 is taken"),
        ("activities", {**ACTIVITY, "attributes": {str(n): "" for n in range(65)}}, "attributes has 65 keys"),
        (
            "activities",
            {**ACTIVITY, "attributes": {"a": "x" * 1001}},
            "attributes has 'a' with more than 1,000",
        ),
        ("activities", {**ACTIVITY, "attributes": {"ü" * 501: ""}}, "attributes has 'üü"),
    ],
)
def test_an_impossible_value_is_invalid_by_name(topic: str, event: dict[str, Any], detail: str) -> None:
    key = (event["anonymous_id"] if topic == "identity-links" else event["lead_id"]).encode() or b"some"
    bad = verdict(topic, event, key)
    assert bad.error == "INVALID"
    assert bad.detail.startswith(detail)


def test_as_much_as_is_allowed_passes() -> None:
    attributes = {f"{number:064}": "x" * 1000 for number in range(64)}
    assert verdict("activities", {**ACTIVITY, "attributes": attributes}) is None
    assert verdict("page-views", page_view(lead_id="ü" * 500), ("ü" * 500).encode()) is None
    assert verdict("page-views", page_view(url="ü" * 4000, title="ü" * 500, duration_ms=2**53 - 1)) is None
    assert verdict("lead-profiles", profile(employees=2**31 - 1)) is None


TEXTS = [
    (topic.name, field["name"])
    for topic in INPUT_TOPICS
    for field in shipped().of_topic(topic.name).declaration["fields"]
    if field["type"] in ("string", ["null", "string"])
]


@pytest.mark.parametrize(("topic", "field"), TEXTS)
def test_no_text_of_any_event_can_be_so_long_that_what_is_made_of_it_does_not_fit(topic: str, field: str) -> None:
    event = {one["name"]: None for one in shipped().of_topic(topic).declaration["fields"]}
    event |= {**BASE, TOPICS[topic].key_field: "l-1", field: "x" * 900_000}
    bad = verdict(topic, event)
    assert bad.error == "INVALID"
    assert bad.detail.startswith(f"{field} is longer than ")


def test_an_event_may_be_400_days_old_and_not_a_millisecond_more() -> None:
    assert verdict("page-views", page_view(occurred_at=NOW - MAX_AGE_MS), b"l-1") is None
    bad = verdict("page-views", page_view(occurred_at=NOW - MAX_AGE_MS - 1), b"l-1")
    assert bad == BadRecord("TOO_OLD", "occurred 400 days before it arrived; at most 400 are taken")


@given(ahead=st.integers(0, 10_000 * DAY_MS))
def test_an_event_that_occurred_after_it_arrived_is_left_to_the_core(ahead: int) -> None:
    assert verdict("page-views", page_view(occurred_at=NOW + ahead)) is None


def test_a_value_larger_than_an_event_can_be_is_refused_undecoded() -> None:
    assert too_large(None) is None
    assert too_large(bytes(MAX_VALUE_BYTES)) is None
    bad = too_large(bytes(5_000_000))
    assert bad == BadRecord("TOO_LARGE", "the value has 5,000,000 bytes; at most 1,000,000 are taken")
