"""How far each partition is done: the offset below which every record was delivered, skipped or parked."""

from __future__ import annotations

from collections import deque

Place = tuple[str, int]


class Offsets:
    """Of the partitions that this consumer has. Records finish in any order; the finished prefix is committed."""

    def __init__(self) -> None:
        self._open: dict[Place, deque[int]] = {}
        self._done: dict[Place, set[int]] = {}
        self._next: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}

    def read(self, place: Place, offset: int) -> None:
        """The record at `offset` of `place` was read; offsets of a place come in order, not without gaps."""
        self._open.setdefault(place, deque()).append(offset)

    def finish(self, place: Place, offset: int) -> None:
        """The record is delivered, skipped or parked. Of a place that was given away: nothing."""
        waiting = self._open.get(place)
        if waiting is None:
            return
        done = self._done.setdefault(place, set())
        done.add(offset)
        while waiting and waiting[0] in done:
            first = waiting.popleft()
            done.discard(first)
            self._next[place] = first + 1

    def due(self) -> dict[Place, int]:
        """The offsets to commit: where to go on, of every place that moved since `committed`."""
        return {place: offset for place, offset in self._next.items() if self._committed.get(place) != offset}

    def committed(self, offsets: dict[Place, int]) -> None:
        self._committed |= offsets

    def forget(self, place: Place) -> None:
        """The place belongs to another consumer now."""
        for memory in (self._open, self._done, self._next, self._committed):
            memory.pop(place, None)

    @property
    def unfinished(self) -> int:
        """How many records are not done."""
        return self.held - sum(map(len, self._done.values()))

    @property
    def held(self) -> int:
        """How many records a restart would read again: those, and what is done behind the first of them."""
        return sum(map(len, self._open.values()))
