"""Partitions coming and going, without a broker."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from counting import CountingLogic
from faust.types import TP

from streams.engine.clock import Clock
from streams.engine.config import EngineConfig
from streams.engine.engine import Engine
from streams.engine.partition import PartitionState
from streams.engine.restore import RestoreInterrupted
from streams.engine.runner import PartitionRunner
from streams.engine.seam import CommitImpossible, Effects, Observer, PlainRecord
from streams.engine.transport import Position

TOPICS = ("views", "opens")
CONFIG = EngineConfig("app", "127.0.0.1:1", TOPICS, "log", 4, 1000)


class Writes:
    """A committer that keeps what it is given."""

    def __init__(self) -> None:
        self.effects: list[Effects] = []
        self.closed = False
        self.error: Exception | None = None

    async def commit(self, effects: Effects) -> None:
        if self.error is not None:
            raise self.error
        self.effects.append(effects)

    async def close(self) -> None:
        self.closed = True


class Thread:
    """Stands for the consumer's thread; all partitions are caught up at offset 0 unless said otherwise."""

    def __init__(self) -> None:
        self.started: list[dict[TP, int]] = []
        #: those among them before which all was handed out
        self.reread: dict[TP, int] = {}
        self.ends: dict[TP, tuple[int, int]] = {}
        self.positions: Mapping[TP, Position] = {
            TP(topic, number): Position(None, 0, 10**15, 0) for topic in TOPICS for number in range(4)
        }

    async def log_ends(self, tps: Iterable[TP]) -> Mapping[TP, tuple[int, int]]:
        return {tp: self.ends.get(tp, (0, 0)) for tp in tps}

    async def start_at(self, offsets: dict[TP, int], *, again: bool = False) -> None:
        self.started.append(offsets)
        if again:
            self.reread |= offsets


class Hears(Observer):
    def __init__(self) -> None:
        self.readies: list[list[int]] = []

    def ready(self, partitions: Any) -> None:
        self.readies.append(list(partitions))


class LocalEngine(Engine):
    """An engine that "restores" from `states`. `gate`, when set, holds restores back until interrupted."""

    def __init__(self) -> None:
        self.hears = Hears()
        self.statuses: list[int] = []
        super().__init__(CONFIG, CountingLogic(), self.hears, self.statuses.append, self._restored)
        self.states: dict[int, PartitionState] = {}
        self.taken: list[int] = []
        self.writes: dict[int, Writes] = {}
        self.hold = False
        self.thread = Thread()

    async def _restored(self, number: int, interrupt: threading.Event) -> PartitionRunner:
        self.taken.append(number)
        while self.hold:
            await asyncio.sleep(0)
            if interrupt.is_set():
                raise RestoreInterrupted
        self.writes[number] = Writes()
        state = self.states.get(number) or PartitionState(number, 4)
        return PartitionRunner(
            state, TOPICS, CountingLogic(), self.writes[number], Clock("stream", 0), Observer(), lambda: 0
        )

    def give(self, numbers: Iterable[int], generation: int, topics: Iterable[str] = TOPICS) -> None:
        self.assign({TP(t, n) for t in topics for n in numbers}, generation, self.thread)  # type: ignore[arg-type]

    async def settle(self) -> None:
        for _ in range(200):
            await asyncio.sleep(0)


def view(number: int, offset: int, at: int) -> PlainRecord:
    return PlainRecord("views", number, offset, at, b"k", b"%d" % at)


async def test_partitions_are_opened_started_and_announced() -> None:
    engine = LocalEngine()
    assert not engine.wants(TP("views", 1))
    engine.give([1, 2], 1)
    await engine.settle()
    assert engine.hears.readies == [[1, 2]]
    assert engine.thread.started[0] == {TP("views", 1): 0, TP("opens", 1): 0}
    assert engine.wants(TP("views", 1))
    assert not engine.wants(TP("views", 3))
    await engine.close()


async def test_a_partition_is_kept_over_consecutive_generations_and_starts_where_it_was() -> None:
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    engine.thread.positions = {**engine.thread.positions, TP("views", 1): Position(1, 1, 10**15, 1)}
    engine.accept(TP("views", 1), 0, [view(1, 0, 5)], 0)
    await engine.settle()
    await engine.suspend()
    engine.thread.ends = {TP("views", 1): (0, 1)}
    engine.give([1, 2], 2)
    await engine.settle()
    assert engine.taken == [1, 2]
    assert engine.thread.started[1] == {TP("views", 1): 1, TP("opens", 1): 0}
    await engine.close()


async def test_after_a_missed_generation_everything_is_taken_as_new() -> None:
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    first = engine.writes[1]
    await engine.suspend()
    engine.give([1], 3)
    await engine.settle()
    assert engine.taken == [1, 1]
    assert first.closed
    await engine.close()


async def test_a_partition_that_goes_is_dropped() -> None:
    engine = LocalEngine()
    engine.give([1, 2], 1)
    await engine.settle()
    await engine.suspend()
    engine.give([2], 2)
    await engine.settle()
    assert (engine.writes[1].closed, engine.writes[2].closed) == (True, False)
    assert not engine.wants(TP("views", 1))
    await engine.close()


async def test_a_chunk_that_was_lost_on_its_way_is_read_again_when_the_next_one_comes() -> None:
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    before = len(engine.thread.started)
    engine.accept(TP("views", 1), 3, [view(1, 3, 5)], 0)
    engine.accept(TP("views", 1), 4, [view(1, 4, 6)], 0)
    await engine.settle()
    assert engine.writes[1].effects == []
    assert engine.thread.started[before:] == [{TP("views", 1): 0}]
    assert engine.thread.reread == {TP("views", 1): 0}  # a start is behind what is applied, this one is not
    engine.accept(TP("views", 1), 0, [view(1, offset, offset) for offset in range(5)], 0)
    await engine.settle()
    (effects,) = engine.writes[1].effects
    assert effects.progress.applied == {"views": 4}
    await engine.close()


