from __future__ import annotations

from counting import CountingLogic
from faust.types import TP
from test_engine_engine import LocalEngine, view

from streams.engine.clock import Clock
from streams.engine.partition import PartitionState
from streams.engine.report import Lag, Waiting
from streams.engine.runner import PartitionRunner
from streams.engine.seam import Observer
from streams.engine.transport import Position

VIEWS = TP("views", 1)


async def test_before_the_group_is_joined_nothing_is_assigned() -> None:
    engine = LocalEngine()
    engine.make_report()
    assert engine.report is not None
    assert (engine.report.assigned, engine.report.restored) == (None, False)


async def test_a_partition_that_is_assigned_and_not_restored_yet_is_not_running() -> None:
    engine = LocalEngine()
    engine.hold = True
    engine.give([1, 2], 1)
    await engine.settle()
    engine.make_report()
    assert engine.report is not None
    assert (engine.report.assigned, engine.report.running) == (frozenset({1, 2}), frozenset())
    assert not engine.report.restored
    engine.hold = False
    await engine.settle()
    engine.make_report()
    assert engine.report.restored
    await engine.close()


async def test_the_report_tells_what_waits_and_how_old_it_is() -> None:
    """`opens` is not known to be caught up, so views wait for it."""
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    engine.thread.positions = {
        VIEWS: Position(2, 2, 10**15, 2),
        TP("opens", 1): Position(3, 3, 10**15, 3),
    }
    engine.accept(VIEWS, 0, [view(1, 0, 500)._replace(timestamp=700), view(1, 1, 600)], 0)
    await engine.settle()
    engine.make_report()
    assert engine.report is not None
    assert engine.report.lag[VIEWS] == Lag(2, 700, 500)
    assert engine.report.lag[TP("opens", 1)].records == 3
    await engine.close()


async def test_what_the_watchdog_saw_counts_when_the_consumer_is_silent() -> None:
    engine = LocalEngine()
    engine.give([1], 1)
    await engine.settle()
    engine.thread.positions = {VIEWS: Position(2, 2, 10**15, 2)}
    engine._ends = {VIEWS: 9}
    assert engine.lag()[VIEWS] == 9
    await engine.close()


async def test_a_report_counts_keys_and_bytes_of_what_runs() -> None:
    engine = LocalEngine()
    engine.give([1, 2], 1)
    await engine.settle()
    for number, at in ((1, 500), (2, 900)):
        engine.thread.positions = {TP("opens", number): Position(0, 0, 10**15, 0)}
        engine.accept(TP("views", number), 0, [view(number, 0, at)], 0)
        await engine.settle()
    engine.make_report()
    assert engine.report is not None
    assert (engine.report.keys, engine.report.stream_time) == ({"once": 2}, 900)
    assert engine.report.bytes == sum(
        len(key) + len(value) for one in engine._runners.values() for key, value in one.state.values.items()
    )
    await engine.suspend()
    engine.make_report()
    assert (engine.report.running, engine.report.bytes) == (frozenset(), 0)
    await engine.close()


def test_records_that_were_not_fetched_wait_since_they_were_first_heard_of() -> None:
    waiting = Waiting()

    one = PartitionRunner(PartitionState(1, 1), ("views",), CountingLogic(), None, Clock("stream", 0), Observer())  # type: ignore[arg-type]
    one.prepare()
    assert waiting.lag({VIEWS: 5}, {1: one}, 1_000)[VIEWS] == Lag(5, 1_000, 1_000)
    assert waiting.lag({VIEWS: 7}, {1: one}, 2_000)[VIEWS] == Lag(7, 1_000, 1_000)
    assert waiting.lag({VIEWS: 0}, {1: one}, 3_000)[VIEWS] == Lag(0)
    assert waiting.lag({VIEWS: 1}, {1: one}, 4_000)[VIEWS] == Lag(1, 4_000, 4_000)
