"""One partition at work: merge, handle, commit, and only then make it the present.

A runner is the only one that touches its partition's state. It ends between two batches, never inside one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.merge import PIECE_RECORDS, CaughtUp, Decoded, SourceBuffer, take
from streams.engine.partition import PartitionState
from streams.engine.seam import Committer, Logic, Observer, Record, Unavailable

#: For how long a batch goes on while there is more: one transaction for as many records as a backlog gives, and the
#: event loop held for some tens of milliseconds, however long a record takes.
BATCH_SECONDS = 0.03
BATCH_DUE = 500
#: The broker answers every fetch within milliseconds; one that was silent for this long may hold news.
HEARD_MS = 5_000
#: A source is not fetched while this much of it waits. It is what a fast partition handles while history settles
#: (`merge.SETTLE_MS`): with a quarter of it, busy partitions waited for records two thirds of the time.
BUFFER_RECORDS = 16_000
BUFFER_BYTES = 16 * 1024 * 1024
_BLOCKED_SECONDS = 0.02
_IDLE_SECONDS = 0.25
_AWAY_SECONDS = 1.0


def wall_clock() -> int:
    """Now, in ms."""
    return time.time_ns() // 1_000_000


class PartitionRunner:
    """`sources` maps topics to buffers, in the order that breaks ties. `caught_up` says whether a source
    has nothing more at its broker. `wall` is the wall clock in ms; a batch goes on for `batch_s` while there is more.
    """

    def __init__(
        self,
        state: PartitionState,
        topics: Sequence[str],
        logic: Logic,
        committer: Committer,
        clock: Clock,
        observer: Observer,
        wall: Callable[[], int] = wall_clock,
        batch_s: float = BATCH_SECONDS,
    ) -> None:
        self.state = state
        self.committer = committer
        self.sources: Mapping[str, SourceBuffer] = {}
        self.waits = False
        self._topics = topics
        self._logic = logic
        self._clock = clock
        self._observer = observer
        self._wall = wall
        self._batch_s = batch_s
        self._wake = asyncio.Event()
        self._stopping = False

    def prepare(self, starts: Mapping[str, int] | None = None) -> None:
        """Empty buffers that begin where the state ends, or at `starts`, behind records that are no longer there."""
        ends = {topic: self.state.applied.get(topic, -1) + 1 for topic in self._topics} | dict(starts or {})
        self.sources = {topic: SourceBuffer(topic, ends[topic] - 1, self._clock.is_live) for topic in self._topics}
        self._stopping = False

    def wants(self, topic: str) -> bool:
        source = self.sources.get(topic)
        if source is None or self._stopping:
            return False
        return source.records < BUFFER_RECORDS and source.bytes < BUFFER_BYTES

    def accept(self, topic: str, follows: int, chunk: Sequence[Record], there_since: int) -> bool:
        """Take a chunk that was in the log at `there_since` (ms of the wall clock). False, and it is left, when records
        between the buffer's end and `follows` are missing.
        """
        source = self.sources[topic]
        if follows > source.next_offset:
            return False
        source.accept(chunk, there_since)
        self._wake.set()
        return True

    def stop(self) -> None:
        """End after the batch at hand; what is buffered is dropped and read again by the next owner."""
        self._stopping = True
        self._wake.set()

    async def run(self, caught_up: CaughtUp) -> None:
        """Work until `stop`. Raises what the logic or the committer raises: the process can't go on then."""
        while not self._stopping:
            self._wake.clear()
            try:
                worked = await self.step(caught_up)
            except Unavailable as error:
                self.waits = True
                self._observer.waiting(str(error))
                await self._sleep(_AWAY_SECONDS)
                continue
            self.waits = False
            if not worked:
                blocked = any(source.records for source in self.sources.values())
                await self._sleep(_BLOCKED_SECONDS if blocked else _IDLE_SECONDS)

    async def step(self, caught_up: CaughtUp) -> bool:
        """One batch: what is due by the clock, then the next records. False when there was nothing to do."""
        ends_at = time.monotonic() + self._batch_s
        sources = list(self.sources.values())
        had = [source.handed_out for source in sources]
        items = take(sources, self._decode, caught_up, PIECE_RECORDS)
        at, due = self._due(sources, items, caught_up)
        batch = StateBatch(self.state, self._logic, at)
        if not self._logic.begin(batch) and not items and not due:
            return False
        if at is not None:
            batch.run_due(due, at)
        while items:
            batch.run(items, self._clock)
            items = self._more(sources, caught_up) if time.monotonic() < ends_at else []
        taken = {source.topic: source.handed_out - before for source, before in zip(sources, had, strict=True)}
        effects = batch.effects({source.topic: source.last_taken for source in sources if taken[source.topic]})
        began = time.monotonic()
        await self.committer.commit(effects)
        seconds = time.monotonic() - began
        self.state.apply(effects)
        records = {topic: count for topic, count in taken.items() if count}
        self._observer.committed(self.state.number, records, len(due), seconds)
        return True

    def _more(self, sources: Sequence[SourceBuffer], caught_up: CaughtUp) -> list[Decoded]:
        try:
            return take(sources, self._decode, caught_up, PIECE_RECORDS)
        except Unavailable:
            return []  # the next batch meets it again

    def _decode(self, records: Sequence[Record]) -> list[Decoded]:
        shortcut, decode = self._logic.shortcut, self._logic.decode
        if shortcut is None:
            return [(record, decode(record)) for record in records]
        return shortcut.decode(records, decode)

    def _due(
        self, sources: Sequence[SourceBuffer], items: Sequence[Decoded], caught_up: CaughtUp
    ) -> tuple[int | None, list[tuple[int, bytes]]]:
        state = self.state
        # What was heard of the broker a while ago, before an outage say, does not tell that nothing has come since.
        wall = self._wall()
        quiet = not items and all(not source.records and caught_up(source, wall - HEARD_MS) for source in sources)
        at = self._clock.read(state.stream_time, state.live, quiet, wall)
        return at, ([] if at is None else state.take_due(at, BATCH_DUE))

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
