"""The compiled encoder writes what fastavro writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.topics import INPUT_TOPICS
from streams.wire.codec import Codec
from streams.wire.encoding import compile_encoder
from streams.wire.schemas import shipped
from tests.wire_records import page_view, records

CODEC = Codec()
TOPICS = [topic.name for topic in INPUT_TOPICS]


@given(st.data())
@pytest.mark.parametrize("topic", TOPICS)
def test_every_input_record_is_written_to_the_byte_as_fastavro_writes_it(topic: str, data: st.DataObject) -> None:
    record = data.draw(records(topic))
    written = CODEC.encode_whole(topic, record)
    assert written == CODEC.encode(topic, record)
    assert CODEC.decode(topic, written) == record


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_long_is_written_as_fastavro_writes_it(number: int) -> None:
    record = page_view(duration_ms=number)
    assert CODEC.encode_whole("page-views", record) == CODEC.encode("page-views", record)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8191, 8192, 100_000])
def test_texts_of_every_length_are_written_as_fastavro_writes_them(length: int) -> None:
    record = page_view(url="u" * length, title="t" * length)
    assert CODEC.encode_whole("page-views", record) == CODEC.encode("page-views", record)


@pytest.mark.parametrize(
    "wrong",
    [{"url": None}, {"url": 7}, {"occurred_at": "now"}, {"occurred_at": 2**63}, {"title": b"bytes"}, {"url": "\ud800"}],
    ids=repr,
)
def test_a_record_that_does_not_fit_is_an_error_and_no_bytes(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        CODEC.encode_whole("page-views", page_view(**wrong))


def test_an_unknown_symbol_and_a_missing_field_are_errors() -> None:
    encode = compile_encoder(shipped().of_topic("downloads").declaration)
    whole = {"event_id": "e", "lead_id": "l", "occurred_at": 1, "asset_id": "a", "title": None, "url": None}
    assert encode({**whole, "funnel_stage": "TOP"})
    for wrong in ({**whole, "funnel_stage": "SIDEWAYS"}, whole):
        with pytest.raises(KeyError):
            encode(wrong)
