"""What a fetch brought is read as aiokafka reads it, whatever is in it."""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from record_batches import as_fetched, batch_of, control_batch, read, varint

from streams.engine.compiled import compiled
from streams.engine.merge import SourceBuffer
from streams.engine.seam import PlainRecord, size_of

NATIVE: Any = compiled("streams.engine._native")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="Python is here without its headers")
CODECS = (0, 1, 2, 3, 4)

_BYTES = st.none() | st.binary(max_size=40)
_HEADERS = st.lists(st.tuples(st.text(max_size=5), _BYTES), max_size=3)


def plainly(data: bytes, start: int, aborted: Sequence[tuple[int, int]] = ()) -> PartitionRecords:
    """aiokafka's own reading."""
    return PartitionRecords(  # type: ignore[no-untyped-call]
        TopicPartition("page-views", 0), MemoryRecords(data), list(aborted), start, None, None, True, READ_COMMITTED
    )


def the_same(data: bytes, start: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> list[ConsumerRecord]:
    """What is handed out, the same both ways, up to the same offset."""
    ours, theirs = read(data, start=start, aborted=aborted), plainly(data, start, aborted)
    found = [record for chunk in ours for record in chunk]
    assert [(*vars(one).values(),) for one in found] == [
        (*(vars(one) | {"checksum": None}).values(),)
        for one in theirs  # a record of this format has none
    ]
    assert ours.next_fetch_offset == theirs.next_fetch_offset
    return found


def record(offset: int, value: bytes | None = b"v", **more: Any) -> PlainRecord:
    return PlainRecord("page-views", 0, offset, more.pop("timestamp", 1_000 + offset), b"k%d" % offset, value, **more)


@given(st.lists(st.tuples(st.integers(0, 2**50), _BYTES, _BYTES, _HEADERS), min_size=1, max_size=8),
       st.sampled_from(CODECS), st.integers(0, 10))  # fmt: skip
def test_records_are_what_they_are_of_any_codec_from_any_offset(
    rows: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]], codec: int, start: int
) -> None:
    records = [
        PlainRecord("page-views", 0, offset, at, key, value, tuple(headers))  # type: ignore[arg-type]
        for offset, (at, key, value, headers) in enumerate(rows)
    ]
    found = the_same(batch_of(records, codec), start)
    assert [one.offset for one in found] == list(range(min(start, len(rows)), len(rows)))


@given(st.integers(0, 2**32))
def test_what_was_aborted_is_left_out_and_what_was_committed_is_not(seed: int) -> None:
    """Transactions of three producers, one within the other, and records of none."""
    dice = Random(seed)
    data, offset, aborted = batch_of([record(n) for n in range(3)]), 3, []
    began: dict[int, int] = {}
    for _ in range(dice.randrange(1, 25)):
        producer = dice.choice([-1, 7, 8, 9])
        if producer in began and dice.random() < 0.4:
            commits = dice.random() < 0.5
            if not commits:
                aborted.append((producer, began[producer]))
            data += control_batch(offset, producer, commits)
            del began[producer]
            offset += 1
        else:
            count = dice.randrange(1, 4)
            data += batch_of([record(offset + n) for n in range(count)], dice.choice(CODECS), producer, producer >= 0)
            if producer >= 0:
                began.setdefault(producer, offset)
            offset += count
    the_same(data, dice.randrange(3), aborted)  # a broker begins with the batch that was asked for


def test_a_batch_that_the_limit_of_a_fetch_cut_off_is_left_for_the_next() -> None:
    whole, cut = batch_of([record(0), record(1)]), batch_of([record(2)])
    for size in range(len(cut)):
        assert [one.offset for one in the_same(whole + cut[:size])] == [0, 1]


@given(st.integers(0, 2**32))
def test_what_is_damaged_is_refused_as_aiokafka_refuses_it(seed: int) -> None:
    dice = Random(seed)
    data = bytearray(batch_of([record(n, b"x" * 20) for n in range(5)], dice.choice(CODECS)))
    data[dice.randrange(17, len(data))] ^= 1 << dice.randrange(8)
    with pytest.raises(CorruptRecordException):
        list(plainly(bytes(data), 0))
    with pytest.raises(CorruptRecordException):
        list(read(bytes(data)))


@given(st.binary(max_size=120))
def test_no_bytes_are_read_beyond_their_end(data: bytes) -> None:
    NATIVE.batches(data)
    outcomes = [_added(data, count) for count in (0, 3)]
    assert not all(outcomes), "none and three records can't both be right"


def _added(data: bytes, count: int) -> bool:
    records = NATIVE.Records("t", 0, ConsumerRecord)
    try:
        records.add(data, count, 0, 0, 0, False, 0)
    except ValueError:
        assert len(records) == 0
        return False
    return True


def test_a_header_s_name_that_is_no_text_stops_nothing() -> None:
    payload = bytes([26, 0, 0, 0, 2, 107, 2, 118, 2, 2, 255, 2, 49])
    records = NATIVE.Records("t", 0, ConsumerRecord)
    records.add(bytes([len(payload[1:]) * 2]) + payload[1:], 1, 0, 5, 5, False, 0)
    assert records[0].headers == (("\ufffd", b"1"),)


