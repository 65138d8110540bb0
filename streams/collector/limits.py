"""What one request may cost: its body, packed and unpacked, and all requests together."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, Final, Protocol

#: Of a body, unpacked: Segment's own limit is 500 kB, and RudderStack's browser library sends batches of up to this.
MAX_BODY_BYTES: Final = 512 * 1024
#: A tracker on a slow line has sent its body by then.
BODY_SECONDS: Final = 10.0
#: What a body takes before any of it has come. Those of as many connections as the server keeps fit.
FIRST_BYTES: Final = 16 * 1024
_MAX_REQUESTS: Final = 1_000
_MAX_BYTES: Final = 64 * 1024 * 1024


class TooLarge(Exception):
    """A body over MAX_BODY_BYTES, as it came or unpacked."""


class NotGzip(Exception):
    """A body that says it is gzipped and isn't, or not whole."""


class Overloaded(Exception):
    """More at once than can be handled."""


class BodySource(Protocol):
    """What a server gives for reading a request's body: the whole, or chunk by chunk."""

    async def __call__(self) -> bytes: ...
    def __aiter__(self) -> BodySource: ...
    async def __anext__(self) -> bytes: ...


class BodyReader:
    """Reads bodies, and gives up on those that take longer than `seconds`.

    One timer watches over all of them: a timer for each costs as much as the rest of the reading.
    """

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._watching = False

    async def read(self, source: BodySource, content_length: str | None, room: Room) -> bytes:
        """The body. Raises TooLarge before more than the limit is in memory, TimeoutError after `seconds` or so, and
        Overloaded when there is no `room` for what comes.

        To be used within one event loop: to ask which is running is a system call.
        """
        announced = announced_size(content_length)
        if announced == 0:
            return b""
        if announced > MAX_BODY_BYTES:
            raise TooLarge
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._reading[task] = loop.time()
        if not self._watching:
            self._watching = True
            loop.call_later(self._seconds / 4, self._watch)
        try:
            # To what was announced the server holds a body: a small one has its room already.
            return await source() if announced <= FIRST_BYTES else await _all_chunks(source, room)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._reading[task]

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for task, began in self._reading.items():
            if loop.time() - began > self._seconds and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._watching = bool(self._reading)
        if self._watching:
            loop.call_later(self._seconds / 4, self._watch)


async def _all_chunks(source: BodySource, room: Room) -> bytes:
    chunks, size = [], 0
    async for chunk in source:
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TooLarge
        room.grow(size)
        chunks.append(chunk)
    return b"".join(chunks)


def announced_size(content_length: str | None) -> int:
    """Bytes that a body will have, as far as is known before it comes: without a length, as many as may be."""
    if content_length is None:
        return MAX_BODY_BYTES
    return int(content_length) if content_length.isascii() and content_length.isdigit() else MAX_BODY_BYTES + 1


def unzipped(body: bytes) -> bytes:
    """What is gzipped in `body`. Raises TooLarge before more than the limit is in memory, and NotGzip."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise NotGzip from None
    if len(found) > MAX_BODY_BYTES:
        raise TooLarge
    if not unpacker.eof or unpacker.unused_data:
        raise NotGzip
    return found


class Admission:
    """How much is there at once. What would be more is refused, before its body is read where that can be told.

    A body counts as it comes, and a request among those that are handled once its body is there: whoever is slow to
    send, or never does, takes nothing from the others. How many of those there may be is the server's affair, which
    bounds connections.
    """

    __slots__ = ("bytes", "empty", "handled", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.handled = 0
        self.bytes = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def admit(self, announced: int) -> Room:
        """Room for a request whose body will have as many bytes. Raises Overloaded."""
        size = min(announced, FIRST_BYTES)
        if self.handled >= _MAX_REQUESTS or self.bytes + size > _MAX_BYTES:
            raise Overloaded
        if not self.requests:
            self.empty.clear()
        self.requests += 1
        self.bytes += size
        return Room(self, size)


class Room:
    """What one request takes, until it leaves."""

    __slots__ = ("_admission", "_bytes", "_handled")

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._bytes = size
        self._handled = False

    def grow(self, size: int) -> None:
        """As much of the body is in memory as `size`. Raises Overloaded."""
        more = size - self._bytes
        if more > 0:
            if self._admission.bytes + more > _MAX_BYTES:
                raise Overloaded
            self._admission.bytes += more
            self._bytes = size

    def handle(self) -> None:
        """The body is there. Raises Overloaded."""
        if self._admission.handled >= _MAX_REQUESTS:
            raise Overloaded
        self._admission.handled += 1
        self._handled = True

    def leave(self) -> None:
        admission = self._admission
        admission.requests -= 1
        admission.handled -= self._handled
        admission.bytes -= self._bytes
        if not admission.requests:
            admission.empty.set()
