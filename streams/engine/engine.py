"""All partitions of one process: taken over, restored, run, given back.

A partition that is new here is fenced (its former owner can't commit any more), restored from the
changelog, checked against the source topics, and started where its applied offsets end; all of them at
once, and outside of the group's rebalance call, so that heartbeats go on and each partition works as soon
as it is ready. A partition is kept as it is only over consecutive generations: a process that was frozen
takes back what somebody else may have had meanwhile.

Anything that is wrong ends the process at once, without committing: its supervisor starts it again, from
the changelog.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.engine.config import EngineConfig
from streams.engine.merge import SourceBuffer
from streams.engine.report import Report, Waiting, keys_of
from streams.engine.restore import RestoreInterrupted, give_back
from streams.engine.runner import PartitionRunner, wall_clock
from streams.engine.seam import CommitImpossible, EngineError, Logic, Observer
from streams.engine.takeover import Owner, TakeOver, complete, starts_of
from streams.engine.transport import ChunkConsumerThread, Position
from streams.engine.watchdog import Watchdog
from streams.errors import LeadstreamError

log = logging.getLogger(__name__)

#: Longer than a busy event loop takes to bring a chunk from the fetcher to its buffer.
LOST_SECONDS = 15.0


class Engine:
    """`end` ends the process, `take_over` makes a partition this one's; tests put something else there."""

    def __init__(
        self,
        config: EngineConfig,
        logic: Logic,
        observer: Observer,
        end: Callable[[int], object] = os._exit,
        take_over: TakeOver | None = None,
    ) -> None:
        self.topics = frozenset(config.topics)
        self._config = config
        self._observer = observer
        self._end = end
        self._take_over = take_over or Owner(config, logic, observer).take_over
        self._runners: dict[int, PartitionRunner] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._generation = -1
        self._interrupt = threading.Event()
        self._thread: ChunkConsumerThread | None = None
        self._running: set[int] = set()
        self._rereading: set[TP] = set()
        self._waited_for: dict[TP, float] = {}
        self._watch: asyncio.Task[None] | None = None
        self._watchdog: Watchdog | None = None
        self._away = False
        self._ends: Mapping[TP, int] = {}
        self._assigned: frozenset[int] | None = None
        self._waiting = Waiting()
        #: How it stood a moment ago; None before the event loop runs.
        self.report: Report | None = None

    # What the transport asks and tells. All of it runs on the event loop.

    def wants(self, tp: TP) -> bool:
        """Whether more records of this partition can be taken now."""
        if tp.topic not in self.topics:
            return True
        return tp.partition in self._running and self._runners[tp.partition].wants(tp.topic)

    def accept(self, tp: TP, follows: int, chunk: Sequence[Any], there_since: int) -> None:
        """Take a chunk from the agent (`transport.Chunk`); it follows upon what was fetched up to the offset `follows`.

        Records are what they are in whatever generation they were fetched. Where those before them are missing, the
        topic is read again from what is missing on.
        """
        if tp.partition in self._running and not self._runners[tp.partition].accept(
            tp.topic, follows, chunk, there_since
        ):
            self._read_again(tp)

    def _read_again(self, tp: TP) -> None:
        if tp not in self._rereading:
            self._rereading.add(tp)
            self._spawn(self._restart(tp))

    async def _restart(self, tp: TP) -> None:
        assert self._thread is not None
        try:
            offset = self._runners[tp.partition].sources[tp.topic].next_offset
            log.info("%s, partition %d: records were lost on their way; reading again from %d", *tp, offset)
            await self._thread.start_at({tp: offset}, again=True)
        finally:
            self._rereading.discard(tp)
            self._waited_for.pop(tp, None)

    async def suspend(self) -> None:
        """Stop all work: batches in flight end, restores are given up, nothing is fetched. Partitions stay
        in memory until the next assignment says which are kept.
        """
        self._interrupt.set()
        if self._watch is not None:
            self._watch.cancel()
            self._watchdog = None
        for number in self._running:
            self._runners[number].stop()
        self._running.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Suspend for good: later assignments are ignored."""
        self._closed = True
        await self.suspend()

    def assign(self, assigned: Iterable[TP], generation: int, thread: ChunkConsumerThread) -> None:
        """Begin to open the partitions of a new generation, after `suspend`."""
        if self._closed:
            return
        numbers = complete(assigned, self.topics)
        consecutive = generation == self._generation + 1
        for number in [n for n in self._runners if not consecutive or n not in numbers]:
            self._spawn(self._runners.pop(number).committer.close())
        self._generation = generation
        self._thread = thread
        self._interrupt = threading.Event()
        self._assigned = frozenset(numbers)
        self._observer.rebalanced(numbers)
        self._spawn(self._open_all(numbers, self._interrupt))
        self._watch = asyncio.get_running_loop().create_task(self._guarded(self._watch_progress()))

    @property
    def joined(self) -> bool:
        """Whether the group has assigned partitions to this process at least once."""
        return self._thread is not None

    def lag(self) -> dict[TP, int]:
        """Records of each running partition that are there to be read and not applied yet."""
        if self._thread is None:
            return {}
        positions = self._thread.positions
        done = self.committable(positions)
        # The consumer may have fallen silent: then the watchdog's client has seen more.
        ends = {tp: where.stable for tp, where in positions.items() if where.stable is not None}
        for tp, end in self._ends.items():
            ends[tp] = max(end, ends.get(tp, 0))
        return {tp: max(0, end - done.get(tp, 0)) for tp, end in ends.items() if tp.partition in self._running}

    def make_report(self) -> None:
        """Say how it stands; to be called now and then, on the event loop."""
        runners = {number: self._runners[number] for number in self._running}
        times = [one.state.stream_time for one in runners.values() if one.state.stream_time is not None]
        now = wall_clock()
        self.report = Report(
            made_at=time.monotonic(),
            at=now,
            assigned=self._assigned,
            running=frozenset(runners),
            lag=self._waiting.lag(self.lag(), runners, now),
            keys=keys_of(runners.values()),
            bytes=sum(one.state.bytes for one in runners.values()),
            stream_time=max(times, default=None),
            away=self._away,
            stalled_s=self._watchdog.idle_s if self._watchdog is not None else 0.0,
            limit_s=self._config.stalled_s,
        )

    def committable(self, positions: Mapping[TP, Position]) -> dict[TP, int]:
        """Group offsets that are safe: everything before them is applied, durably."""
        offsets: dict[TP, int] = {}
        for number in self._runners:
            for topic, applied in self._runners[number].state.applied.items():
                tp = TP(topic, number)
                after = applied + 1
                where = positions.get(tp)
                # When nothing is in flight the position also covers the transaction markers behind the last
                # record, so that lag reads 0.
                if where is not None and where.position is not None and where.handed_out in (None, after):
                    after = max(after, where.position)
                offsets[tp] = after
        return offsets

    def end(self, status: int) -> None:
        """End the process here and now."""
        for handler in logging.getLogger().handlers:
            handler.flush()
        sys.stdout.flush()
        self._end(status)

    def fail(self, error: BaseException) -> None:
        """End the process without committing. One clear line; a traceback only for what is a defect."""
        if isinstance(error, LeadstreamError):
            log.critical("%s", error)
        elif isinstance(error, CommitImpossible):
            log.critical("Ending without committing, to start again from the changelog: %s", error)
        elif isinstance(error, KafkaError):
            log.critical("Ending: Kafka refused what can't be done without: %s", error)
        else:
            # Not the error's own words: they may be a lead's.
            where = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
            log.critical(
                "Ending because of a defect, without committing: %s%s", type(error).__name__, where, exc_info=error
            )
        self._interrupt.set()
        self.end(1)

    # Opening and running partitions.

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, coroutine: Any) -> None:
        try:
            await coroutine
        except RestoreInterrupted:
            pass
        except Exception as error:
            self.fail(error)

    async def _watch_progress(self) -> None:
        loop = asyncio.get_running_loop()
        watchdog = self._watchdog = Watchdog(self._config)
        while True:
            await asyncio.sleep(watchdog.check_s)
            assert self._thread is not None
            tps = [TP(topic, number) for number in self._running for topic in self.topics]
            ends = await loop.run_in_executor(None, watchdog.stable_ends, tps) if tps else None
            self._ends = ends or {}
            if tps and (ends is None) != self._away:
                self._away = ends is None
                if self._away:
                    log.warning("no broker answers at %s; waiting for it", self._config.bootstrap)
                else:
                    log.warning("a broker answers again")
            done = dict.fromkeys(tps, 0) | self.committable(self._thread.positions)
            waits = any(self._runners[number].waits for number in self._running)
            stuck = watchdog.stalled(done, ends, waits)
            if stuck is not None:
                self.fail(
                    EngineError(
                        f"Topic {stuck.topic}, partition {stuck.partition} has records to read, and nothing "
                        f"was done for {self._config.stalled_s:.0f} s. Ending, to start again with fresh "
                        "connections."
                    )
                )

    async def _open_all(self, numbers: Sequence[int], interrupt: threading.Event) -> None:
        began = time.monotonic()
        await self._announce_restores([number for number in numbers if number not in self._runners])
        await asyncio.gather(*(self._guarded(self._open(number, interrupt)) for number in numbers))
        if not interrupt.is_set():
            log.info("partitions %s restored in %.1f s", numbers, time.monotonic() - began)
            self._observer.ready(numbers)
            await asyncio.get_running_loop().run_in_executor(None, give_back)

    async def _announce_restores(self, numbers: Sequence[int]) -> None:
        assert self._thread is not None
        changelog = [TP(self._config.changelog_topic, number) for number in numbers]
        for tp, (first, end) in (await self._thread.log_ends(changelog)).items() if changelog else ():
            self._observer.restoring(tp.partition, first, end)

    async def _open(self, number: int, interrupt: threading.Event) -> None:
        runner = self._runners.get(number)
        if runner is None:
            runner = await self._take_over(number, interrupt)
        assert self._thread is not None
        ends = await self._thread.log_ends([TP(topic, number) for topic in self._config.topics])
        starts = starts_of(runner.state, ends, self._config)
        if interrupt.is_set():
            raise RestoreInterrupted
        self._runners[number] = runner
        runner.prepare({tp.topic: offset for tp, offset in starts.items()})
        await self._thread.start_at(starts)
        if interrupt.is_set():
            raise RestoreInterrupted
        self._running.add(number)
        self._spawn(self._run(number, runner))

    async def _run(self, number: int, runner: PartitionRunner) -> None:
        try:
            await runner.run(lambda source, since: self._caught_up(number, source, since))
        except Exception as error:
            error.add_note(f"partition {number}")
            raise

    def _caught_up(self, number: int, source: SourceBuffer, since: int) -> bool:
        assert self._thread is not None
        tp = TP(source.topic, number)
        where = self._thread.positions.get(tp)
        if where is None or where.position is None or where.stable is None:
            return False
        if where.handed_out is not None and where.handed_out > source.next_offset:
            self._miss(tp)  # records are on their way from the fetcher to the buffer
            return False
        self._waited_for.pop(tp, None)
        return where.position >= where.stable and where.checked_at >= since

    def _miss(self, tp: TP) -> None:
        """Records were handed out and are not here. After long enough they are not on their way, but lost."""
        now = time.monotonic()
        if now - self._waited_for.setdefault(tp, now) > LOST_SECONDS:
            self._read_again(tp)
