"""What an id remembers of having been erased, lest what was on its way then brings back what is forgotten.

A past, an event or a link may come to an id after its erasure though it is older: it took longer. So an erased id keeps
for a while when that was, and nothing else. What is older then says nothing, and whom it came from, or points to, is
forgotten as it would have been had it come in time.
"""

from __future__ import annotations

import msgspec

#: So long an erasure is remembered, after its time and after it reached us: longer than anything is on its way, unless
#: workers are away for a week.
KEPT_MS = 7 * 86_400_000


class Erased(msgspec.Struct, array_like=True, frozen=True):
    """The id is forgotten as of `until`, as was asked for `waited` ms before. Remembered until `kept_until`.

    Links up to `linked_at` have been followed by the erasure, or are none of its matter. All times are ms.
    """

    until: int
    waited: int
    linked_at: int
    kept_until: int

    @property
    def asked_at(self) -> int:
        return self.until - self.waited

    def covers(self, occurred_at: int, at: int) -> bool:
        """Whether what happened at `occurred_at` and is heard of at `at` (ms) is forgotten already."""
        return occurred_at <= self.until and at < self.kept_until


def erased(asked_at: int, until: int, linked_at: int, arrival: int) -> Erased:
    """A new one. It reached us at `arrival` (ms), which may be long after in an import of history."""
    return Erased(until, until - asked_at, linked_at, max(until, arrival) + KEPT_MS)


def followed_until(since: int, before: Erased | None) -> int:
    """The newest link (ms) that an erasure of an id follows, which was linked, or unlinked, last at `since`.

    `before`: it had been erased before that, and older links may still come.
    """
    return since if before is None or since > before.until else before.linked_at
