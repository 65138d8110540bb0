"""A small application for the engine: it counts records per key, and forgets a key that was silent for an
hour.

Its outcome has a closed form, so that tests can say what must have been written after any history. A
record's value is `<event time in ms>` or `<event time> <anything>`; whatever else is a bad record, which is
written to `refused`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from streams.engine.seam import Batch, Output, Record

SILENCE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Event:
    time: int | None


@dataclass(slots=True)
class Count:
    number: int
    last: int


class CountingLogic:
    """Emits `<number>` under the key for every record, and `silent <number>` when an hour has passed.

    A key that was woken before that emits the `word`, which is the partition's note.
    """

    word = b""
    shortcut = None

    def __init__(self, out: str = "counted", refused: str = "refused") -> None:
        self._out = out
        self._refused = refused

    def begin(self, batch: Batch) -> bool:
        """Wakes all keys when the test has written a new `word`."""
        if batch.note == self.word:
            return False
        batch.note = self.word
        batch.wake_all()
        return True

    def decode(self, record: Record) -> Event:
        try:
            return Event(int((record.value or b"").split()[0]))
        except (ValueError, IndexError):
            return Event(None)

    def handle(self, record: Record, item: Event, batch: Batch) -> None:
        if item.time is None or record.key is None:
            batch.emit(Output(self._refused, record.key, record.value, [("offset", b"%d" % record.offset)]))
            return
        count = batch.get(record.key) or Count(0, item.time)
        count.number += 1
        count.last = max(count.last, item.time)
        batch.put(record.key, count, count.last + SILENCE_MS)
        batch.emit(Output(self._out, record.key, b"%d" % count.number, [("at", b"%d" % item.time)]))

    def due(self, key: bytes, at: int, batch: Batch) -> None:
        count = batch.get(key)
        if count is not None and at < count.last + SILENCE_MS:
            batch.emit(Output(self._out, key, batch.note))
            return
        batch.emit(Output(self._out, key, b"silent %d" % count.number))
        batch.delete(key)

    def pack(self, state: Count) -> bytes:
        return struct.pack(">qq", state.number, state.last)

    def unpack(self, payload: bytes) -> Count:
        return Count(*struct.unpack(">qq", payload))

    def label(self, state: Count) -> str:
        return "once" if state.number == 1 else "more"
