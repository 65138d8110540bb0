"""The changes of one batch on top of a partition's state, and what they come to in the world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD, CorruptChangelog, due_of, wrap
from streams.engine.envelopes import seal_all
from streams.engine.merge import Decoded
from streams.engine.partition import PartitionState
from streams.engine.seam import Effects, Logic, Output, Progress, Ran
from streams.engine.table import Table

_DELETED = object()


class StateBatch:
    """The changes of one batch on top of a partition's state (the `Batch` of the seam)."""

    __slots__ = (
        "_dirty",
        "_labels",
        "_logic",
        "_made",
        "_objects",
        "_put_back",
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
        self.packed: dict[bytes, bytes] = {}
        self._labels: dict[bytes, str] = {}
        self._put_back: dict[bytes, str] = {}  # of `packed`: what the logic had in hands, with the label it has now
        self.outputs: list[Output] = []
        self.stream_time = state.stream_time
        self.live = state.live
        self.note = state.note
        self._wakes = False
        self._made = 0  # of `packed`: those that were not there before
        self.partition = state.number
        self.clock = clock
        self.waking = state.waking or state.busy

    @property
    def values(self) -> Table:
        return self._state.values

    @property
    def opened(self) -> dict[bytes, Any]:
        return self._objects

    def get(self, key: bytes) -> Any | None:
        found = self._objects.get(key)
        if found is not None:
            return None if found is _DELETED else found
        packed = self._take_packed(key)
        if packed is not None:
            payload, self._dirty[key] = packed[PAYLOAD:], due_of(packed)
        else:
            value = self._state.values.get(key)
            if value is None:
                return None
            payload = value[PAYLOAD:]
        found = self._objects[key] = self._unpacked(key, payload)
        self._labels.setdefault(key, self._logic.label(found))  # now: the logic may change the object in place
        return found

    def _take_packed(self, key: bytes) -> bytes | None:
        """What a shortcut put, if it did: the key is in the logic's hands from now on."""
        packed = self.packed.pop(key, None)
        if packed is not None and self._put_back.pop(key, None) is None and key not in self._state.values:
            self._made -= 1
        return packed

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
            return due_of(self.packed[key])
        value = self._state.values.get(key)
        return None if value is None else due_of(value)

    def put(self, key: bytes, state: Any, due: int | None) -> None:
        self._take_packed(key)
        self._objects[key] = state
        self._dirty[key] = due

    def delete(self, key: bytes) -> None:
        self._take_packed(key)
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
                ran = shortcut.run(items, place, self)
                self._follow(ran, items, clock)
                place = ran.end
                if place == len(items):
                    break
            record, item = items[place]
            handle(record, item, self)
            place += 1
            time = item.time
            if time is not None and (self.stream_time is None or time > self.stream_time):
                self.stream_time = time
                self.live = clock.is_live(time, record.timestamp)

    def _follow(self, ran: Ran, items: list[Decoded], clock: Clock) -> None:
        """Handle what a shortcut left, and take over what it did."""
        self._made += ran.made
        began_at = self.stream_time
        for place, before in ran.left:
            record, item = items[place]
            self.stream_time = before
            self._logic.handle(record, item, self)
        for place, _ in ran.left:
            self._put_into_packed(items[place][0].key)
        self.stream_time = began_at
        if ran.stream_time is not None and ran.arrival is not None:
            self.stream_time = ran.stream_time
            self.live = clock.is_live(ran.stream_time, ran.arrival)

    def _put_into_packed(self, key: bytes | None) -> None:
        """What comes next for the key may go the short way again."""
        if key is None or key not in self._dirty or self._objects[key] is _DELETED:
            return
        was = self._label_before(key)
        if was is not None:
            self._labels[key] = was
        state, due = self._objects.pop(key), self._dirty.pop(key)
        self.packed[key] = wrap(self._logic.pack(state), due)
        self._put_back[key] = self._logic.label(state)

    def effects(self, taken: Mapping[str, int]) -> Effects:
        """Pack what changed, each key once. `taken` is the last offset that was handled of each topic."""
        state = self._state
        applied = {**state.applied, **taken}
        waking = self._wakes or state.waking
        labels = dict(state.labels or ())
        seal_all(self.packed)
        changed = cast("dict[bytes, bytes | None]", self.packed)  # nobody needs it after this
        changed.update(self._changed(labels))
        if self._made and self._logic.shortcut is not None:
            _relabel(labels, None, self._logic.shortcut.label, self._made)
        progress = Progress(applied, self.stream_time, self.live, state.partitions, self.note, waking, labels)
        return Effects(state.number, self.outputs, changed, progress, self._wakes)

    def _changed(self, labels: dict[str, int]) -> Iterator[tuple[bytes, bytes | None]]:
        """What changed; `labels` is brought up to it."""
        pack, label = self._logic.pack, self._logic.label
        for key, now in self._put_back.items():
            _relabel(labels, self._label_before(key), now)
        for key, due in self._dirty.items():
            state = self._objects[key]
            was = self._label_before(key)
            if state is not _DELETED:
                _relabel(labels, was, label(state))
                yield key, wrap(pack(state), due)
            elif was is not None:
                _relabel(labels, was, None)
                yield key, None

    def _label_before(self, key: bytes) -> str | None:
        """The key's label before this batch; None where there was nothing."""
        values = self._state.values
        if key not in values:
            return None
        return self._labels.get(key) or self._logic.label(self._unpacked(key, values[key][PAYLOAD:]))


def _relabel(labels: dict[str, int], was: str | None, now: str | None, keys: int = 1) -> None:
    """The label of one key, or of more, changes; None stands for no key."""
    if now == was:
        return
    if now is not None:
        labels[now] = labels.get(now, 0) + keys
    if was is not None:
        labels[was] = labels.get(was, 0) - keys
