from __future__ import annotations

import pytest
from counting import SILENCE_MS, Count, CountingLogic
from hypothesis import given
from hypothesis import strategies as st
from record_batches import last_of

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD, CorruptChangelog, wrap
from streams.engine.partition import PartitionState
from streams.engine.seam import Effects, Output, PlainRecord, Progress
from streams.engine.table import Table

LOGIC = CountingLogic()


def batch_of(state: PartitionState, *events: tuple[bytes, int]) -> Effects:
    applied = state.applied.get("views", -1)
    records = [PlainRecord("views", 3, applied + 1 + i, at, key, b"%d" % at) for i, (key, at) in enumerate(events)]
    items = [(record, LOGIC.decode(record)) for record in records]
    batch = StateBatch(state, LOGIC)
    batch.run(items, Clock("wall", 1000))
    return batch.effects(last_of(items))


def test_nothing_of_a_batch_shows_before_it_is_applied() -> None:
    state = PartitionState(3, 12)
    state.apply(batch_of(state, (b"a", 100)))
    before = dict(state.values)
    effects = batch_of(state, (b"a", 200), (b"b", 300))
    assert state.values == before
    assert (state.stream_time, state.applied) == (100, {"views": 0})
    state.apply(effects)
    assert (state.stream_time, state.applied) == (300, {"views": 2})
    assert LOGIC.unpack(state.values[b"a"][PAYLOAD:]) == Count(2, 200)


def test_state_that_the_logic_does_not_know_is_named_with_its_key_and_partition() -> None:
    state = PartitionState(3, 12)
    state.values[b"a"] = wrap(b"somebody else's", None)
    with pytest.raises(CorruptChangelog, match=r"b'a', partition 3, is not this application's"):
        batch_of(state, (b"a", 100))


def test_the_same_batch_twice_from_the_same_state_gives_the_same_effects() -> None:
    state = PartitionState(3, 12)
    state.apply(batch_of(state, (b"a", 100)))
    assert batch_of(state, (b"a", 200), (b"a", 300)) == batch_of(state, (b"a", 200), (b"a", 300))


def test_a_key_touched_often_is_written_once() -> None:
    state = PartitionState(3, 12)
    effects = batch_of(state, *[(b"a", at) for at in range(100, 150)])
    assert list(effects.changed) == [b"a"]
    assert len(effects.outputs) == 50


@given(st.lists(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(1, 99)), max_size=5), max_size=8))
def test_keys_are_counted_by_label_and_bytes_as_a_look_at_all_of_them_would(
    batches: list[list[tuple[bytes, int]]],
) -> None:
    state = PartitionState(3, 12)
    for number, events in enumerate(batches):
        state.apply(batch_of(state, *events))
        if number % 3 == 2:  # what is silent for long is deleted
            batch = StateBatch(state, LOGIC)
            batch.run_due(state.take_due(2**60, 1), 2**60)
            state.apply(batch.effects({}))
    counted = {label: count for label, count in (state.labels or {}).items() if count}
    bytes_held, state.labels = state.bytes, None
    state.restored()
    state.count_labels(LOGIC)
    assert (counted, bytes_held) == (state.labels, state.bytes)


def test_a_key_that_was_made_and_deleted_in_one_batch_leaves_no_trace() -> None:
    batch = StateBatch(PartitionState(0, 1), LOGIC)
    batch.put(b"a", Count(1, 1), None)
    batch.delete(b"a")
    assert batch.get(b"a") is None
    assert batch.effects({}).changed == {}


def test_a_deleted_key_is_a_tombstone_and_can_come_back() -> None:
    state = PartitionState(0, 1)
    state.values[b"a"] = wrap(LOGIC.pack(Count(5, 5)), None)
    batch = StateBatch(state, LOGIC)
    batch.delete(b"a")
    assert batch.effects({}).changed == {b"a": None}
    batch.put(b"a", Count(1, 9), None)
    assert batch.get(b"a") == Count(1, 9)


def test_stream_time_never_goes_back_and_is_live_as_its_own_record_was() -> None:
    state = PartitionState(3, 12)
    batch = StateBatch(state, LOGIC)
    seen = []
    records = [
        PlainRecord("views", 3, 0, 100, b"a", b"100"),
        PlainRecord("views", 3, 1, 9_000_000, b"a", b"200"),  # arrived hours late
        PlainRecord("views", 3, 2, 150, b"a", b"150"),
    ]
    for record in records:
        item = LOGIC.decode(record)
        seen.append(batch.stream_time)
        batch.run([(record, item)], Clock("wall", 1000))
    assert seen == [None, 100, 200]
    assert (batch.stream_time, batch.live) == (200, False)


