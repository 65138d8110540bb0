"""Faust's transport with chunks: one event per batch of records of one partition, read committed.

Registered under the URL scheme `chunks` (entry point group `faust.transports`). What Faust's consumer does
per record, a task, a future and a conductor's turn, is done here per chunk of up to two thousand. Topics
that the engine does not know keep Faust's ordinary way, one event a record.

Offsets: the engine starts every partition where its changelog says and commits to the group only what is
applied; the group's offsets are for people and tools that look at lag. So none of Faust's per-record
acknowledgement is used.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import aiokafka
from aiokafka.errors import KafkaError
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message
from faust.types.transports import ConsumerT

from streams.engine.faust_internals import member_id, positions
from streams.engine.fetched import as_one, read_compiled
from streams.engine.seam import EngineError
from streams.engine.seen import LogSeen

if TYPE_CHECKING:
    from streams.engine.app import EngineApp

log = logging.getLogger(__name__)

SCHEME = "chunks"
#: The broker answers a fetch when it has so much, or after so long. An answer for every single record would keep
#: both ends busy with fetches, of all partitions each time; a longer wait would delay the next fetch of a partition
#: that was just drained.
_FETCH_BYTES, _FETCH_WAIT_MS = 16 * 1024, 20
_POLL_SECONDS = 0.1


class Position(NamedTuple):
    """Where the fetcher is with a partition: one past the last record handed out (None: none yet), the
    position (which moves over markers too), when the broker was heard last (wall clock in ms), and the
    last stable offset.
    """

    handed_out: int | None
    position: int | None
    checked_at: int
    stable: int | None


class Chunk(NamedTuple):
    """Records of one partition in offset order. `follows` is one past what was handed out before them.

    Between the fetch and the engine, rebalances can swallow a chunk: Faust drops what was asked for in an earlier
    generation, though it may have been read in this one. By `follows` the engine sees that one is missing.
    `there_since` is when all of them are known to have been in the log, in ms of the wall clock.
    """

    follows: int
    records: Sequence[Any]
    there_since: int


class ChunkSchema(Schema):  # type: ignore[type-arg]
    """Hands chunks through undecoded, so that one bad record never spoils a chunk."""

    def compile(self, app: Any, **_: Any) -> Any:
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> Any:
            return create_event(message.key, message.value, message.headers, message)

        return decode


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka in its own thread. `positions` is replaced as a whole after each fetch: other threads may
    read it.
    """

    logger = logging.getLogger("faust.engine")
    app: EngineApp

    def __post_init__(self) -> None:
        super().__post_init__()
        self.positions: Mapping[TP, Position] = {}
        self._handed_out: dict[TP, int] = {}
        self._follows: dict[TP, int] = {}
        self._seen: defaultdict[TP, LogSeen] = defaultdict(LogSeen)
        self._beat_at = self._gap_at = time.monotonic()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        # Faust's own assignor keeps the same partition number of all topics on one worker, table or no table.
        self._assignor = self.app.assignor
        read_compiled()
        return aiokafka.AIOKafkaConsumer(  # type: ignore[no-untyped-call]
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            # Full buffers that wait for a registry are no reason to leave the group; the watchdog judges
            # idleness.
            max_poll_interval_ms=2**31 - 1,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_min_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        fetched = await super()._fetch_records(*args, **kwargs)
        records = {tp: as_one(found) for tp, found in fetched.items()}
        self._beat()
        follows = self._follows
        after = {tp: found[-1].offset + 1 for tp, found in records.items()}
        self._follows = follows | after
        self._handed_out |= after
        handed_out = self._handed_out.get
        self.positions = {
            tp: Position(handed_out(tp), position, checked_at, stable)
            for tp, position, checked_at, stable in positions(self._ensure_consumer())
        }
        for tp, where in self.positions.items():
            if where.stable is not None:
                self._seen[tp].heard(where.stable, where.checked_at)
        now = time.time_ns() // 1_000_000
        return {
            tp: Chunk(follows.get(tp, found[0].offset), found, self._seen[tp].since(found[-1].offset, now))
            for tp, found in records.items()
        }

    def _beat(self) -> float:
        """Remember when this process last stood still for long. Returns the time."""
        now = time.monotonic()
        if now - self._beat_at > self.app.conf.broker_session_timeout / 2:
            self._gap_at = now
        self._beat_at = now
        return now

    @property
    def replaced(self) -> bool:
        """Whether the group forgot this member although it was alive and has a name of its own: another
        process joined under the same name.
        """
        conf = self.app.conf
        if conf.consumer_group_instance_id is None or member_id(self._ensure_consumer()):
            return False
        return self._beat() - self._gap_at > 2 * conf.broker_session_timeout

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer: Any = self._ensure_consumer()
        assigned = consumer.assignment()
        try:
            await consumer.commit(
                {aiokafka.TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
            )
        except KafkaError as error:
            # Group offsets are a hint, the changelog is the truth: nothing is lost, and the next commit
            # tells more.
            log.info("group offsets not committed: %s", type(error).__name__)  # its words fill ten lines
            return False
        return True

    async def start_at(self, offsets: Mapping[TP, int], *, again: bool = False) -> None:
        """Continue these partitions at these offsets. `again`: what is before them was handed out, and may be waiting
        in a buffer; else it is applied, or no longer there.
        """
        await self.call_thread(self._start_at, offsets, again)

    async def _start_at(self, offsets: Mapping[TP, int], again: bool) -> None:
        consumer: Any = self._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(aiokafka.TopicPartition(*tp), offset)
            if again:
                self._handed_out[tp] = offset
            else:
                self._handed_out.pop(tp, None)
            self._follows[tp] = offset
            self._seen.pop(tp, None)
        self.positions = {tp: where for tp, where in self.positions.items() if tp not in offsets}

    async def log_ends(self, tps: Iterable[TP]) -> Mapping[TP, tuple[int, int]]:
        """(first offset, one past the last) of each partition, asked of the broker."""
        ends: Mapping[TP, tuple[int, int]] = await self.call_thread(self._log_ends, list(tps))
        return ends

    async def _log_ends(self, tps: list[TP]) -> Mapping[TP, tuple[int, int]]:
        consumer: Any = self._ensure_consumer()
        wanted = [aiokafka.TopicPartition(*tp) for tp in tps]
        first = await consumer.beginning_offsets(wanted)
        last = await consumer.end_offsets(wanted)
        return {TP(*tp): (first[tp], last[tp]) for tp in wanted}


class ChunkConsumer(driver.Consumer):
    """Faust's consumer, with chunks for the engine's topics."""

    logger = logging.getLogger("faust.engine")
    app: EngineApp
    _thread: ChunkConsumerThread

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ChunkConsumerThread:
        return self._thread

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        wants = self.app.engine.wants
        wanted = {tp for tp in active_partitions or () if wants(tp)}
        if not wanted:
            await self.sleep(0.01)
            return {}
        return await self._thread.getmany(wanted, min(timeout, _POLL_SECONDS))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109
        """One message per chunk. For Faust's own topics the generation is taken before the fetch: what was fetched
        across a rebalance must not pass for the new generation's. A chunk says itself where it belongs.
        """
        generation = self.app.consumer_generation_id
        fetched: Any = (await self._wait_next_records(timeout))[0]
        for key, chunk in (fetched or {}).items():
            if self.should_stop or not self.flow_active:
                return  # the engine misses it when the next one comes
            tp = TP(*key)
            if tp.topic in self.app.engine.topics:
                yield tp, _chunk_message(tp, chunk, self.app.consumer_generation_id)
            elif self.app.consumer_generation_id == generation:
                for record in chunk.records:
                    yield tp, self._to_message(tp, record)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.app.engine.topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        others = [tp for tp in tps if tp.topic not in self.app.engine.topics]
        wanted: dict[TP, int] = super()._filter_committable_offsets(others)
        for tp, offset in self.app.engine.committable(self._thread.positions).items():
            if self._should_commit(tp, offset):
                wanted[tp] = offset
        return wanted

    async def perform_seek(self) -> None:
        """The engine starts its partitions by itself."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """The engine watches its own progress; Faust's check does not know chunks and would cry wolf."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        if revoked and self._thread.replaced:
            name = self.app.conf.consumer_group_instance_id
            self.app.engine.fail(
                EngineError(
                    f"Another worker joined the group {self.app.conf.id} as instance {name!r}, so this one "
                    "ends. Give every worker an instance name of its own."
                )
            )
        await self.app.engine.suspend()
        await self.commit()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await super().on_partitions_assigned(assigned, generation_id)
        self.app.engine.assign(assigned, generation_id, self._thread)


def _chunk_message(tp: TP, chunk: Any, generation: int) -> ConsumerMessage:
    last = chunk.records[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        last.timestamp / 1000.0,
        last.timestamp_type,
        None,
        None,
        chunk,
        None,
        tp=tp,
        generation_id=generation,
    )


class Transport(driver.Transport):
    """`chunks://host:port`."""

    Consumer: ClassVar[type[ConsumerT]] = ChunkConsumer
