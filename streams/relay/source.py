"""A target's consumer group, on a thread of its own: one slow target never keeps another's records waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.errors import LeadstreamError
from streams.kafka import client_config, reader_config
from streams.relay.intake import Raw
from streams.relay.offsets import Place

log = logging.getLogger(__name__)
T = TypeVar("T")

_BATCH = 500
_PATIENCE_S = 60.0
#: A commit that fails so is made again later, or by whoever has the partition now.
_PASSING = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._NO_OFFSET,
        KafkaError._STATE,
        KafkaError._ASSIGNMENT_LOST,
    }
)


class RelayFailed(LeadstreamError):
    """Kafka keeps the relay from its work."""


class Owner(Protocol):
    """Whoever works on the partitions. Called on the event loop, while the consumer waits."""

    async def assigned(self, memory: dict[int, dict[bytes, bytes]], places: Sequence[Place]) -> None: ...

    async def revoked(self, places: Sequence[Place], lost: bool) -> dict[Place, int]:
        """Give the partitions up; the offsets to commit first."""
        ...


class Source:
    """Reads topics as a member of `group`. Leads' partitions of all topics stay together (range assignment)."""

    def __init__(self, bootstrap: str, group: str, topics: Sequence[str], memory_topic: str, owner: Owner) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topics = list(topics)
        self._memory_topic = memory_topic
        self._owner = owner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=group)
        self._paused = False

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._call(self._subscribe)

    async def read(self, pause: bool) -> list[Raw]:
        """The next records, maybe none; with `pause` none, but the membership is kept up. Raises RelayFailed."""
        messages = await self._call(self._poll, pause)
        return [raw_of(message) for message in messages]

    async def commit(self, offsets: dict[Place, int]) -> bool:
        """Whether the offsets are committed. Raises RelayFailed when the broker refuses for good."""
        return await self._call(self._commit, offsets)

    async def lag(self) -> int:
        return await self._call(self._lag)

    async def close(self) -> None:
        """Leave the group; `revoked` is called first."""
        await self._call(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[..., T], *arguments: Any) -> T:
        return await self._loop.run_in_executor(self._thread, work, *arguments)

    # --- on the consumer's thread ---------------------------------------------------------------------------

    def _subscribe(self) -> None:
        self._consumer = Consumer(
            {
                **client_config(self._bootstrap),
                "group.id": self._group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": 15_000,
            }
        )
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _poll(self, pause: bool) -> list[Message]:
        if pause != self._paused:
            (self._consumer.pause if pause else self._consumer.resume)(self._consumer.assignment())
            self._paused = pause
        good = []
        for message in self._consumer.consume(_BATCH, 0.1):
            error = message.error()
            if error is None:
                good.append(message)
            elif error.fatal() or error.code() in (
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                KafkaError.GROUP_AUTHORIZATION_FAILED,
            ):
                raise RelayFailed(f"{self._group} can't read: {error.str()}")
            else:
                log.warning("%s: %s", self._group, error.str())
        return good

    def _commit(self, offsets: dict[Place, int]) -> bool:
        if not offsets:
            return True
        try:
            self._consumer.commit(
                offsets=[TopicPartition(*place, offset) for place, offset in offsets.items()], asynchronous=False
            )
        except KafkaException as failed:
            error = failed.args[0]
            if error.code() in _PASSING or error.retriable():
                log.warning("%s: offsets are committed later: %s", self._group, error.str())
                return False
            raise RelayFailed(f"{self._group}: Kafka refuses to commit offsets: {error.str()}") from None
        return True

    def _lag(self) -> int:
        total = 0
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            if high >= 0 and place.offset >= 0:
                total += max(0, high - place.offset)
        return total

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        memory = {number: self._restore(number) for number in sorted({number for _, number in places})}
        self._on_loop(self._owner.assigned(memory, places))
        self._paused = False

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(self._on_loop(self._owner.revoked(_places(partitions), False)))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._on_loop(self._owner.revoked(_places(partitions), True))

    def _on_loop(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_PATIENCE_S)

    def _restore(self, partition: int) -> dict[bytes, bytes]:
        """The newest value of each key of the memory topic's partition."""
        found: dict[bytes, bytes] = {}
        # By the group's own name, which is never joined so: the relay has no right to another.
        reader = Consumer({**reader_config(self._bootstrap), "group.id": self._group})
        try:
            reader.assign([TopicPartition(self._memory_topic, partition, 0)])
            while True:
                for message in reader.consume(1000, 0.1):
                    error = message.error()
                    if error is None:
                        key, value = message.key(), message.value()
                        assert isinstance(key, bytes)
                        if value is not None:
                            found[key] = value
                    elif error.code() == KafkaError._PARTITION_EOF:
                        return found
                    elif not error.retriable():
                        raise RelayFailed(f"{self._memory_topic} can't be read: {error.str()}")
        finally:
            reader.close()


def _places(partitions: Sequence[TopicPartition]) -> list[Place]:
    return [(place.topic, place.partition) for place in partitions]


def raw_of(message: Message) -> Raw:
    """A message without an error, as it was read."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    key, value = message.key(), message.value()
    return Raw(topic, partition, offset, _bytes(key), _bytes(value))


def _bytes(part: str | bytes | None) -> bytes | None:
    return part.encode() if isinstance(part, str) else part
