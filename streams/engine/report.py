"""How an engine stands, as one value: made on the event loop once a second, read by any thread.

That it was made lately also says that the event loop runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from faust.types import TP

from streams.engine.runner import PartitionRunner

#: Seconds between two reports.
EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits in a partition of a source topic: how many records, and of the oldest when it arrived and when it
    occurred (ms). Of a record that was not decoded or not fetched yet, both are the best that is known.
    """

    records: int
    arrived: int | None = None
    occurred: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`made_at` is a monotonic clock in seconds, `at` the wall clock in ms. `assigned` is None before the group was
    joined; `running` are those of them that are restored and at work. `keys` (by label) and `bytes` are of their state,
    `stream_time` (ms) is the largest of theirs. `stalled_s`: for so long work is there and nothing was done, though
    nothing is known to be in the way; `limit_s` of it end the process. `away`: no broker answers.
    """

    made_at: float
    at: int
    assigned: frozenset[int] | None
    running: frozenset[int]
    lag: Mapping[TP, Lag]
    keys: Mapping[str, int]
    bytes: int
    stream_time: int | None
    away: bool
    stalled_s: float
    limit_s: float

    @property
    def restored(self) -> bool:
        """Whether all that was assigned is at work."""
        return self.assigned is not None and self.assigned <= self.running


def keys_of(runners: Iterable[PartitionRunner]) -> dict[str, int]:
    """How many keys there are of each label."""
    found: dict[str, int] = {}
    for runner in runners:
        for label, count in (runner.state.labels or {}).items():
            found[label] = found.get(label, 0) + count
    return found


class Waiting:
    """Remembers since when records wait that have not been fetched."""

    def __init__(self) -> None:
        self._since: dict[TP, int] = {}

    def lag(self, records: Mapping[TP, int], runners: Mapping[int, PartitionRunner], now: int) -> dict[TP, Lag]:
        """`records` is how many wait in each partition, `now` the wall clock in ms."""
        self._since = {tp: self._since.get(tp, now) for tp, count in records.items() if count}
        return {tp: self._of(tp, count, runners) for tp, count in records.items()}

    def _of(self, tp: TP, count: int, runners: Mapping[int, PartitionRunner]) -> Lag:
        if not count:
            return Lag(0)
        source = runners[tp.partition].sources.get(tp.topic)
        arrived, occurred = source.oldest() if source is not None else (None, None)
        if arrived is None:
            arrived = self._since[tp]
        return Lag(count, arrived, occurred if occurred is not None else arrived)
