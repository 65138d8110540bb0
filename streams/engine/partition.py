"""One partition's state in memory, and the batch that changes it.

State is packed bytes per key, exactly the changelog's values. A batch works on top of it; nothing of a
batch can be seen here before its transaction is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any

from streams.engine.batching import apply_all, wrap_all
from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD, CorruptChangelog, due_of, wrap
from streams.engine.merge import Decoded
from streams.engine.seam import Effects, Logic, Output, Progress

_DELETED = object()


class PartitionState:
    """Keys, due times and progress of one partition number."""

    __slots__ = (
        "_due",
        "_taken",
        "_waking",
        "_woken",
        "applied",
        "bytes",
        "labels",
        "live",
        "note",
        "number",
        "partitions",
        "stream_time",
        "values",
    )

    def __init__(self, number: int, partitions: int) -> None:
        self.number = number
        self.partitions = partitions
        self.values: dict[bytes, bytes] = {}
        self.applied: dict[str, int] = {}
        self.stream_time: int | None = None
        self.live = False
        self.note = b""
        #: of all keys and their values
        self.bytes = 0
        #: how many keys there are of each label; None while nobody has counted
        self.labels: dict[str, int] | None = {}
        self._waking = False
        self._woken: list[bytes] = []
        self._due: list[tuple[int, bytes]] = []
        self._taken: set[bytes] = set()

    @property
    def waking(self) -> bool:
        """Whether keys that were woken have not been seen yet."""
        return bool(self._woken)

    @property
    def busy(self) -> bool:
        """Whether keys were taken by `take_due` for a batch that is not applied yet."""
        return bool(self._taken)

    def adopt(self, progress: Progress) -> None:
        self.applied = dict(progress.applied)
        self.stream_time = progress.stream_time
        self.live = progress.live
        self.note = progress.note
        self.labels = progress.labels
        self._waking = progress.waking

    @property
    def progress(self) -> Progress:
        """What was adopted, or has come of it."""
        return Progress(
            dict(self.applied), self.stream_time, self.live, self.partitions, self.note, self.waking, self.labels
        )

    def restored(self) -> None:
        """The changelog was read to its end: find the timers again, and wake again who was to be woken."""
        self.bytes = sum(map(len, self.values)) + sum(map(len, self.values.values()))
        self.rebuild_timers()
        if self._waking:
            self.wake_all()

    def wake_all(self) -> None:
        """Every key comes up once, whatever its due time."""
        self._woken = list(self.values)

    def count_labels(self, logic: Logic) -> None:
        """Count what an earlier release left uncounted."""
        if self.labels is None:
            unpack, label = logic.unpack, logic.label
            self.labels = dict(Counter(label(unpack(value[PAYLOAD:])) for value in self.values.values()))

    def rebuild_timers(self) -> None:
        """Find all due times again, from the envelopes alone."""
        due = ((due_of(value), key) for key, value in self.values.items())
        self._due = [(at, key) for at, key in due if at is not None]
        heapify(self._due)

    def apply(self, effects: Effects) -> None:
        """Make a committed batch the present."""
        timers, grown = apply_all(self.values, effects.changed, self._taken)
        for timer in timers:
            heappush(self._due, timer)
        self.bytes += grown
        self._taken.clear()
        self.adopt(effects.progress)
        if effects.wake_all:
            self.wake_all()
        if len(self._due) > 2 * len(self.values) + 1000:
            self.rebuild_timers()

    def take_due(self, at: int, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` (due time, key) pairs due at or before `at`, in due order, then keys that were woken. The
        batch that does them must be applied next.
        """
        taken: list[tuple[int, bytes]] = []
        while self._due and self._due[0][0] <= at and len(taken) < limit:
            entry_due, key = heappop(self._due)
            value = self.values.get(key)
            due = due_of(value) if value is not None else None
            if due is None or key in self._taken:
                continue
            if due > entry_due:
                heappush(self._due, (due, key))
                continue
            self._taken.add(key)
            taken.append((due, key))
        while self._woken and len(taken) < limit:
            key = self._woken.pop()
            if key in self.values and key not in self._taken:
                self._taken.add(key)
                taken.append((at, key))
        return taken


