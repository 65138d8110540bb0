"""JSON lines: what goes in comes out, and what can't go in is refused with the field's name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_records import TOPIC_NAMES, page_view, records

from streams.wire.codec import Codec
from streams.wire.jsonlines import BadLine, Line, parse_line, read_lines, render_line


def line(topic: str, event: Any, **extra: Any) -> bytes:
    return json.dumps({"topic": topic, "event": event, **extra}).encode()


def reason(raw: bytes) -> str:
    bad = parse_line(raw)
    assert isinstance(bad, BadLine)
    return bad.reason


VIEW = {"event_id": "e", "lead_id": "l", "occurred_at": 1_790_000_000_123, "url": "https://example.com/"}


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_record_comes_back_from_a_line_as_it_was(topic: str, data: st.DataObject) -> None:
    record = data.draw(records(topic))
    assert parse_line(render_line(topic, record)) == Line(topic, record)


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_what_a_line_holds_can_be_encoded(topic: str, data: st.DataObject) -> None:
    parsed = parse_line(render_line(topic, data.draw(records(topic))))
    assert isinstance(parsed, Line)
    assert Codec().decode(topic, Codec().encode(*parsed)) == parsed.event


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=60))
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    assert isinstance(parse_line(raw), BadLine)


@settings(deadline=None)
@given(event=st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_arbitrary_json_never_raises(event: Any) -> None:
    assert isinstance(parse_line(line("page-views", event)), BadLine)


def test_missing_nullable_fields_are_null() -> None:
    assert parse_line(line("page-views", VIEW)) == Line("page-views", page_view(**VIEW))


def test_fields_come_in_the_schemas_order() -> None:
    parsed = parse_line(line("page-views", dict(reversed(VIEW.items()))))
    assert isinstance(parsed, Line)
    assert list(parsed.event) == list(page_view())


def test_missing_enums_are_unknown_and_missing_maps_and_booleans_have_their_defaults() -> None:
    base = {"event_id": "e", "lead_id": "l", "occurred_at": 1}
    for topic, required, name, default in (
        ("downloads", {"asset_id": "a"}, "funnel_stage", "UNKNOWN"),
        ("demo-bookings", {"booking_id": "b"}, "status", "UNKNOWN"),
        ("sales-feedback", {}, "disposition", "UNKNOWN"),
        ("activities", {"kind": "engaged"}, "attributes", {}),
        ("identity-links", {"anonymous_id": "a"}, "revoked", False),
    ):
        parsed = parse_line(line(topic, {**base, **required}))
        assert isinstance(parsed, Line)
        assert parsed.event[name] == default


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-22T21:44:22.123Z", 1_795_383_862_123),
        ("2026-11-22T21:44:22Z", 1_795_383_862_000),
        ("2026-11-22T23:44:22.123+02:00", 1_795_383_862_123),
        ("2026-11-22T16:14:22.123-05:30", 1_795_383_862_123),
        ("2026-11-22T21:44:22.123999Z", 1_795_383_862_123),
        ("1969-12-31T23:59:59.999Z", -1),
        (1_795_383_862_123, 1_795_383_862_123),
    ],
)
def test_times_are_rfc_3339_with_any_offset_or_epoch_milliseconds(text: Any, at: int) -> None:
    parsed = parse_line(line("page-views", {**VIEW, "occurred_at": text}))
    assert isinstance(parsed, Line)
    assert parsed.event["occurred_at"] == at


def test_times_are_written_as_rfc_3339_with_milliseconds_in_utc() -> None:
    written = json.loads(render_line("email-opens", {"occurred_at": 1_795_383_862_000, "sent_at": None}))
    assert written["event"] == {"occurred_at": "2026-11-22T21:44:22.000Z", "sent_at": None}


def test_times_inside_nested_records_are_written_and_read_alike() -> None:
    touch = dict.fromkeys(["source", "medium", "campaign", "referrer", "url"]) | {"occurred_at": 0}
    written = json.loads(render_line("mql-events", {"first_touch": touch, "evidence": [{"occurred_at": 1}]}))
    assert written["event"]["first_touch"]["occurred_at"] == "1970-01-01T00:00:00.000Z"
    assert written["event"]["evidence"] == [{"occurred_at": "1970-01-01T00:00:00.001Z"}]


def test_a_missing_event_id_is_made_from_the_line() -> None:
    without = {name: value for name, value in VIEW.items() if name != "event_id"}
    first, again = (parse_line(line("page-views", without) + end) for end in (b"\n", b"\r\n"))
    other = parse_line(line("page-views", {**without, "url": "https://example.com/other"}))
    assert isinstance(first, Line)
    assert isinstance(other, Line)
    assert first == again
    assert len(first.event["event_id"]) == 32
    assert first.event["event_id"] != other.event["event_id"]


def test_bytes_are_base64() -> None:
    letter: dict[str, Any] = {
        "consumer": "worker",
        "topic": "page-views",
        "partition": 1,
        "offset": 2,
        "size": 3,
        "sha256": "",
        "error": "INVALID",
        "detail": "",
        "seen_at": 0,
        "key": "AP8=",
        "value": None,
    }
    parsed = parse_line(line("dead-letters", letter))
    assert isinstance(parsed, Line)
    assert (parsed.event["key"], parsed.event["value"]) == (b"\x00\xff", None)
    assert json.loads(render_line(*parsed))["event"]["key"] == "AP8="


def test_what_tail_writes_can_be_published_again() -> None:
    raw = render_line("page-views", page_view(), partition=3, offset=17, key="l-1")
    assert raw.startswith(b'{"topic":"page-views","partition":3,"offset":17,"key":"l-1","event":{"event_id"')
    assert parse_line(raw) == Line("page-views", page_view())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "the line is empty"),
        (b" \n", "the line is empty"),
        (b"{", "not JSON: "),
        (b"\xff", "not JSON: "),
        (b'{"topic": "page-views", "event": {"url": "\xff"}}', "not JSON: the text is not UTF-8"),
        (b'{"topic": "page-views", "event": {"url": "\\ud800"}}', "not JSON: "),
        (b"[]", "expected object, got array"),
        (b'{"event": {}}', "object missing required field topic"),
        (b'{"topic": "page-views"}', "object missing required field event"),
        (b'{"topic": 1, "event": {}}', "topic: expected str, got int"),
        (b'{"topic": "page-view", "event": {}}', "unknown topic 'page-view'; the topics are page-views, "),
        (b'{"topic": "page-views", "event": {}, "kye": "x"}', "object contains unknown field kye"),
        (b'{"topic": "page-views", "event": []}', "event: expected object, got array"),
    ],
)
def test_a_line_that_is_no_event_is_refused(raw: bytes, expected: str) -> None:
    assert reason(raw).startswith(expected)


@pytest.mark.parametrize(
    ("topic", "change", "expected"),
    [
        ("page-views", {"url": 3}, "event.url: expected str, got int"),
        ("page-views", {"url": None}, "event.url: expected str, got null"),
        ("page-views", {"uri": "x"}, "event: object contains unknown field uri"),
        ("page-views", {"occurred_at": "yesterday"}, "event.occurred_at: invalid RFC3339"),
        (
            "page-views",
            {"occurred_at": "2026-11-22T21:44:22"},
            "event.occurred_at: expected datetime with a timezone",
        ),
        ("page-views", {"occurred_at": 1.5}, "event.occurred_at: expected int | datetime, got float"),
        ("page-views", {"occurred_at": True}, "event.occurred_at: expected int | datetime, got bool"),
        ("page-views", {"occurred_at": None}, "event.occurred_at: expected int | datetime, got null"),
        ("page-views", {"duration_ms": 2**63}, "event.duration_ms: expected int <= "),
        ("page-views", {"duration_ms": 10**40}, "event.duration_ms: "),
        ("page-views", {"duration_ms": "3"}, "event.duration_ms: expected int | null, got str"),
        ("lead-profiles", {"employees": 2**31}, "event.employees: expected int <= "),
        (
            "lead-profiles",
            {"budget": "MAYBE"},
            "event.budget: invalid enum value 'MAYBE'; allowed are CONFIRMED, ",
        ),
        ("lead-profiles", {"attributes": {"a": 1}}, "event.attributes[...]: expected str, got int"),
        (
            "downloads",
            {"funnel_stage": "top"},
            "event.funnel_stage: invalid enum value 'top'; allowed are TOP, ",
        ),
        ("downloads", {"funnel_stage": None}, "event.funnel_stage: expected str, got null"),
    ],
)
def test_a_wrong_field_is_refused_by_name(topic: str, change: dict[str, Any], expected: str) -> None:
    required = {"page-views": {"url": "x"}, "downloads": {"asset_id": "a"}, "lead-profiles": {}}[topic]
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1, **required, **change}
    assert reason(line(topic, event)).startswith(expected)


@pytest.mark.parametrize("name", ["lead_id", "occurred_at", "url"])
def test_a_missing_required_field_is_refused_by_name(name: str) -> None:
    event = {one: value for one, value in VIEW.items() if one != name}
    assert reason(line("page-views", event)) == f"event: object missing required field {name}"


def test_a_wrong_symbol_deep_in_a_record_is_refused_with_its_place() -> None:
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1, "sequence": 1, "from_stage": "lead"}
    event |= {"to_stage": "mql", "cause": "QUALIFIED", "route": "NONE", "interest": 1, "fit": 1, "model": "m"}
    assert isinstance(parse_line(line("lifecycle-events", event)), Line)
    event["profile"] = {"budget": "MAYBE"}
    assert reason(line("lifecycle-events", event)).startswith(
        "event.profile.budget: invalid enum value 'MAYBE'; allowed are CONFIRMED, ABSENT, UNKNOWN"
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_a_file_is_read_line_by_line_gzipped_or_not(tmp_path: Path, pack: Any) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(pack(line("page-views", VIEW) + b"\nnonsense\n" + line("page-views", VIEW)))
    first, second, third = read_lines(file)
    assert first == third == Line("page-views", page_view(**VIEW))
    assert isinstance(second, BadLine)


def test_a_byte_order_mark_before_the_first_line_is_no_fault_of_the_line() -> None:
    line = b'{"topic": "erasures", "event": {"lead_id": "a", "occurred_at": 0}}'
    marked = parse_line(b"\xef\xbb\xbf" + line)
    assert isinstance(marked, Line)
    assert marked == parse_line(line)
