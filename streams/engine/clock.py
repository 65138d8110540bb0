"""The clock of a partition: up to when due things may be done without a record having said so.

A partition's clock is its stream time minus grace. When the partition is caught up, and the record that set
its stream time was live (it arrived within grace of when it occurred), nothing older can be on its way any
more than grace allows, so the wall clock minus grace may drive. After an import of history the last record
was not live, and time stands still until the next live one. The clock never goes back.
"""

from __future__ import annotations

from typing import Literal

ClockKind = Literal["wall", "stream"]


class Clock:
    """`grace` in ms. `kind` "stream" never uses the wall clock."""

    __slots__ = ("_kind", "_now", "grace")

    def __init__(self, kind: ClockKind, grace: int) -> None:
        self._kind = kind
        self.grace = grace
        self._now: int | None = None

    def read(self, stream_time: int | None, live: bool, caught_up: bool, wall: int) -> int | None:
        """The clock in ms, None before the first event. `wall` is the wall clock in ms."""
        if stream_time is None:
            return self._now
        now = stream_time - self.grace
        if self._kind == "wall" and live and caught_up:
            now = max(now, wall - self.grace)
        if self._now is None or now > self._now:
            self._now = now
        return self._now

    def is_live(self, event_time: int, arrival: int) -> bool:
        """Whether a record that occurred then and arrived then counts as live."""
        return arrival - event_time <= self.grace
