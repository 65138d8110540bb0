"""What a fetch brought, read by the compiled part where that could be installed: no object is made for a record until
somebody asks for it.

aiokafka makes one object of its own for each batch and three for each record, which took as much of the interpreter as
all that is done with a page view afterwards. Here it is handed the same bytes and gives out one `Records` for all of a
partition's batches. What is not plain (an older format, a checksum that is wrong, an odd record) is left to aiokafka,
with its own words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from streams.engine.compiled import compiled

#: by the number in a batch's attributes
_DECODERS: dict[int, Callable[[bytes], bytes]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_NO_PRODUCER = -1
#: Of a control record's key: version and type.
_MARKER_BYTES = 4


class NotPlain(Exception):
    """aiokafka reads what a fetch brought, and says what is wrong with it, if anything is."""


class FetchedBatches(MemoryRecords):  # type: ignore[misc, valid-type]
    """aiokafka's batches, with the bytes that they are read from."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class FetchedRecords(fetcher.PartitionRecords):
    """aiokafka's records of one fetch and partition, as one `Records` where all is plain."""

    native: ModuleType

    def _unpack_records(self) -> Iterator[Any]:
        try:
            records, after = self._read()  # nothing of this changes what aiokafka would begin with
        except NotPlain:
            yield from super()._unpack_records()  # type: ignore[no-untyped-call]
            return
        self.next_fetch_offset = after
        if len(records):
            yield records

    def _read(self) -> tuple[Any, int]:
        """What of the batches is to be handed out, and the offset behind them. Raises NotPlain."""
        data, after = self._records.data, self.next_fetch_offset
        batches = self.native.batches(data)
        if batches is None:
            raise NotPlain("a batch of an older format, or damaged")
        records = self.native.Records(self._tp.topic, self._tp.partition, ConsumerRecord)
        aborted, unseen = set(self._aborted_producers), list(self._aborted_transactions)
        for base, following, attributes, first_time, last_time, producer, count, start, end in batches:
            if self._isolation_level == fetcher.READ_COMMITTED and producer != _NO_PRODUCER:
                while unseen and unseen[0][1] <= base:
                    aborted.add(unseen.pop(0)[0])
                if attributes & _CONTROL and self._is_abort(data[start:end], count, base):
                    aborted.discard(producer)
                skipped = bool(attributes & _TRANSACTIONAL) and producer in aborted
            else:
                skipped = False
            if not skipped and not attributes & _CONTROL:
                payload = _uncompressed(data[start:end], attributes & _CODEC)
                by_log = bool(attributes & _APPEND_TIME)
                _add(records, payload, count, base, first_time, last_time, by_log, self.next_fetch_offset)
            after = following
        return records, after

    def _is_abort(self, payload: bytes, count: int, base: int) -> bool:
        marker = self.native.Records(self._tp.topic, self._tp.partition, ConsumerRecord)
        _add(marker, payload, count, base, 0, 0, False, base)
        key = marker[0].key if len(marker) else None
        if key is None or len(key) < _MARKER_BYTES:
            raise NotPlain("a control batch without a marker")
        return ControlRecord.parse(key) == ABORT_MARKER


def _uncompressed(payload: bytes, codec: int) -> bytes:
    if not codec:
        return payload
    if codec not in _DECODERS:
        raise NotPlain(f"an unknown codec, {codec}")
    try:
        return _DECODERS[codec](payload)
    except Exception as error:  # each library raises its own
        raise NotPlain(f"not what its codec makes: {error}") from error


def _add(records: Any, *batch: Any) -> None:
    try:
        records.add(*batch)
    except ValueError as error:
        raise NotPlain(str(error)) from error


def read_compiled() -> None:
    """Have aiokafka's fetcher, in this process, hand out `Records`; nothing where there is no compiled part."""
    native = compiled("streams.engine._native")
    if native is not None:
        FetchedRecords.native = native
        # There is no other way in: the fetcher makes both by itself.
        vars(fetcher).update(MemoryRecords=FetchedBatches, PartitionRecords=FetchedRecords)


def as_one(found: list[Any]) -> Any:
    """A partition's records of one poll, as a sequence."""
    return found[0] if type(found[0]) is not ConsumerRecord else found