class StateBatch:
    """The changes of one batch on top of a partition's state (the `Batch` of the seam)."""

    __slots__ = (
        "_dirty",
        "_labels",
        "_logic",
        "_objects",
        "_state",
        "_wakes",
        "clock",
        "live",
        "note",
        "outputs",
        "packed",
        "partition",
        "stream_time",
        "waking",
    )

    def __init__(self, state: PartitionState, logic: Logic, clock: int | None = None) -> None:
        self._state = state
        self._logic = logic
        self._objects: dict[bytes, Any] = {}
        self._dirty: dict[bytes, int | None] = {}
        self.packed: dict[bytes, tuple[bytes, int | None]] = {}
        self._labels: dict[bytes, str] = {}
        self.outputs: list[Output] = []
        self.stream_time = state.stream_time
        self.live = state.live
        self.note = state.note
        self._wakes = False
        self.partition = state.number
        self.clock = clock
        self.waking = state.waking or state.busy

    @property
    def values(self) -> dict[bytes, bytes]:
        return self._state.values

    @property
    def opened(self) -> dict[bytes, Any]:
        return self._objects

    def get(self, key: bytes) -> Any | None:
        found = self._objects.get(key)
        if found is not None:
            return None if found is _DELETED else found
        packed = self.packed.pop(key, None)
        if packed is not None:
            payload, self._dirty[key] = packed
        else:
            value = self._state.values.get(key)
            if value is None:
                return None
            payload = value[PAYLOAD:]
        found = self._objects[key] = self._unpacked(key, payload)
        self._labels[key] = self._logic.label(found)  # now: the logic may change the object in place
        return found

    def _unpacked(self, key: bytes, payload: bytes) -> Any:
        try:
            return self._logic.unpack(payload)
        except Exception as error:
            raise CorruptChangelog(
                f"The changelog's state of the key {key!r}, partition {self.partition}, is not this application's: "
                f"{error}. State is never guessed: find out who else writes to the changelog, or which release did."
            ) from error

    def due(self, key: bytes) -> int | None:
        if key in self._dirty:
            return self._dirty[key]
        if key in self.packed:
            return self.packed[key][1]
        value = self._state.values.get(key)
        return None if value is None else due_of(value)

    def put(self, key: bytes, state: Any, due: int | None) -> None:
        self.packed.pop(key, None)
        self._objects[key] = state
        self._dirty[key] = due

    def delete(self, key: bytes) -> None:
        self.packed.pop(key, None)
        self._objects[key] = _DELETED
        self._dirty[key] = None

    def emit(self, output: Output) -> None:
        self.outputs.append(output)

    def wake_all(self) -> None:
        self._wakes = True

    def run_due(self, due: list[tuple[int, bytes]], at: int) -> None:
        """Let the logic do what is due. A key that stays due would come up for ever: that is a defect of
        the logic.
        """
        for _, key in due:
            self._logic.due(key, at, self)
            left = self.due(key)
            if left is not None and left <= at:
                raise AssertionError(f"after due() at {at} the key {key!r} is still due at {left}")

    def run(self, items: list[Decoded], clock: Clock) -> None:
        """Handle items in order; stream time moves after each."""
        handle, shortcut = self._logic.handle, self._logic.shortcut
        place = 0
        while place < len(items):
            if shortcut is not None:
                place, time, arrival = shortcut.run(items, place, self)
                if time is not None and arrival is not None:
                    self.stream_time = time
                    self.live = clock.is_live(time, arrival)
                if place == len(items):
                    break
            record, item = items[place]
            handle(record, item, self)
            place += 1
            time = item.time
            if time is not None and (self.stream_time is None or time > self.stream_time):
                self.stream_time = time
                self.live = clock.is_live(time, record.timestamp)

    def effects(self, items: list[Decoded]) -> Effects:
        """Pack what changed, each key once."""
        applied = dict(self._state.applied)
        for record, _ in items:
            applied[record.topic] = record.offset
        state = self._state
        waking = self._wakes or state.waking
        labels = dict(state.labels or ())
        changed = dict(self._changed(labels))
        wrap_all(self.packed, changed)
        made = sum(key not in state.values for key in self.packed)
        if made and self._logic.shortcut is not None:
            label = self._logic.shortcut.label
            labels[label] = labels.get(label, 0) + made
        progress = Progress(applied, self.stream_time, self.live, state.partitions, self.note, waking, labels)
        return Effects(state.number, self.outputs, changed, progress, self._wakes)

    def _changed(self, labels: dict[str, int]) -> Iterator[tuple[bytes, bytes | None]]:
        """What changed; `labels` is brought up to it."""
        pack, label, values = self._logic.pack, self._logic.label, self._state.values
        for key, due in self._dirty.items():
            state = self._objects[key]
            before = values.get(key)
            was = None
            if before is not None:
                was = self._labels.get(key) or label(self._unpacked(key, before[PAYLOAD:]))
            if state is not _DELETED:
                _relabel(labels, was, label(state))
                yield key, wrap(pack(state), due)
            elif was is not None:
                _relabel(labels, was, None)
                yield key, None


def _relabel(labels: dict[str, int], was: str | None, now: str | None) -> None:
    """One key's label changes; None stands for no key."""
    if now == was:
        return
    if now is not None:
        labels[now] = labels.get(now, 0) + 1
    if was is not None:
        labels[was] = labels.get(was, 0) - 1
