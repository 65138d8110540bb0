"""The state of all partitions in a file, and back from it into a changelog: for backups, for another cluster, and for
another number of partitions.

The file is gzipped frames, each `length (uint32 big-endian) | MessagePack`: `[key, envelope]` of every key, then an
Origin. Envelopes go over as they are, so a file can be read by every release that reads the changelog.
"""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.engine.config import CLIENT_LOG
from streams.engine.envelope import RESERVED_KEY, check, pack_progress
from streams.engine.restore import restore
from streams.engine.seam import EngineError, Observer, Progress

_FRAME = struct.Struct(">I")
_FORMAT = 1
_WAIT_S = 60.0
#: As long as a broker allows by default. A partition's state is put back in one transaction.
_TRANSACTION_MS = 900_000

_decode_pair = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode


class SnapshotFailed(EngineError):
    """A snapshot can't be written, read, or put back where it was asked to go."""


class Origin(msgspec.Struct, frozen=True):
    """Where a snapshot is of: the application, the cluster's id, the number of keys, and the progress of each partition
    as it was noted with its state, None where nothing was ever committed.
    """

    format: int
    app_id: str
    cluster: str
    keys: int
    progress: list[Progress | None]


_decode_origin = msgspec.msgpack.Decoder(Origin).decode


def export_state(
    client: Mapping[str, Any], app_id: str, changelog: str, partitions: int, cluster: str, file: Path, group: str
) -> Origin:
    """Write the committed state of every partition to `file`, which must not exist, as a client that has rights on
    `group`. Blocks.

    Each partition's state and progress belong together, also while workers run. Raises SnapshotFailed, EngineError.
    """
    if file.exists():
        raise SnapshotFailed(f"{file} is there already. Name a file that is not.")
    # Under its own name once it is whole: what ends this half-way leaves nothing that looks like a snapshot.
    try:
        # It holds what is known of people: nobody else's to read.
        handle, part = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=file.parent)
    except OSError as error:
        raise SnapshotFailed(f"{file} can't be written ({error.strerror}).") from None
    try:
        with os.fdopen(handle, "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3) as out:
                origin = _write_all(out, client, app_id, changelog, partitions, cluster, group)
            raw.flush()
            os.fsync(raw.fileno())
        os.rename(part, file)
    except BaseException:
        os.unlink(part)
        raise
    return origin


def _write_all(
    out: gzip.GzipFile,
    client: Mapping[str, Any],
    app_id: str,
    changelog: str,
    partitions: int,
    cluster: str,
    group: str,
) -> Origin:
    keys, progress = 0, []
    for number in range(partitions):
        state = restore(client, group, changelog, number, partitions, Observer(), threading.Event())
        progress.append(state.progress if state.applied else None)
        for pair in state.values.items():
            _write(out, pair)
        keys += len(state.values)
    origin = Origin(_FORMAT, app_id, cluster, keys, progress)
    _write(out, origin)
    return origin


def read_origin(file: Path) -> Origin:
    """Where the snapshot is of, once all of it was read and checked. Raises SnapshotFailed."""
    origin: Origin | None = None
    keys = 0
    try:
        for frame in _frames(file):
            if _is_pair(frame):
                check(_decode_pair(frame)[1])
                keys += 1
            else:
                origin = _decode_origin(frame)
    except (ValueError, msgspec.MsgspecError) as error:
        raise SnapshotFailed(f"{file} is no snapshot of state: {error}") from None
    if origin is None or origin.format != _FORMAT or origin.keys != keys:
        raise SnapshotFailed(f"{file} is no whole snapshot of state. Take another.")
    return origin


def import_state(
    client: Mapping[str, Any],
    app_id: str,
    changelog: str,
    file: Path,
    progress: Sequence[Progress],
    partition_of: Callable[[bytes], int],
) -> int:
    """Write the keys of `file` to an empty changelog, each to `partition_of(key)`, and each partition's `progress` in
    the same transaction; how many keys. Blocks. Raises SnapshotFailed.

    The transactional ids are the workers' own: one that still runs is fenced, and ends.
    """
    if written(client, app_id, changelog, len(progress)):
        raise SnapshotFailed(
            f"{changelog} holds records, and state is never mixed. If an import was ended half-way, or the state there "
            "is to be given up: delete the topic, make it anew with `leadstream topics`, and import again. Otherwise "
            "give another application name."
        )
    keys = 0
    try:
        producers = [_begin(client, f"{app_id}-{number}") for number in range(len(progress))]
        for key, envelope in map(_decode_pair, filter(_is_pair, _frames(file))):
            number = partition_of(key)
            _send(producers[number], changelog, envelope, key, number)
            keys += 1
        for number, (producer, known) in enumerate(zip(producers, progress, strict=True)):
            _send(producer, changelog, pack_progress(known), RESERVED_KEY, number)
            producer.commit_transaction(_WAIT_S)
    except KafkaException as error:
        raise SnapshotFailed(
            f"Kafka did not take the state for {changelog}: {error.args[0].str()}. Delete that topic, make it anew "
            "with `leadstream topics`, and import again."
        ) from error
    return keys


def _begin(client: Mapping[str, Any], transactional_id: str) -> Producer:
    settings = {"transactional.id": transactional_id, "transaction.timeout.ms": _TRANSACTION_MS}
    producer = Producer({**client, **settings, "compression.type": "lz4", "linger.ms": 20}, logger=CLIENT_LOG)
    producer.init_transactions(_WAIT_S)
    producer.begin_transaction()
    return producer


def _send(producer: Producer, *record: Any) -> None:
    while True:
        try:
            return producer.produce(*record)
        except BufferError:
            producer.poll(0.05)


def written(client: Mapping[str, Any], group: str, changelog: str, partitions: int) -> set[int]:
    """The partitions of `changelog` that hold committed records; what an import left that did not come to its end is
    none. Blocks. Raises SnapshotFailed.
    """
    settings = {"group.id": group, "isolation.level": "read_committed", "enable.auto.commit": False}
    more = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    consumer = Consumer({**client, **settings, **more}, logger=CLIENT_LOG)
    found: set[int] = set()
    deadline = time.monotonic() + _WAIT_S
    try:
        consumer.assign([TopicPartition(changelog, number, OFFSET_BEGINNING) for number in range(partitions)])
        left = set(range(partitions))
        while left:
            if time.monotonic() > deadline:
                raise SnapshotFailed(f"{changelog} can't be looked at: the broker gives nothing of {sorted(left)}.")
            for message in consumer.consume(100, 0.2):
                error, number = message.error(), message.partition() or 0
                if error is None:
                    found.add(number)
                elif error.code() != KafkaError._PARTITION_EOF:
                    if error.retriable():
                        continue
                    raise SnapshotFailed(f"{changelog} can't be looked at: {error.str()}.")
                if number in left:
                    left.discard(number)
                    consumer.pause([TopicPartition(changelog, number)])
    finally:
        consumer.close()
    return found


def _is_pair(frame: bytes) -> bool:
    return frame[:1] == b"\x92"  # MessagePack's array of two


def _write(out: gzip.GzipFile, value: Any) -> None:
    frame = msgspec.msgpack.encode(value)
    out.write(_FRAME.pack(len(frame)) + frame)


def _frames(file: Path) -> Iterator[bytes]:
    try:
        with gzip.open(file, "rb") as source:
            while head := source.read(_FRAME.size):
                (size,) = _FRAME.unpack(head)
                frame = source.read(size)
                if len(frame) != size:
                    raise ValueError("it ends within a record")
                yield frame
    except (OSError, EOFError, struct.error) as error:
        raise SnapshotFailed(f"{file} can't be read as a snapshot: {error}") from None