def test_a_stretch_of_records_outlives_the_whole() -> None:
    whole = as_fetched([record(n, b"x" * n) for n in range(10)])
    part = whole[3:8][1:3]
    assert size_of(whole) == 45
    del whole
    assert [one.offset for one in part] == [4, 5]
    assert size_of(part) == 9
    assert part[-1].value == b"xxxxx"
    with pytest.raises(RuntimeError, match="parts"):
        part.add(b"", 0, 0, 0, 0, False, 0)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="stretch"):
        part[::2]
    with pytest.raises(IndexError):
        part[2]


def test_a_buffer_takes_them_from_where_it_ends() -> None:
    buffer = SourceBuffer("page-views", applied=3)
    buffer.accept(as_fetched([record(n, b"xy") for n in range(2_500)]))
    assert (buffer.records, buffer.bytes, buffer.next_offset) == (2_496, 4_992, 2_500)
    assert buffer.oldest() == (1_004, None)


@pytest.mark.parametrize("magic", [0, 1])
def test_a_record_of_an_older_format_is_handed_out_though_it_is_shorter_than_the_head_of_a_batch(magic: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, 0, 1_000)
    assert builder.append(0, 1_000, b"k", b"v") is not None
    old = bytes(builder.build())
    assert len(old) < 61
    found = read(old)
    assert [(one.key, one.value) for one in found] == [(b"k", b"v")]
    assert found.next_fetch_offset == 1


def test_a_batch_that_says_more_records_than_its_bytes_can_hold_takes_no_room_for_them() -> None:
    records = NATIVE.Records("t", 0, ConsumerRecord)
    with pytest.raises(ValueError, match="so many"):
        records.add(b"\0" * 69, 10, 0, 0, 0, False, 0)


def test_offsets_and_times_that_are_beyond_all_numbers_break_nothing() -> None:
    most = varint(2**63 - 1)
    body = b"\0" + most + most + b"\1\1\0"
    records = NATIVE.Records("t", 0, ConsumerRecord)
    records.add(varint(len(body)) + body, 1, 2**63 - 1, 2**63 - 1, 0, False, -(2**63))
    assert (records[0].offset, records[0].timestamp) == (-2, -2)
    head = struct.pack(">qii", 2**63 - 1, 49, 0) + b"\2"
    checked = struct.pack(">hiqqqhii", 0, 2**31 - 1, 0, 0, -1, -1, -1, 0)
    assert NATIVE.batches(head + struct.pack(">I", calc_crc32c(checked)) + checked)[0][1] == -(2**63) + 2**31 - 1


def test_records_that_were_not_made_as_they_should_be_are_empty() -> None:
    bare = NATIVE.Records.__new__(NATIVE.Records)
    assert (len(bare), bare.bytes) == (0, 0)
    with pytest.raises(RuntimeError):
        bare[0:0]
    with pytest.raises(RuntimeError):
        bare.add(b"", 0, 0, 0, 0, False, 0)


@dataclass
class Timed:
    """An item that points into its fetch, as a view does."""

    piece: Sequence[Any]
    time: int | None = None


def test_what_a_fetch_brought_is_let_go_with_the_last_of_its_records() -> None:
    """It may be megabytes, of a topic in which nothing more happens."""
    payload = batch_of([record(n, b"x" * 100) for n in range(1_500)])[61:]
    unused = sys.getrefcount(payload)
    records = NATIVE.Records("page-views", 0, ConsumerRecord)
    records.add(payload, 1_500, 0, 1_000, 0, False, 0)
    buffer = SourceBuffer("page-views", applied=-1)
    buffer.accept(records)
    del records
    for count in (1_000, 400, 100):
        assert sys.getrefcount(payload) > unused
        buffer.refill(lambda piece: [(piece[n], Timed(piece)) for n in range(len(piece))])
        assert len(buffer.take(count)) == count
    assert not buffer.refill(lambda piece: [])
    assert sys.getrefcount(payload) == unused


def test_a_fault_of_our_own_is_not_hidden_by_reading_it_the_other_way() -> None:
    class Broken:
        def batches(self, data: bytes) -> None:
            raise RuntimeError("a defect")

    ours = read(batch_of([record(0)]))
    ours.native = Broken()  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="a defect"):
        list(ours)


def test_what_its_codec_did_not_make_is_left_to_aiokafka() -> None:
    """A broker checks it, as a rule: with a checksum that is right it is no worse than in aiokafka's hands."""
    whole = batch_of([record(n, b"x" * 50) for n in range(5)], 3)
    body = bytearray(whole[21:])
    body[40:] = bytes(len(body) - 40)
    damaged = whole[:17] + struct.pack(">I", calc_crc32c(bytes(body))) + bytes(body)
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        list(plainly(damaged, 0))
    with pytest.raises(type(theirs.value)):
        list(read(damaged))
