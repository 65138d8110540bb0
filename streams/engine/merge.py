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
from operator import attrgetter, itemgetter
from typing import cast

from streams.engine.seam import Item, Record, Unavailable, size_of

Decoded = tuple[Record, Item]
#: What is decoded and handled at a time: few enough to be in the processor's caches still when they are handled.
PIECE_RECORDS = 1_000
_Ranked = tuple[int, int, Decoded]
_FIRST = -(2**63)
#: History that is consumed while it is being published: what came before a record of one topic may be this
#: much later to be seen in another.
SETTLE_MS = 500
_rank, _order, _decoded = itemgetter(0), itemgetter(1), itemgetter(2)
_offset = attrgetter("offset")


def _always(event_time: int, arrival: int) -> bool:
    return True


def _ranks(times: list[int | None]) -> list[int]:
    """The largest time so far, at each place."""
    known = [_FIRST if time is None else time for time in times] if None in times else cast("list[int]", times)
    return known if known == sorted(known) else list(accumulate(known, max))


class SourceBuffer:
    """Records of one topic partition that were fetched and not yet handled.

    `records` counts what waits; `bytes` is the values of those among them that are not decoded yet.
    `next_offset` is one past the last record that was accepted. Records at or below `applied` are dropped
    unseen: they took effect before, in a batch whose group offset was not committed or in another process.
    `handed_out` counts what was taken, up to the offset `last_taken`.
    `settles_at`: the records at hand are history (not live) and are not to be handled on the word that
    another topic is empty, unless that was seen at or after this instant (ms of the wall clock).
    """

    __slots__ = (
        "_chunks",
        "_index",
        "_is_live",
        "_items",
        "_ranks",
        "applied",
        "bytes",
        "handed_out",
        "last_taken",
        "next_offset",
        "records",
        "settles_at",
        "topic",
    )

    def __init__(self, topic: str, applied: int, is_live: Callable[[int, int], bool] = _always) -> None:
        self.topic = topic
        self.settles_at = 0
        self.applied = applied
        self.next_offset = applied + 1
        self.records = 0
        self.bytes = 0
        self.handed_out = 0
        self.last_taken = applied
        self._is_live = is_live
        self._chunks: deque[tuple[Sequence[Record], int, int]] = deque()
        self._items: list[Decoded] = []
        self._ranks: list[int] = []
        self._index = 0

    def accept(self, chunk: Sequence[Record], there_since: int = 0) -> None:
        """Take a chunk in offset order, as it came from the log, where all of it was at `there_since` (ms of the wall
        clock).
        """
        fresh = chunk
        if chunk and chunk[0].offset < self.next_offset:
            fresh = chunk[bisect_left(chunk, self.next_offset, key=_offset) :]
        for start in range(0, len(fresh), PIECE_RECORDS):
            piece = fresh[start : start + PIECE_RECORDS]
            size = size_of(piece)
            self._chunks.append((piece, size, there_since))
            self.records += len(piece)
            self.bytes += size
        if fresh:
            self.next_offset = fresh[-1].offset + 1

    def refill(self, decode: Decode) -> bool:
        """Have a decoded head if there is any record. What `decode` raises leaves the buffer as it was."""
        if self._index < len(self._items):
            return True
        if not self._chunks:
            return False
        chunk, size, there_since = self._chunks[0]
        items = decode(chunk)
        self._items = items
        self._ranks = _ranks([item.time for _, item in items])
        self._index = 0
        self._chunks.popleft()
        self.bytes -= size
        record, item = items[0]
        live = item.time is None or self._is_live(item.time, record.timestamp)
        self.settles_at = 0 if live else there_since + SETTLE_MS
        return True

    def oldest(self) -> tuple[int | None, int | None]:
        """When the first record that waits here arrived and when it occurred, in ms, as far as that is known."""
        if self._index < len(self._items):
            record, item = self._items[self._index]
            return record.timestamp, item.time
        if self._chunks:
            return self._chunks[0][0][0].timestamp, None
        return None, None

    @property
    def last_rank(self) -> int:
        """Rank of the last decoded record: no later one has a smaller rank."""
        return self._ranks[-1]

    def up_to(self, rank: int, including: bool, limit: int) -> int:
        """How many decoded records are of a smaller rank, or an equal one if `including`; at most `limit`."""
        end = (bisect_right if including else bisect_left)(self._ranks, rank, self._index)
        return min(end - self._index, limit)

    def ranked(self, count: int, order: int) -> list[_Ranked]:
        """The next `count` decoded records with their ranks. They stay."""
        ranks = self._ranks[self._index : self._index + count]
        return [(rank, order, item) for rank, item in zip(ranks, self._items[self._index :], strict=False)]

    def take(self, count: int) -> list[Decoded]:
        """The next `count` decoded records, which are out of the buffer then."""
        taken = self._items[self._index : self._index + count]
        self._index += count
        self.records -= count
        self.handed_out += count
        self.last_taken = taken[-1][0].offset
        if self._index == len(
            self._items
        ):  # they hold all that their fetch brought, and the next may be long in coming
            self._items, self._ranks, self._index = [], [], 0
        return taken


#: A chunk's records, each with its item. What it raises leaves the chunk as it was.
Decode = Callable[[Sequence[Record]], list[Decoded]]
#: Whether a source has nothing more at its broker, known at or after an instant (ms of the wall clock, 0
#: for any).
CaughtUp = Callable[[SourceBuffer, int], bool]


def take(
    sources: Sequence[SourceBuffer],
    decode: Decode,
    caught_up: CaughtUp,
    limit: int,
) -> list[Decoded]:
    """Up to `limit` records in the order in which they are to be handled; fewer when a topic without a
    record is not known to be caught up (since the history at hand has settled, in ms of the wall clock).
    """
    taken: list[Decoded] = []
    while len(taken) < limit:
        ready = []
        empty = []
        try:
            for order, source in enumerate(sources):
                if source.refill(decode):
                    ready.append((source.last_rank, order, source))
                else:
                    empty.append(source)
        except Unavailable:
            if not taken:
                raise
            return taken  # these are out of their buffers; the next call meets the same record again
        settled = max((source.settles_at for _, _, source in ready), default=0)
        if not ready or not all(caught_up(source, settled) for source in empty):
            return taken
        # What is decoded of the topic that ends first bounds the round: what comes behind it there is
        # unknown yet.
        bound, bounding, _ = min(ready, key=lambda entry: entry[:2])
        room = limit - len(taken)
        counts = [(order, source.up_to(bound, order <= bounding, room)) for _, order, source in ready]
        taken += _merged(sources, [one for one in counts if one[1]], room)
    return taken


def _merged(sources: Sequence[SourceBuffer], counts: Sequence[tuple[int, int]], room: int) -> list[Decoded]:
    """The first `room` of the next records, so many of each source, by rank."""
    if len(counts) == 1:  # one topic alone, as most often: nothing is to be sorted
        order, count = counts[0]
        return sources[order].take(count)
    ranked: list[_Ranked] = []
    for order, count in counts:
        ranked += sources[order].ranked(count, order)
    ranked.sort(key=_rank)
    del ranked[room:]
    for order, count in Counter(map(_order, ranked)).items():
        sources[order].take(count)
    return list(map(_decoded, ranked))
