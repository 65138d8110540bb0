"""What the engine makes of a shortcut's word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from counting import Count, CountingLogic, Event
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD, wrap
from streams.engine.merge import Decoded
from streams.engine.partition import PartitionState
from streams.engine.seam import Batch, Item, PackedBatch, PlainRecord, Ran, Record

GRACE = 1000
_Record = tuple[bytes, int, int]


class Seen(CountingLogic):
    """Counts, writes nothing, and notes at what stream time it was asked about which offset."""

    shortcut: Halves | None = None

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, int | None] = {}

    def begin(self, batch: Batch) -> bool:
        return False

    def handle(self, record: Record, item: Event, batch: Batch) -> None:
        assert record.key is not None
        assert item.time is not None
        self.seen[record.offset] = batch.stream_time
        before = batch.get(record.key)
        if item.time == 7:  # somebody goes
            batch.delete(record.key)
        else:
            batch.put(record.key, after(before, item.time), None)

    def label(self, state: Count) -> str:
        return "short" if state.number < 3 else "long"


def after(count: Count | None, at: int) -> Count:
    return Count(1, at) if count is None else Count(count.number + 1, max(count.last, at))


class Halves:
    """Takes records of even times; those of odd times are left, with all that follows for their keys, and so are keys
    that will have another label.
    """

    label = "short"

    def __init__(self, logic: Seen) -> None:
        self._logic = logic

    def decode(self, records: Sequence[Record], otherwise: Callable[[Record], Item]) -> list[tuple[Record, Any]]:
        return [(record, otherwise(record)) for record in records]

    def run(self, items: list[Decoded], start: int, batch: PackedBatch) -> Ran:
        closed, left, made = set(batch.opened), [], 0
        time, moved, arrival = batch.stream_time, None, None
        for place, (record, item) in enumerate(items[start:], start):
            assert record.key is not None
            assert item.time is not None
            known = batch.packed.get(record.key) or batch.values.get(record.key)
            count = after(self._logic.unpack(known[PAYLOAD:]) if known else None, item.time)
            if item.time % 2 or record.key in closed or count.number == 3:
                closed.add(record.key)
                left.append((place, time))
            else:
                made += not known
                batch.packed[record.key] = wrap(self._logic.pack(count), None)
            if time is None or item.time > time:
                time = moved = item.time
                arrival = record.timestamp
        return Ran(len(items), moved, arrival, made, left)


def _run(batches: list[list[list[_Record]]], short: bool) -> tuple[PartitionState, Seen]:
    """Batches of pieces of records."""
    logic, state, offset = Seen(), PartitionState(0, 1), 0
    if short:
        logic.shortcut = Halves(logic)
    for pieces in batches:
        batch = StateBatch(state, logic)
        for rows in pieces:
            records = []
            for key, at, late in rows:
                records.append(PlainRecord("views", 0, offset, at + late, key, b"%d" % at))
                offset += 1
            batch.run([(record, logic.decode(record)) for record in records], Clock("wall", GRACE))
        state.apply(batch.effects({"views": offset - 1}))
    return state, logic


_rows = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 12), st.sampled_from([0, 2 * GRACE])))


@given(st.lists(st.lists(_rows, max_size=4), max_size=4))
def test_a_batch_with_a_shortcut_comes_to_what_it_comes_to_without(batches: list[list[list[_Record]]]) -> None:
    state, plain = _run(batches, short=False)
    other, short = _run(batches, short=True)
    assert other.values == state.values
    assert (other.stream_time, other.live) == (state.stream_time, state.live)
    counted = {label: number for label, number in (other.labels or {}).items() if number}
    assert counted == {label: number for label, number in (state.labels or {}).items() if number}
    assert short.seen.items() <= plain.seen.items(), "what is left is asked at the stream time before it"


def test_a_key_that_was_left_goes_the_short_way_again_in_the_next_piece() -> None:
    piece = [(b"a", 1, 0), (b"b", 3, 0), (b"b", 4, 0)]
    state, logic = _run([[piece, [(b"a", 6, 0)]]], short=True)
    assert list(logic.seen) == [0, 1, 2], "what follows in the same piece is left, too; the last is not"
    assert logic.unpack(state.values[b"a"][PAYLOAD:]).number == 2
