"""Records of several topics in the order in which they were written, so that a lead's come in its order.

A lead's records are on one partition number of every topic. A consumer gets each topic's by themselves, and after an
outage thousands of one before the first of another. So of each number the earliest goes next, and while one of its
topics may still hold something earlier, the others wait. Topics that were read to their end once are not waited for:
what comes fresh comes within milliseconds of the others, and `lanes` waits for that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from streams.relay.intake import Raw
from streams.relay.offsets import Place


@dataclass(slots=True)
class _Stream:
    """What was read of one partition of one topic; `ended`: nothing more was there when its end was reached."""

    waiting: deque[Raw] = field(default_factory=deque)
    ended: bool = False


class Merge:
    """`apart` are topics that are read as they come. A topic that neither gives nor ends is waited for `patience_s`."""

    def __init__(self, apart: Sequence[str], patience_s: float, clock: Callable[[], float]) -> None:
        self._apart = frozenset(apart)
        self._patience_s = patience_s
        self._clock = clock
        self._groups: dict[object, dict[Place, _Stream]] = {}
        self._stuck_since: dict[object, float] = {}

    def assigned(self, places: Iterable[Place]) -> None:
        for place in places:
            self._groups.setdefault(self._group(place), {})[place] = _Stream()

    def revoked(self, places: Iterable[Place]) -> None:
        for place in places:
            group = self._group(place)
            self._groups.get(group, {}).pop(place, None)
            if not self._groups.get(group):
                self._groups.pop(group, None)
                self._stuck_since.pop(group, None)

    def add(self, raw: Raw) -> None:
        """A record was read. Of a place that was given away: nothing."""
        stream = self._stream((raw.topic, raw.partition))
        if stream is not None:
            stream.waiting.append(raw)

    def ended(self, place: Place) -> None:
        """The place is read to its end."""
        stream = self._stream(place)
        if stream is not None:
            stream.ended = True

    def behind(self, place: Place) -> None:
        """The place is not read for a while: how far it goes is not known any more."""
        stream = self._stream(place)
        if stream is not None:
            stream.ended = False

    def waiting(self, place: Place) -> int:
        stream = self._stream(place)
        return 0 if stream is None else len(stream.waiting)

    def take(self, most: int) -> list[Raw]:
        """Records that may go now: about `most`, since those of one instant go together and are put in order later."""
        taken: list[Raw] = []
        for group, streams in self._groups.items():
            horizon, last = self._horizon(group, streams), -1
            while (stream := _earliest(streams)) is not None:
                at = stream.waiting[0].at
                if at >= horizon or (len(taken) >= most and at != last):
                    break
                taken.append(stream.waiting.popleft())
                last = at
        return taken

    def _horizon(self, group: object, streams: dict[Place, _Stream]) -> float:
        """Up to when, in ms, everything that the group's topics hold was read."""
        if len(streams) == 1:
            return math.inf
        known = [stream.waiting[-1].at if stream.waiting else -1 for stream in streams.values() if not stream.ended]
        horizon = min(known, default=math.inf)
        first = _earliest(streams)
        if first is None or first.waiting[0].at < horizon:
            self._stuck_since.pop(group, None)
        elif self._clock() - self._stuck_since.setdefault(group, self._clock()) >= self._patience_s:
            return math.inf
        return horizon

    def _stream(self, place: Place) -> _Stream | None:
        return self._groups.get(self._group(place), {}).get(place)

    def _group(self, place: Place) -> object:
        return place if place[0] in self._apart else place[1]


def _earliest(streams: dict[Place, _Stream]) -> _Stream | None:
    given = [stream for stream in streams.values() if stream.waiting]
    return min(given, key=lambda stream: stream.waiting[0].at, default=None)
