"""A partition at work, without a broker: a committer that records the whole ordered history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from counting import SILENCE_MS, CountingLogic

from streams.engine.clock import Clock
from streams.engine.merge import PIECE_RECORDS
from streams.engine.partition import PartitionState
from streams.engine.runner import BATCH_SECONDS, BUFFER_BYTES, BUFFER_RECORDS, HEARD_MS, PartitionRunner
from streams.engine.seam import CommitImpossible, Effects, Logic, Observer, PlainRecord, Record, Unavailable

GRACE = 1_000


class Recorder:
    """A committer for tests. `before` is called with each effects, before they are "written"."""

    def __init__(self, before: Callable[[Effects], object] = lambda effects: None) -> None:
        self.history: list[Effects] = []
        self.before = before

    async def commit(self, effects: Effects) -> None:
        self.before(effects)
        await asyncio.sleep(0)
        self.history.append(effects)

    async def close(self) -> None: ...

    def outputs(self) -> list[tuple[bytes | None, bytes | None]]:
        return [(output.key, output.value) for effects in self.history for output in effects.outputs]


def view(offset: int, at: int, key: bytes = b"a", arrival: int | None = None) -> PlainRecord:
    return PlainRecord("views", 0, offset, at if arrival is None else arrival, key, b"%d" % at)


def runner(
    committer: Recorder,
    state: PartitionState | None = None,
    logic: Logic | None = None,
    wall: int = 0,
    observer: Observer | None = None,
    batch_s: float = BATCH_SECONDS,
) -> PartitionRunner:
    made = PartitionRunner(
        state or PartitionState(0, 1), ("views", "opens"), logic or CountingLogic(), committer,
        Clock("wall", GRACE), observer or Observer(), lambda: wall, batch_s,
    )  # fmt: skip
    made.prepare()
    return made


async def test_a_step_commits_outputs_state_offsets_and_stream_time_as_one() -> None:
    committer = Recorder()
    one = runner(committer)
    one.accept("views", 0, [view(0, 100), view(1, 200, b"b"), view(2, 150)], 0)
    assert await one.step(lambda source, since: True)
    (effects,) = committer.history
    assert committer.outputs() == [(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]
    assert set(effects.changed) == {b"a", b"b"}
    assert (effects.progress.applied, effects.progress.stream_time) == ({"views": 2}, 200)
    assert not await one.step(lambda source, since: True)


async def test_state_is_the_old_one_until_the_commit_is_through() -> None:
    seen = []
    committer = Recorder(before=lambda effects: seen.append((dict(one.state.values), dict(one.state.applied))))
    one = runner(committer)
    one.accept("views", 0, [view(0, 100)], 0)
    await one.step(lambda source, since: True)
    assert seen == [({}, {})]
    assert one.state.applied == {"views": 0}


async def test_a_commit_that_can_not_be_leaves_the_state_alone_and_ends_the_runner() -> None:
    def fence(effects: Effects) -> None:
        raise CommitImpossible("fenced")

    one = runner(Recorder(before=fence))
    one.accept("views", 0, [view(0, 100)], 0)
    with pytest.raises(CommitImpossible):
        await one.run(lambda source, since: True)
    assert (one.state.values, one.state.applied, one.state.stream_time) == ({}, {}, None)


async def test_after_a_restart_what_was_applied_is_skipped() -> None:
    committer = Recorder()
    first = runner(committer)
    first.accept("views", 0, [view(0, 100), view(1, 110)], 0)
    await first.step(lambda source, since: True)
    again = runner(committer, first.state)
    again.accept("views", 0, [view(0, 100), view(1, 110), view(2, 120)], 0)
    await again.step(lambda source, since: True)
    assert committer.outputs() == [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")]


async def test_due_things_show_by_stream_time_alone_while_behind() -> None:
    committer = Recorder()
    one = runner(committer, wall=10**15)
    one.accept("views", 0, [view(0, 100), view(1, SILENCE_MS + 100 + GRACE, b"b")], 0)
    await one.step(lambda source, since: True)
    one.accept("opens", 0, [], 0)
    await one.step(lambda source, since: False)
    assert committer.outputs() == [(b"a", b"1"), (b"b", b"1"), (b"a", b"silent 1")]


async def test_due_things_show_by_the_wall_clock_when_caught_up_and_live() -> None:
    committer = Recorder()
    one = runner(committer, wall=SILENCE_MS + 100 + GRACE)
    one.accept("views", 0, [view(0, 100)], 0)
    await one.step(lambda source, since: True)
    assert await one.step(lambda source, since: True)
    assert committer.outputs()[-1] == (b"a", b"silent 1")


async def test_the_wall_clock_does_not_drive_on_what_was_heard_before_an_outage() -> None:
    """Caught up it was; whether it still is, nobody has said for a while."""
    committer = Recorder()
    wall = SILENCE_MS + 100 + GRACE
    one = runner(committer, wall=wall)
    one.accept("views", 0, [view(0, 100)], 0)
    await one.step(lambda source, since: True)
    assert not await one.step(lambda source, since: since <= wall - 10 * HEARD_MS)
    assert await one.step(lambda source, since: since <= wall - HEARD_MS)


async def test_after_an_import_the_wall_clock_makes_nothing_due() -> None:
    committer = Recorder()
    one = runner(committer, wall=10**15)
    one.accept("views", 0, [view(0, 100, arrival=10**15)], 0)
    await one.step(lambda source, since: True)
    assert not await one.step(lambda source, since: True)


async def test_a_bad_record_is_handled_and_its_offset_applied() -> None:
    committer = Recorder()
    one = runner(committer)
    one.accept("views", 0, [PlainRecord("views", 0, 7, 1, b"a", b"garbage")], 0)
    await one.step(lambda source, since: True)
    assert committer.outputs() == [(b"a", b"garbage")]
    assert one.state.applied == {"views": 7}
    assert one.state.stream_time is None


async def test_while_something_needed_is_away_the_runner_waits_and_says_so() -> None:
    class Away(CountingLogic):
        calls = 0

        def decode(self, record):  # type: ignore[no-untyped-def]
            self.calls += 1
            if self.calls == 1:
                raise Unavailable("the registry does not answer")
            return super().decode(record)

    class Hears(Observer):
        def __init__(self) -> None:
            self.reasons: list[str] = []

        def waiting(self, reason: str) -> None:
            self.reasons.append(reason)
            assert one.waits is True

    written, hears = asyncio.Event(), Hears()
    committer = Recorder(before=lambda effects: written.set())
    one = runner(committer, logic=Away(), observer=hears)
    task = asyncio.create_task(one.run(lambda source, since: True))
    one.accept("views", 0, [view(0, 100)], 0)
    await asyncio.wait_for(written.wait(), 5)
    one.stop()
    await task
    assert hears.reasons == ["the registry does not answer"]
    assert one.waits is False


async def test_a_stopped_runner_ends_its_batch_and_takes_no_more() -> None:
    committer = Recorder(before=lambda effects: one.stop())
    one = runner(committer, batch_s=0)
    one.accept("views", 0, [view(i, i) for i in range(PIECE_RECORDS + 1)], 0)
    await asyncio.wait_for(one.run(lambda source, since: True), 5)
    assert [effects.progress.applied for effects in committer.history] == [{"views": PIECE_RECORDS - 1}]
    assert not one.wants("views")


async def test_a_backlog_goes_into_one_transaction_while_the_batch_has_time() -> None:
    committer = Recorder()
    one = runner(committer, batch_s=60)
    one.accept("views", 0, [view(i, i) for i in range(3 * PIECE_RECORDS + 1)], 0)
    assert await one.step(lambda source, since: True)
    assert [effects.progress.applied for effects in committer.history] == [{"views": 3 * PIECE_RECORDS}]
    assert not await one.step(lambda source, since: True)


async def test_a_batch_that_meets_what_can_not_be_decoded_yet_commits_what_came_before() -> None:
    class Away(CountingLogic):
        def decode(self, record: Record) -> Any:
            if record.offset == PIECE_RECORDS:
                raise Unavailable("the registry does not answer")
            return super().decode(record)

    committer = Recorder()
    one = runner(committer, logic=Away(), batch_s=60)
    one.accept("views", 0, [view(i, i) for i in range(PIECE_RECORDS)], 0)
    one.accept("views", PIECE_RECORDS, [view(PIECE_RECORDS, PIECE_RECORDS)], 0)
    assert await one.step(lambda source, since: True)
    with pytest.raises(Unavailable):
        await one.step(lambda source, since: True)
    assert [effects.progress.applied for effects in committer.history] == [{"views": PIECE_RECORDS - 1}]


async def test_a_source_that_fills_up_is_not_fetched_and_others_are() -> None:
    one = runner(Recorder())
    one.accept("views", 0, [view(i, i) for i in range(BUFFER_RECORDS)], 0)
    assert (one.wants("views"), one.wants("opens")) == (False, True)
    one.accept("opens", 0, [PlainRecord("opens", 0, 0, 1, b"k", bytes(BUFFER_BYTES))], 0)
    assert not one.wants("opens")


async def test_the_outcome_does_not_depend_on_how_records_were_cut_into_batches() -> None:
    whole, cut = Recorder(), Recorder()
    records = [view(i, i * SILENCE_MS // 3, b"%d" % (i % 4)) for i in range(60)]
    one = runner(whole)
    one.accept("views", 0, records, 0)
    while await one.step(lambda source, since: True):
        pass
    two = runner(cut)
    for record in records:
        two.accept("views", 0, [record], 0)
        await two.step(lambda source, since: True)
    while await two.step(lambda source, since: True):
        pass
    assert [o for o in whole.outputs() if b"silent" not in (o[1] or b"")] != []
    for field in ("applied", "stream_time", "live", "note"):
        assert getattr(one.state, field) == getattr(two.state, field)
