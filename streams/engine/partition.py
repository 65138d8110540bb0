"""One partition's state in memory: packed bytes per key, exactly the changelog's values.

A batch works on top of it (`batch.py`); nothing of a batch can be seen here before its transaction is committed.
"""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heappop, heappush

from streams.engine.envelope import PAYLOAD, due_of
from streams.engine.envelopes import apply_all, timers_of
from streams.engine.seam import Effects, Logic, Progress
from streams.engine.table import Table


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
        self.values = Table()
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
        """Find all due times again, and how many bytes there are, from what is kept alone."""
        self._due, self.bytes = timers_of(self.values)
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
