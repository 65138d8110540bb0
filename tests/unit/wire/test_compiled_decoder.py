"""The compiled decoder equals fastavro, its plain twin, on everything that was written by the rules."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_records import TOPIC_NAMES, of_schema, page_view, records

from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.compiled import compile_decoder
from streams.wire.schemas import shipped

REFUSALS = (IndexError, ValueError, struct.error)


def body_of(topic: str, record: dict[str, Any]) -> bytes:
    return Codec().encode(topic, record)[10:]


def holding(kind: str) -> dict[str, Any]:
    return {"type": "record", "name": "Holding", "fields": [{"name": "number", "type": kind}]}


def zigzag(number: int) -> bytes:
    """A number of any size, as Avro writes those of 64 bits."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    groups = [rest >> shift & 127 for shift in range(0, max(rest.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def twin(topic: str, body: bytes) -> tuple[Any, int]:
    stream = io.BytesIO(body)
    return schemaless_reader(stream, shipped().of_topic(topic).parsed, None), stream.tell()


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_it_reads_what_fastavro_reads(topic: str, data: st.DataObject) -> None:
    decode = compile_decoder(shipped().of_topic(topic).declaration)
    body = body_of(topic, data.draw(records(topic)))
    before = data.draw(st.binary(max_size=3))
    record, end = decode(before + body, len(before))
    assert (record, end - len(before)) == twin(topic, body)
    assert repr(record) == repr(twin(topic, body)[0]), "same order, same types"


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_of_damaged_bytes_it_takes_none_that_fastavro_does_not_take(topic: str, data: st.DataObject) -> None:
    decode = compile_decoder(shipped().of_topic(topic).declaration)
    body = bytearray(body_of(topic, data.draw(records(topic))))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        record, end = decode(bytes(body), 0)
    except REFUSALS:
        return
    if end == len(body):
        assert repr((record, end)) == repr(twin(topic, bytes(body)))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 8191, 8192, 100_000])
def test_texts_of_any_length_are_read_whole(length: int) -> None:
    decode = compile_decoder(shipped().of_topic("page-views").declaration)
    event = page_view(url="x" * length, title="ü" * length)
    assert decode(body_of("page-views", event), 0)[0] == event


@pytest.mark.parametrize("number", [0, 63, 64, -64, -65, 2**31, 2**62, 2**63 - 1, -(2**63)])
def test_numbers_of_any_size_are_read_exactly(number: int) -> None:
    decode = compile_decoder(shipped().of_topic("page-views").declaration)
    event = page_view(duration_ms=number)
    assert decode(body_of("page-views", event), 0)[0] == event


@pytest.mark.parametrize(("number", "kind"), [(2**31 - 1, "int"), (-(2**31), "int"), (2**31, "long")])
def test_numbers_at_the_edge_of_their_type_are_read(number: int, kind: str) -> None:
    assert compile_decoder(holding(kind))(zigzag(number), 0)[0] == {"number": number}


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (2**31, "int"),
        (-(2**31) - 1, "int"),
        (2**63 - 1, "int"),
        (2**63, "long"),
        (-(2**63) - 1, "long"),
        (2**68, "long"),
    ],
)
def test_numbers_that_their_type_cannot_hold_are_refused(number: int, kind: str) -> None:
    with pytest.raises(ValueError, match=r"more than (32|64) bits"):
        compile_decoder(holding(kind))(zigzag(number), 0)


def test_a_record_with_a_number_of_more_than_64_bits_is_undecodable() -> None:
    event = page_view(duration_ms=2**63 - 1)
    whole = Codec().encode("page-views", event)
    assert whole.count(zigzag(2**63 - 1)) == 1
    bad = Codec().decode("page-views", whole.replace(zigzag(2**63 - 1), zigzag(2**63)))
    assert bad == BadRecord("UNDECODABLE", "the bytes are not those of a PageView")


def test_a_number_without_end_is_refused_at_once() -> None:
    decode = compile_decoder(shipped().of_topic("page-views").declaration)
    with pytest.raises(ValueError, match="more than 64 bits"):
        decode(b"\xff" * 1_000_000, 0)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\x01", ValueError),  # a text of length -1
        (b"\x81\x01", ValueError),  # a text of length -65
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", IndexError),  # a text of 2**63 - 1 bytes
        (b"\x02\xff\x00\x00", ValueError),  # not UTF-8
        (b"", IndexError),
    ],
)
def test_a_text_that_cannot_be_is_refused(body: bytes, error: type[Exception]) -> None:
    decode = compile_decoder(shipped().of_topic("erasures").declaration)
    with pytest.raises(error):
        decode(body, 0)


def test_blocks_with_their_size_in_front_are_read_as_others_write_them() -> None:
    declaration = {
        "type": "record",
        "name": "Blocks",
        "fields": [
            {"name": "map", "type": {"type": "map", "values": "string"}},
            {"name": "array", "type": {"type": "array", "items": "long"}},
        ],
    }
    decode = compile_decoder(declaration)
    # A map: a block of 1 with its size (4), a plain block of 1, the end. An array: a block of 2, with size.
    body = bytes([1, 8, 2, 97, 2, 98, 2, 2, 99, 2, 100, 0]) + bytes([3, 4, 2, 4, 0])
    assert decode(body, 0) == ({"map": {"a": "b", "c": "d"}, "array": [1, 2]}, len(body))
    parsed = parse_schema(json.loads(json.dumps(declaration)))
    assert decode(body, 0)[0] == schemaless_reader(io.BytesIO(body), parsed, None)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_all_shapes_that_it_claims_to_read_nest(data: st.DataObject) -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "on", "type": "boolean"}]}
    mood = {"type": "enum", "name": "Mood", "symbols": ["GOOD", "BAD"], "default": "BAD"}
    declaration = {
        "type": "record",
        "name": "Outer",
        "fields": [
            {"name": "deep", "type": {"type": "map", "values": {"type": "map", "values": "string"}}},
            {"name": "maps", "type": {"type": "map", "values": {"type": "array", "items": inner}}},
            {"name": "again", "type": ["null", "Inner"]},
            {"name": "mood", "type": ["null", mood]},
            {"name": "moods", "type": {"type": "array", "items": "Mood"}},
            {"name": "raw", "type": ["null", "bytes"]},
            {"name": "share", "type": ["null", "double"]},
            {"name": "count", "type": "int"},
        ],
    }
    record = data.draw(of_schema(declaration))
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(json.loads(json.dumps(declaration))), record)
    assert compile_decoder(declaration)(body.getvalue(), 0) == (record, len(body.getvalue()))
