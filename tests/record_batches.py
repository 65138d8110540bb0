"""Records as a broker sends them: in batches."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import ConsumerRecord, TopicPartition

from streams.engine.compiled import compiled
from streams.engine.fetched import FetchedBatches, FetchedRecords
from streams.engine.merge import Decoded
from streams.engine.seam import PlainRecord, Record


def batch_of(records: Sequence[Any], codec: int = 0, producer: int = -1, transactional: bool = False) -> bytes:
    """One batch of records with an offset, a timestamp, a key, a value and headers each."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=transactional,
        producer_id=producer,
        producer_epoch=0 if producer >= 0 else -1,
        base_sequence=-1,
        batch_size=2**30,
    )
    for number, one in enumerate(records):
        assert builder.append(number, one.timestamp, one.key, one.value, list(one.headers)) is not None
    return struct.pack(">q", records[0].offset) + bytes(builder.build())[8:]  # where the log put it


def control_batch(offset: int, producer: int, commits: bool) -> bytes:
    """The marker at the end of a transaction."""
    key, value = struct.pack(">hh", 0, int(commits)), struct.pack(">hi", 0, 0)
    record = PlainRecord("page-views", 0, 0, 0, key, value)
    attributes = 0x10 | 0x20  # of a transaction; a marker
    body = struct.pack(">hiqqqhii", attributes, 0, 0, 0, producer, 0, -1, 1) + _framed(record)
    checked = struct.pack(">bI", 2, calc_crc32c(body)) + body
    return struct.pack(">qii", offset, len(checked) + 4, 0) + checked


def read(
    data: bytes, topic: str = "page-views", partition: int = 0, start: int = 0, aborted: Sequence[tuple[int, int]] = ()
) -> FetchedRecords:
    """What of `data` the fetcher hands out from the offset `start` on, `aborted` being (producer, first offset)."""
    FetchedRecords.native = compiled("streams.engine._native")  # type: ignore[assignment]
    where = TopicPartition(topic, partition)
    return FetchedRecords(where, FetchedBatches(data), list(aborted), start, None, None, True, READ_COMMITTED)


def as_fetched(records: Sequence[Record]) -> Sequence[Record]:
    """The records of one topic partition, as the compiled part reads them out of a batch: any timestamp is as it is."""
    native: Any = compiled("streams.engine._native")
    found = native.Records(records[0].topic, records[0].partition, ConsumerRecord)
    found.add(b"".join(map(_framed, records)), len(records), 0, 0, 0, False, records[0].offset)
    return found  # type: ignore[no-any-return]


def _framed(record: Record) -> bytes:
    headers = [_sized(name.encode()) + _sized(value) for name, value in record.headers]
    body = [
        b"\0", varint(record.timestamp), varint(record.offset), _sized(record.key), _sized(record.value),
        varint(len(headers)), *headers,
    ]  # fmt: skip
    return _sized(b"".join(body))


def _sized(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def varint(number: int) -> bytes:
    raw = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def last_of(items: Iterable[Decoded]) -> dict[str, int]:
    """The last offset of each topic."""
    return {record.topic: record.offset for record, _ in items}
