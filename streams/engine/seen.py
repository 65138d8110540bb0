"""Since when records are known to be in their log.

A fetcher that is far behind hears of the log's end with each answer, long before it reads what is there. That settles
history (`merge.SETTLE_MS`) without a wait: what was below the end a second ago has been there for a second.
"""

from __future__ import annotations

from collections import deque

#: Ends are remembered no closer together than this, so that a source that nobody reads for long takes no room.
_APART_MS = 100


class LogSeen:
    """Of one partition. Offsets are asked for in rising order."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends: deque[tuple[int, int]] = deque()

    def heard(self, end: int, at: int) -> None:
        """The log's (stable) end was heard at this instant, in ms of the wall clock."""
        if not self._ends or (end > self._ends[-1][0] and at >= self._ends[-1][1] + _APART_MS):
            self._ends.append((end, at))

    def since(self, offset: int, now: int) -> int:
        """When the record at `offset` is known to have been there: at `now`, or longer ago."""
        while self._ends and self._ends[0][0] <= offset:
            self._ends.popleft()
        return min(self._ends[0][1], now) if self._ends else now
