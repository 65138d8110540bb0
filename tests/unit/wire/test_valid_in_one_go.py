"""Reading and checking a record in one go takes exactly what decoding and checking it one after the other does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_records import page_view, records

from streams.topics import INPUT_TOPICS
from streams.wire.codec import Codec
from streams.wire.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_ATTRIBUTES,
    MAX_ID_BYTES,
    MAX_LONG_TEXT_BYTES,
    MAX_TEXT_BYTES,
    limits_of,
)
from streams.wire.times import LATEST
from streams.wire.validation import invalid

SIZES = [
    size + more for size in (MAX_ID_BYTES, MAX_TEXT_BYTES, MAX_LONG_TEXT_BYTES, MAX_ATTRIBUTE_BYTES) for more in (0, 1)
]
SIZED = st.sampled_from(SIZES).map(lambda size: "x" * size)
TEXTS = st.one_of(st.just(""), st.text("aü\U0001f600", max_size=40), SIZED)
EDGES: dict[str, st.SearchStrategy[Any]] = {
    "id": TEXTS,
    "text": TEXTS,
    "count": st.sampled_from([-1, 0, 1, 63, 64, 8191, 8192, 2**31 - 1]),
    "time": st.one_of(
        st.sampled_from([-1, 0, 1, 2**33, 2**34 - 1, 2**34, 2**41 - 1, 2**41, LATEST, LATEST + 1]),
        st.integers(0, LATEST),
    ),
    "number": st.sampled_from(
        [0.0, -1.5, 1e18, -1e18, 1.1e18, -1.1e18, 1e308, float("inf"), float("-inf"), float("nan")]
    ),
    "attributes": st.one_of(
        st.dictionaries(TEXTS, TEXTS, max_size=2),
        st.integers(MAX_ATTRIBUTES, MAX_ATTRIBUTES + 1).map(lambda count: {str(n): "" for n in range(count)}),
    ),
}
TOPICS = [topic.name for topic in INPUT_TOPICS]


def read(codec: Codec, topic: str, raw: bytes) -> tuple[Any, Any]:
    """What both ways make of a value: the record or None."""
    plain = codec.decode(topic, raw)
    assert isinstance(plain, dict)
    key = plain[next(one.key_field for one in INPUT_TOPICS if one.name == topic)].encode()
    good = invalid(topic, plain, plain["occurred_at"], key) is None if key else False
    return codec.decode_valid(topic, raw), plain if good else None


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_it_takes_what_passes_every_check_and_nothing_else(topic: str, data: st.DataObject) -> None:
    codec = Codec()
    record = data.draw(records(topic))
    record |= {"event_id": "e", "lead_id": "l", "occurred_at": 1_790_000_000_000}
    limits = limits_of(topic)
    for name, limit in limits.items():
        record[name] = data.draw(st.one_of(st.just(record[name]), EDGES[limit.kind]))
    raw = codec.encode(topic, record)
    at_once, one_by_one = read(codec, topic, raw)
    assert repr(at_once) == repr(one_by_one)


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_something_is_taken_on_every_topic(topic: str, data: st.DataObject) -> None:
    """So that the property above can't hold for nothing."""
    codec = Codec()
    fitting = {"id": "i", "text": "t", "count": 1, "time": 5, "number": 1.0, "attributes": {}}
    record = data.draw(records(topic))
    record |= {name: fitting[limit.kind] for name, limit in limits_of(topic).items()}
    raw = codec.encode(topic, record)
    assert codec.decode_valid(topic, raw) is None, "its schema has not been met yet"
    assert codec.decode(topic, raw) == codec.decode_valid(topic, raw) == record


def test_damaged_and_empty_values_are_left_to_the_plain_way() -> None:
    codec = Codec()
    raw = codec.encode("page-views", page_view())
    assert codec.decode("page-views", raw) == codec.decode_valid("page-views", raw)
    for damaged in (b"", raw[:-1], raw + b"x", raw[:10], b"\x00\x00", b"nonsense that is longer than a head"):
        assert codec.decode_valid("page-views", damaged) is None