async def test_a_last_chunk_that_never_comes_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.engine.engine.LOST_SECONDS", 0.0)
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    before = len(engine.thread.started)
    engine.thread.positions = {**engine.thread.positions, TP("views", 1): Position(3, 3, 10**15, 3)}
    engine.accept(TP("opens", 1), 0, [PlainRecord("opens", 1, 0, 5, b"k", b"5")], 0)
    for _ in range(100):
        if len(engine.thread.started) > before:
            break
        await asyncio.sleep(0.01)
    assert engine.thread.started[before] == {TP("views", 1): 0}
    await engine.close()


async def test_reading_begins_behind_records_that_retention_has_deleted() -> None:
    engine = LocalEngine()
    engine.thread.ends = {TP("views", 1): (7, 9)}
    engine.give([1], 1)
    await engine.settle()
    engine.accept(TP("views", 1), 7, [view(1, 7, 5)], 0)
    await engine.settle()
    assert [one.progress.applied for one in engine.writes[1].effects] == [{"views": 7}]
    await engine.close()


async def test_a_restore_is_given_up_when_the_group_moves_on() -> None:
    engine = LocalEngine()
    engine.hold = True
    engine.give([1], 1)
    await engine.settle()
    await asyncio.wait_for(engine.suspend(), 5)
    engine.hold = False
    engine.give([1], 2)
    await engine.settle()
    assert (engine.taken, engine.hears.readies, engine.statuses) == ([1, 1], [[1]], [])
    await engine.close()


async def test_a_partition_of_which_some_topics_are_elsewhere_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = LocalEngine()
    engine.give([1], 1, topics=("opens",))
    await engine.settle()
    assert engine.taken == []
    assert "left to them" in caplog.text
    await engine.close()


async def test_an_offset_beyond_the_end_of_its_topic_ends_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = LocalEngine()
    state = PartitionState(1, 4)
    state.applied = {"views": 99}
    engine.states[1] = state
    engine.thread.ends = {TP("views", 1): (0, 7)}
    engine.give([1], 1)
    await engine.settle()
    assert engine.statuses == [1]
    assert "Topic views, partition 1, ends at offset 7, but offset 99 was applied" in caplog.text
    assert "Traceback" not in caplog.text
    await engine.close()


async def test_records_that_retention_took_are_told_of_and_passed(caplog: pytest.LogCaptureFixture) -> None:
    engine = LocalEngine()
    state = PartitionState(1, 4)
    state.applied = {"views": 9}
    engine.states[1] = state
    engine.thread.ends = {TP("views", 1): (50, 70)}
    engine.give([1], 1)
    await engine.settle()
    assert engine.thread.started[0][TP("views", 1)] == 50
    assert "records 10 to 49 were deleted before they were read" in caplog.text
    await engine.close()


@pytest.mark.parametrize(
    ("error", "says", "traceback"),
    [
        (CommitImpossible("fenced"), "start again from the changelog", False),
        (KeyError("x"), "a defect", True),
    ],
)
async def test_a_failed_commit_and_a_defect_end_the_process(
    error: Exception, says: str, traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    engine.writes[1].error = error
    with caplog.at_level(logging.CRITICAL):
        engine.accept(TP("views", 1), 0, [view(1, 0, 5)], 0)
        await engine.settle()
    assert engine.statuses == [1]
    assert says in caplog.text
    assert ("Traceback" in caplog.text) == traceback
    (record,) = caplog.records
    assert "'x'" not in record.getMessage()
    assert ("partition 1" in record.getMessage()) == traceback
    assert engine.committable(engine.thread.positions) == {}
    await engine.close()


async def test_only_what_is_applied_is_committed_to_the_group_and_markers_at_the_end_too() -> None:
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    engine.accept(TP("views", 1), 0, [view(1, 0, 5), view(1, 1, 6)], 0)
    await engine.settle()
    views = TP("views", 1)
    assert engine.committable({views: Position(2, 4, 10**15, 4)})[views] == 4
    assert engine.committable({views: Position(3, 4, 10**15, 4)})[views] == 2
    assert engine.committable({})[views] == 2
    await engine.close()


async def test_a_closed_engine_takes_nothing_more() -> None:
    engine = LocalEngine()
    await engine.close()
    engine.give([1], 1)
    await engine.settle()
    assert engine.taken == []


async def test_records_in_flight_are_not_being_caught_up() -> None:
    """`opens` was handed out by the fetcher up to offset 3, which is not in the buffer yet: views wait."""
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    engine.thread.positions = {
        TP("views", 1): Position(1, 1, 10**15, 1),
        TP("opens", 1): Position(3, 3, 10**15, 3),
    }
    engine.accept(TP("views", 1), 0, [view(1, 0, 5)], 0)
    await engine.settle()
    assert engine.writes[1].effects == []
    assert engine.lag()[TP("views", 1)] == 1
    opens = [PlainRecord("opens", 1, i, 4, b"k", b"4") for i in range(3)]
    engine.accept(TP("opens", 1), 0, opens, 0)
    await engine.settle()
    assert [e.progress.applied for e in engine.writes[1].effects] == [{"views": 0, "opens": 2}]
    assert engine.lag()[TP("views", 1)] == 0
    await engine.close()
