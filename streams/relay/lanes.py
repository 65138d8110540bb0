"""Which items may go next: each lead's in their order, one at a time; different leads' side by side."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from streams.relay.facts import is_score, time_of
from streams.relay.offsets import Place

#: Of so many leads it is known which record went last.
_LEADS_KNOWN: Final = 100_000


@dataclass(slots=True, eq=False)
class Item:
    """One record on its way to one target.

    `source` is where it was first read (for a retried dead letter, where that one was); `place` and `offset` are what
    moves on when it is finished. `not_before` and `hold_until` are times of the delivery's clock, in seconds: an item
    goes not before the one, and until the other only if nothing of its lead is missing before it.
    """

    place: Place
    offset: int
    source: tuple[str, int, int]
    key: bytes | None
    value: bytes
    lead_id: str
    event_id: str
    record: dict[str, Any]
    retried: bool = False
    attempts: int = 0
    not_before: float = 0.0
    hold_until: float = 0.0
    seen: float = field(default=0.0)

    @property
    def order(self) -> tuple[int, int, bool]:
        """Where it belongs among its lead's: by time first, since an erased lead's count begins anew."""
        return time_of(self.record), self.record["sequence"], is_score(self.record)


class Lanes:
    """A queue for each lead. An item taken keeps its lead's lane until it is finished or put back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, deque[Item]] = {}
        self._taken: set[str] = set()
        self._sequences: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def in_flight(self) -> int:
        return len(self._taken)

    def add(self, item: Item) -> None:
        """Into its place among what waits of its lead; what comes back goes last."""
        lane = self._waiting.setdefault(item.lead_id, deque())
        later: list[Item] = []
        while lane and not item.retried and not lane[-1].retried and lane[-1].order > item.order:
            later.append(lane.pop())
        lane.append(item)
        lane.extend(reversed(later))

    def take(self, most: int) -> list[Item]:
        """Up to `most` items that may go now, of as many leads, the longest waiting leads first."""
        now = self._clock()
        taken: list[Item] = []
        for lead_id in list(self._waiting):
            if len(taken) == most:
                break
            lane = self._waiting[lead_id]
            if lead_id not in self._taken and self._may_go_at(lane[0]) <= now:
                item = lane.popleft()
                taken.append(item)
                self._taken.add(lead_id)
                self._note(item)
                del self._waiting[lead_id]
                if lane:
                    self._waiting[lead_id] = lane
        return taken

    def put_back(self, item: Item) -> None:
        """To the head of its lead's lane again."""
        self._taken.discard(item.lead_id)
        self._waiting.setdefault(item.lead_id, deque()).appendleft(item)

    def finish(self, item: Item) -> None:
        """Delivered, skipped or parked: the lead's next item may go."""
        self._taken.discard(item.lead_id)

    def drop(self, places: Iterable[Place]) -> None:
        """Forget what waits of these places: another consumer has them now."""
        gone = set(places)
        for lead_id, lane in list(self._waiting.items()):
            kept = deque(item for item in lane if item.place not in gone)
            if kept:
                self._waiting[lead_id] = kept
            else:
                del self._waiting[lead_id]

    def next_in_s(self) -> float | None:
        """Seconds until a lane that is not taken has an item that may go; None when there is none."""
        times = [self._may_go_at(lane[0]) for lead, lane in self._waiting.items() if lead not in self._taken]
        return max(0.0, min(times) - self._clock()) if times else None

    def _may_go_at(self, item: Item) -> float:
        return max(item.not_before, item.hold_until) if self._follows_a_gap(item) else item.not_before

    def _follows_a_gap(self, item: Item) -> bool:
        """Whether records of the lead may be missing before it: its count has no gaps, and begins with 1."""
        before = item.record["sequence"] - (not is_score(item.record))
        return before > self._sequences.get(item.lead_id, 0)

    def _note(self, item: Item) -> None:
        self._sequences[item.lead_id] = 0 if item.record.get("cause") == "ERASED" else item.record["sequence"]
        self._sequences.move_to_end(item.lead_id)
        while len(self._sequences) > _LEADS_KNOWN:
            self._sequences.popitem(last=False)