def test_due_keys_come_in_due_order_once_and_up_to_the_limit() -> None:
    state = PartitionState(3, 12)
    state.apply(batch_of(state, (b"b", 200), (b"a", 100), (b"c", 300)))
    assert state.take_due(SILENCE_MS, 9) == []
    assert state.take_due(SILENCE_MS + 300, 2) == [(SILENCE_MS + 100, b"a"), (SILENCE_MS + 200, b"b")]
    assert state.take_due(SILENCE_MS + 300, 2) == [(SILENCE_MS + 300, b"c")]


def test_a_key_that_is_put_off_is_not_due_at_its_old_time() -> None:
    state = PartitionState(3, 12)
    state.apply(batch_of(state, (b"a", 100)))
    state.apply(batch_of(state, (b"a", 500)))
    assert state.take_due(SILENCE_MS + 499, 9) == []
    assert state.take_due(SILENCE_MS + 500, 9) == [(SILENCE_MS + 500, b"a")]


def test_what_is_due_runs_and_commits_like_a_record() -> None:
    state = PartitionState(3, 12)
    state.apply(batch_of(state, (b"a", 100), (b"a", 110)))
    at = SILENCE_MS + 200
    batch = StateBatch(state, LOGIC)
    batch.run_due(state.take_due(at, 9), at)
    effects = batch.effects({})
    assert effects == Effects(
        3,
        [Output("counted", b"a", b"silent 2")],
        {b"a": None},
        Progress({"views": 1}, 110, True, 12, labels={"more": 0}),
    )
    state.apply(effects)
    assert (state.values, state.take_due(2**60, 9)) == ({}, [])


def test_a_key_that_stays_due_is_a_defect_and_not_an_endless_loop() -> None:
    class Lazy(CountingLogic):
        def due(self, key, at, batch):  # type: ignore[no-untyped-def]
            batch.put(key, batch.get(key), at)

    state = PartitionState(3, 12)
    state.apply(batch_of(state, (b"a", 100)))
    with pytest.raises(AssertionError, match="still due"):
        StateBatch(state, Lazy()).run_due(state.take_due(2**60, 9), 2**60)


def woken(state: PartitionState, logic: CountingLogic, limit: int) -> list[bytes | None]:
    """The keys that a batch with nothing else to do sees."""
    batch = StateBatch(state, logic)
    due = state.take_due(200, limit)
    logic.begin(batch)
    batch.run_due(due, 200)
    effects = batch.effects({})
    state.apply(effects)
    return [output.key for output in effects.outputs]


def test_keys_that_are_woken_are_each_seen_once_a_few_with_every_batch() -> None:
    state, logic = PartitionState(3, 12), CountingLogic()
    state.apply(batch_of(state, (b"a", 100), (b"b", 100), (b"c", 100)))
    logic.word = b"look"
    assert woken(state, logic, 2) == []
    assert (state.note, state.waking) == (b"look", True)
    assert [len(woken(state, logic, 2)) for _ in range(3)] == [2, 1, 0]
    assert not state.waking


def test_a_restart_while_keys_are_woken_wakes_them_all_again_and_one_after_it_none() -> None:
    before, logic = PartitionState(3, 12), CountingLogic()
    before.apply(batch_of(before, (b"a", 100), (b"b", 100)))
    logic.word = b"look"
    for seen, waking in ((0, True), (1, True), (1, False)):
        assert len(woken(before, logic, 1)) == seen
        after = PartitionState(3, 12)
        after.values = Table(before.values)
        after.adopt(Progress({}, 100, True, 12, before.note, before.waking))
        after.restored()
        assert len(woken(after, logic, 9)) == (2 if waking else 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(1, 60), st.booleans()), max_size=80))
def test_timers_never_lose_or_invent_a_due_time(history: list[tuple[int, int | None, bool]]) -> None:
    """Against the plain twin, a dictionary of due times, through puts, deletions and turns of the clock."""
    state, plain, now = PartitionState(0, 1), dict[bytes, int](), 0
    for number, due, tick in history:
        key = b"%d" % number
        if tick:
            now += number
            taken = state.take_due(now, 100)
            expected = sorted((at, k) for k, at in plain.items() if at <= now)
            assert sorted(taken) == expected
            assert [at for at, _ in taken] == sorted(at for at, _ in taken)
            changed = {k: wrap(b"", now + 7) for _, k in taken}
            plain |= {k: now + 7 for _, k in taken}
        else:
            later = None if due is None else now + due
            changed = {key: None if due == 1 else wrap(b"", later)}
            plain.pop(key, None)
            if due not in (None, 1):
                plain[key] = later  # type: ignore[assignment]
        state.apply(Effects(0, [], changed, Progress({}, None, False, 1)))
    restored = PartitionState(0, 1)
    restored.values = Table(state.values)
    restored.rebuild_timers()
    assert sorted(restored.take_due(2**60, 100)) == sorted((at, k) for k, at in plain.items())
