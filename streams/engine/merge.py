"""One partition number of all source topics, merged by event time.

Events of one key come from several topics, and after an outage or an import one topic may be read days
ahead of another. The head with the smallest time goes first; ties by the topics' order; within a topic
nothing is reordered, so a late record passes when its turn in its topic comes. A topic whose buffer is
empty blocks the merge while it lags, as its next record may be the oldest of all; one that is caught up
does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heapreplace

from streams.engine.seam import Item, Record

Decoded = tuple[Record, Item]
_FIRST = -(2**63)


class SourceBuffer:
    """Records of one topic partition that were fetched and not yet handled.

    `records` counts what waits; `bytes` is the values of those among them that are not decoded yet.
    `next_offset` is one past the last record that was accepted. Records at or below `applied` are dropped
    unseen: they took effect before, in a batch whose group offset was not committed or in another process.
    """

    __slots__ = ("_chunks", "_index", "_items", "applied", "bytes", "next_offset", "records", "topic")

    def __init__(self, topic: str, applied: int) -> None:
        self.topic = topic
        self.applied = applied
        self.next_offset = applied + 1
        self.records = 0
        self.bytes = 0
        self._chunks: deque[Sequence[Record]] = deque()
        self._items: list[Decoded] = []
        self._index = 0

    def accept(self, chunk: Sequence[Record]) -> None:
        """Take a chunk in offset order, as it came from the log."""
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
        self._index = 0
        self.bytes -= sum(len(record.value or b"") for record in self._chunks.popleft())
        return True

    def head_time(self) -> int:
        """Event time of the head; one without a time goes before all."""
        time = self._items[self._index][1].time
        return _FIRST if time is None else time

    def pop(self) -> Decoded:
        head = self._items[self._index]
        self._index += 1
        self.records -= 1
        return head


def take(
    sources: Sequence[SourceBuffer],
    decode: Callable[[Record], Item],
    caught_up: Callable[[SourceBuffer], bool],
    limit: int,
) -> list[Decoded]:
    """Up to `limit` records in the order in which they are to be handled; fewer when a lagging topic
    blocks.
    """
    heads: list[tuple[int, int]] = []
    for order, source in enumerate(sources):
        if source.refill(decode):
            heads.append((source.head_time(), order))
        elif not caught_up(source):
            return []
    heapify(heads)
    taken: list[Decoded] = []
    while heads and len(taken) < limit:
        order = heads[0][1]
        source = sources[order]
        taken.append(source.pop())
        if source.refill(decode):
            heapreplace(heads, (source.head_time(), order))
        elif caught_up(source):
            heappop(heads)
        else:
            break
    return taken
