"""A partition's state, read back from its changelog in bulk.

Runs after the former owner was fenced, so that nothing can be written behind the end that is read to. Reads
read_committed: what a dead owner had open is aborted and never seen.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.engine.config import CLIENT_LOG
from streams.engine.envelope import RESERVED_KEY, CorruptChangelog, check, unpack_progress
from streams.engine.partition import PartitionState
from streams.engine.seam import EngineError, Observer

_BATCH = 10_000
_POLL_SECONDS = 0.1
_STUCK_SECONDS = 60.0


class RestoreInterrupted(Exception):
    """The partition is not wanted any more."""


def restore(
    client: Mapping[str, Any],
    group: str,
    changelog: str,
    partition: int,
    partitions: int,
    observer: Observer,
    interrupt: threading.Event,
) -> PartitionState:
    """Read the partition's changelog to its end, as a client that has rights on `group`. Blocks; raises
    CorruptChangelog, EngineError, or RestoreInterrupted soon after `interrupt` was set.
    """
    began = time.monotonic()
    state = PartitionState(partition, partitions)
    consumer = Consumer(
        {
            **client,
            # librdkafka wants one and asks for its coordinator, which takes a right; nothing is joined or committed.
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 4 * 1024 * 1024,
            "queued.min.messages": 200_000,
            "fetch.wait.max.ms": 10,  # the end is heard of only when a fetch comes back empty
        },
        logger=CLIENT_LOG,
    )
    try:
        consumer.assign([TopicPartition(changelog, partition, 0)])
        _, end = consumer.get_watermark_offsets(TopicPartition(changelog, partition), timeout=30.0)
        _read_to_end(consumer, state, changelog, end, observer, interrupt)
    except KafkaException as error:
        raise EngineError(
            f"The changelog {changelog}, partition {partition}, can't be read: {error.args[0]}. Check the "
            "broker and the rights of this client, then start again."
        ) from error
    finally:
        consumer.close()
    state.restored()
    observer.restored(partition, len(state.values), time.monotonic() - began)
    return state


def give_back() -> None:
    """Give the memory back that restores needed and nobody has any more: glibc keeps it, a third of all with a million
    keys. Other allocators do as they like.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _read_to_end(
    consumer: Consumer,
    state: PartitionState,
    changelog: str,
    end: int,
    observer: Observer,
    interrupt: threading.Event,
) -> None:
    heard = time.monotonic()
    while True:
        if interrupt.is_set():
            raise RestoreInterrupted
        messages = consumer.consume(_BATCH, timeout=_POLL_SECONDS)
        for message in messages:
            error = message.error()
            if error is None:
                _load(state, changelog, message.offset() or 0, message.key(), message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                return
            elif not error.retriable():
                raise KafkaException(error)
        if messages:
            heard = time.monotonic()
            if messages[-1].error() is None:
                observer.restoring(state.number, (messages[-1].offset() or 0) + 1, end)
        elif time.monotonic() - heard > _STUCK_SECONDS:
            raise EngineError(
                f"The changelog {changelog}, partition {state.number}, gave nothing for {_STUCK_SECONDS:.0f} "
                f"s before its end at offset {end}. Check the broker, then start again."
            )


def _load(state: PartitionState, changelog: str, offset: int, key: bytes | None, value: bytes | None) -> None:
    try:
        if key is None:
            raise ValueError("it has no key")
        if key == RESERVED_KEY:
            _adopt(state, changelog, value)
        elif value is None:
            state.values.pop(key, None)
        else:
            check(value)
            state.values[key] = value
    except ValueError as error:
        raise CorruptChangelog(
            f"Changelog {changelog}, partition {state.number}, offset {offset}: not a record of this engine: "
            f"{error}. State is never guessed, so the worker does not start. If a newer release wrote the "
            f"record, start that release. Else delete the topic {changelog}, make it anew and start again: "
            "that replays the source topics from their beginning."
        ) from error


def _adopt(state: PartitionState, changelog: str, value: bytes | None) -> None:
    if value is None:
        raise ValueError("the reserved record is a tombstone")
    progress = unpack_progress(value)
    if progress.partitions != state.partitions:
        raise EngineError(
            f"The changelog {changelog} was written when the topics had {progress.partitions} partitions; "
            f"now they have {state.partitions}, and keys are on other partitions than their state. Go back "
            f"to {progress.partitions} partitions, or make the changelog anew and start again, which replays "
            "the source topics."
        )
    state.adopt(progress)
