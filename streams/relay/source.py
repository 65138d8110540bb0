"""A target's consumer group, on a thread of its own: one slow target never keeps another's records waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.errors import LeadstreamError
from streams.kafka import client_config, reader_config
from streams.reading import read_to_end
from streams.relay.intake import Raw, raw_of
from streams.relay.merge import Merge
from streams.relay.offsets import Place
from streams.relay.surroundings import Membership

log = logging.getLogger(__name__)
T = TypeVar("T")

_BATCH = 500
#: Of a partition, beyond what is being delivered.
_MOST_WAITING = 300
_ORDER_PATIENCE_S = 5.0
_PATIENCE_S = 60.0
#: While no broker answers: how often it is asked, and for how long.
_ASK_AGAIN_S, _ANSWER_S = 2.0, 1.0
#: What waiting does not mend. Other failures of commits are made up for later, or by whoever has the partition then.
_FINAL = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.INVALID_GROUP_ID,
        KafkaError._INVALID_ARG,
        # What a consumer hands on for an error that it calls fatal does not call itself so.
        KafkaError._FATAL,
        KafkaError.FENCED_INSTANCE_ID,
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
    """Reads topics as a member of a target's group. Leads' partitions of all topics stay together (by range)."""

    def __init__(
        self,
        bootstrap: str,
        target: str,
        membership: Membership,
        topics: Sequence[str],
        apart: Sequence[str],
        memory_topic: str,
        owner: Owner,
        clock: Callable[[], float],
    ) -> None:
        """`topics` come in the order in which they were written, `apart` by themselves."""
        self._bootstrap = bootstrap
        self._group = f"{membership.group_prefix}-{target}"
        self._membership = membership
        self._topics = [*topics, *apart]
        self._merge = Merge(apart, _ORDER_PATIENCE_S, clock)
        self._memory_topic = memory_topic
        self._owner = owner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._group)
        #: What goes next, unless its place is given up meanwhile.
        self._ready: list[Raw] = []
        self._paused: set[Place] = set()
        self._ends: dict[Place, int] = {}
        self._clock = clock
        self._polled = clock()
        self._sure = True
        #: Whether no broker answers, as far as was found.
        self.away = False
        self._doubts = False
        #: Whether offsets could not be committed when it was last tried.
        self._late = False
        self._asked = float("-inf")

    def alive(self) -> bool:
        """Whether the partitions are ours for sure: a process that stood still may have lost them without hearing."""
        return self._clock() - self._polled < self._membership.standstill_s

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._call(self._subscribe)

    async def read(self, most: int) -> list[Raw]:
        """The next records, at most `most` and maybe none; the membership is kept up. Raises RelayFailed."""
        return await self._call(self._poll, most)

    async def commit(self, offsets: dict[Place, int]) -> bool:
        """Whether the offsets are committed. Raises RelayFailed when the broker refuses for good."""
        return await self._call(self._commit, offsets)

    async def lag(self) -> int:
        """How many records are on the topics that were not read yet, as far as the consumer has heard."""
        return await self._call(self._lag)

    async def close(self) -> None:
        """Leave the group; `revoked` is called first."""
        await self._call(self._consumer.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[..., T], *arguments: Any) -> T:
        return await self._loop.run_in_executor(self._thread, work, *arguments)

    # --- on the consumer's thread ---------------------------------------------------------------------------

    def _subscribe(self) -> None:
        session_ms = round(self._membership.session_timeout_s * 1000)
        static = {"group.instance.id": self._membership.instance_id} if self._membership.instance_id else {}
        self._consumer = Consumer(
            {
                **client_config(self._bootstrap),
                "group.id": self._group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": session_ms,
                # Who is gone is heard of by these as well.
                "heartbeat.interval.ms": session_ms // 6,
                **static,
                "enable.partition.eof": True,
                # What waits here is read again when its partition is paused meanwhile: little at a time.
                "fetch.message.max.bytes": 256 * 1024,
                "queued.min.messages": 1_000,
                "fetch.wait.max.ms": 100,
                "error_cb": self._failed,
            }
        )
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _poll(self, most: int) -> list[Raw]:
        self._ready = self._merge.take(most)
        self._steer()
        self._hear(0.0 if self._ready else 0.1)
        if self._doubts and self._clock() - self._asked > _ASK_AGAIN_S:
            self._ask()
        self._make_sure()
        ready, self._ready = self._ready, []
        return ready + self._merge.take(most - len(ready))

    def _make_sure(self) -> None:
        """After a standstill the partitions are ours again only when Kafka says so."""
        if not self.alive() and self._sure:
            log.warning("%s stood still for a while; asking Kafka whether the partitions are its own", self._group)
        self._sure = self.alive() or self._is_member()
        if self._sure:
            self._polled = self._clock()

    def _steer(self) -> None:
        """Read no further of places that have much waiting, until it is gone."""
        full = {one for one in map(_place, self._consumer.assignment()) if self._merge.waiting(one) >= _MOST_WAITING}
        for place in full - self._paused:
            self._merge.behind(place)
            self._consumer.pause([TopicPartition(*place)])
        empty = {place for place in self._paused if self._merge.waiting(place) < _MOST_WAITING // 2}
        for place in empty:
            self._consumer.resume([TopicPartition(*place)])
        self._paused = (self._paused | full) - empty

    def _hear(self, wait_s: float) -> None:
        for message in self._consumer.consume(_BATCH, wait_s):
            error = message.error()
            if error is None:
                self._merge.add(raw_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                place = (message.topic() or "", message.partition() or 0)
                self._merge.ended(place)
                self._ends[place] = message.offset() or 0
            elif error.fatal() or error.code() in _FINAL:
                raise RelayFailed(f"{self._group} can't read: {error.str()}")
            else:
                log.warning("%s: %s", self._group, error.str())

    def _is_member(self) -> bool:
        """Whether the broker knows us still. After a standstill polls go well until it is heard that it does not; but
        offsets of a former member are refused, so the committed ones are committed once more.
        """
        places = self._consumer.assignment()
        try:
            committed = self._consumer.committed(places, timeout=5.0) if places else []
        except KafkaException:
            return False
        return self._commit({_place(place): max(place.offset, 0) for place in committed})

    def _failed(self, error: KafkaError) -> None:
        """librdkafka tells of every connection that ends, again and again: an outage is one incident."""
        self._doubts = self._doubts or error.code() == KafkaError._ALL_BROKERS_DOWN

    def _ask(self) -> None:
        """Whether a broker answers; the log has a line when it no longer does, and when it does again."""
        self._asked = self._clock()
        try:
            self._consumer.list_topics(timeout=_ANSWER_S)
            self._doubts = away = False
        except KafkaException:
            away = True
        if away != self.away:
            self.away = away
            says = f"no broker answers at {self._bootstrap}; waiting for it" if away else "a broker answers again"
            log.warning("%s: %s", self._group, says)

    def _commit(self, offsets: dict[Place, int]) -> bool:
        if not offsets:
            return True
        try:
            self._consumer.commit(
                offsets=[TopicPartition(*place, offset) for place, offset in offsets.items()], asynchronous=False
            )
        except KafkaException as failed:
            error = failed.args[0]
            if error.fatal() or error.code() in _FINAL:
                raise RelayFailed(f"{self._group}: Kafka refuses to commit offsets: {error.str()}") from None
            if not self._late:
                log.warning("%s: offsets are committed later: %s", self._group, error.str())
            self._late = True
            return False
        self._late = False
        return True

    def _lag(self) -> int:
        total = 0
        for place in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            # Where transactions end, the last offset is no record: what was read to the end has no lag.
            read = max(place.offset, self._ends.get(_place(place), 0))
            if high >= 0 and read >= 0:
                total += max(0, high - read)
        return total

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        memory = self._restore({number for _, number in places})
        self._on_loop(self._owner.assigned(memory, places))
        self._merge.assigned(places)
        self._paused -= set(places)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        self._commit(self._on_loop(self._owner.revoked(_places(partitions), False)))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        self._on_loop(self._owner.revoked(_places(partitions), True))

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        places = _places(partitions)
        self._merge.revoked(places)
        self._ready = [raw for raw in self._ready if (raw.topic, raw.partition) not in places]
        self._paused -= set(places)

    def _on_loop(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_PATIENCE_S)

    def _restore(self, numbers: set[int]) -> dict[int, dict[bytes, bytes]]:
        """The newest value of each key of the memory topic's partitions."""
        found: dict[int, dict[bytes, bytes]] = {number: {} for number in numbers}
        # By the group's own name, which is never joined so: the relay has no right to another.
        config = {**reader_config(self._bootstrap), "group.id": self._group}
        for message in read_to_end(config, [(self._memory_topic, number) for number in sorted(numbers)]):
            raw = raw_of(message)
            if raw.key is not None and raw.value is not None:
                found[raw.partition][raw.key] = raw.value
        return found


def _places(partitions: Sequence[TopicPartition]) -> list[Place]:
    return [_place(partition) for partition in partitions]


def _place(partition: TopicPartition) -> Place:
    return partition.topic, partition.partition
