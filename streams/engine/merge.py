"""One partition number of all source topics, merged by event time.

Events of one key come from several topics, and after an outage or an import one topic may be read days
ahead of another. The head with the smallest time goes first; ties by the topics' order; within a topic
nothing is reordered, so a late record passes when its turn in its topic comes. A topic whose buffer is
empty blocks the merge while it lags, as its next record may be the oldest of all; one that is caught up
does not.

Taking the smallest head again and again is the same as sorting by (rank, topic), where a record's rank is
the largest time so far in its topic: a record behind a later one passes together with it. Sorting is
several times faster than comparing heads, as Python does it in one call; the tests hold it to the plain
merge.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import itemgetter

from streams.engine.seam import Item, Record

Decoded = tuple[Record, Item]
_Ranked = tuple[int, int, Decoded]
_FIRST = -(2**63)
_rank, _order, _decoded = itemgetter(0), itemgetter(1), itemgetter(2)


class SourceBuffer:
    """Records of one topic partition that were fetched and not yet handled.

    `records` counts what waits; `bytes` is the values of those among them that are not decoded yet.
    `next_offset` is one past the last record that was accepted. Records at or below `applied` are dropped
    unseen: they took effect before, in a batch whose group offset was not committed or in another process.
    """

    __slots__ = (
        "_chunks",
        "_index",
        "_items",
        "_ranks",
        "applied",
        "bytes",
        "next_offset",
        "records",
        "topic",
    )

    def __init__(self, topic: str, applied: int) -> None:
        self.topic = topic
        self.applied = applied
        self.next_offset = applied + 1
        self.records = 0
        self.bytes = 0
        self._chunks: deque[Sequence[Record]] = deque()
        self._items: list[Decoded] = []
        self._ranks: list[int] = []
        self._index = 0

    def accept(self, chunk: Sequence[Record]) -> None:
        """Take a chunk in offset order, as it came from the log."""
        fresh = chunk
        if chunk and chunk[0].offset < self.next_offset:
            fresh = [record for record in chunk if record.offset >= self.next_offset]
        if fresh:
            self._chunks.append(fresh)
            self.records += len(fresh)
            self.bytes += sum(len(record.value or b"") for record in fresh)
            self.next_offset = fresh[-1].offset + 1

    def refill(self, decode: Callable[[Record], Item]) -> bool:
        """Have a decoded head if there is any record. What `decode` raises leaves the buffer as it was."""
        if self._index < len(self._items):
            return True
        if not self._chunks:
            return False
        self._items = [(record, decode(record)) for record in self._chunks[0]]
        times = (_FIRST if item.time is None else item.time for _, item in self._items)
        self._ranks = list(accumulate(times, max))
        self._index = 0
        self.bytes -= sum(len(record.value or b"") for record in self._chunks.popleft())
        return True

    @property
    def last_rank(self) -> int:
        """Rank of the last decoded record: no later one has a smaller rank."""
        return self._ranks[-1]

    def up_to(self, rank: int, including: bool, order: int, limit: int) -> list[_Ranked]:
        """Decoded records of a smaller rank, or an equal one if `including`; at most `limit`. They stay."""
        end = (bisect_right if including else bisect_left)(self._ranks, rank, self._index)
        end = min(end, self._index + limit)
        return [
            (rank, order, item)
            for rank, item in zip(self._ranks[self._index : end], self._items[self._index : end], strict=True)
        ]

    def drop(self, count: int) -> None:
        self._index += count
        self.records -= count


def take(
    sources: Sequence[SourceBuffer],
    decode: Callable[[Record], Item],
    caught_up: Callable[[SourceBuffer], bool],
    limit: int,
) -> list[Decoded]:
    """Up to `limit` records in the order in which they are to be handled; fewer when a lagging topic
    blocks.
    """
    taken: list[Decoded] = []
    while len(taken) < limit:
        ready = []
        for order, source in enumerate(sources):
            if source.refill(decode):
                ready.append((source.last_rank, order, source))
            elif not caught_up(source):
                return taken
        if not ready:
            return taken
        # What is decoded of the topic that ends first bounds the round: what comes behind it there is
        # unknown yet.
        bound, bounding, _ = min(ready, key=lambda entry: entry[:2])
        ranked: list[_Ranked] = []
        for _, order, source in ready:
            ranked += source.up_to(bound, order <= bounding, order, limit)
        ranked.sort(key=_rank)
        del ranked[limit - len(taken) :]
        taken += map(_decoded, ranked)
        for order, count in Counter(map(_order, ranked)).items():
            sources[order].drop(count)
    return taken
