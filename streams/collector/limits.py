"""What one request may cost: its body, packed and unpacked, and all requests together."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, Final, Protocol

#: Of a body, unpacked: Segment's own limit is 500 kB, and RudderStack's browser library sends batches of up to this.
MAX_BODY_BYTES: Final = 512 * 1024
#: A tracker on a slow line has sent its body by then.
BODY_SECONDS: Final = 10.0
_MAX_REQUESTS: Final = 1_000
_MAX_BYTES: Final = 64 * 1024 * 1024


class TooLarge(Exception):
    """A body over MAX_BODY_BYTES, as it came or unpacked."""


class NotGzip(Exception):
    """A body that says it is gzipped and isn't, or not whole."""


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

    async def read(self, source: BodySource, content_length: str | None) -> bytes:
        """The body. Raises TooLarge before more than the limit is in memory, TimeoutError after `seconds` or so.

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
            # With a length, the server holds the body to it.
            return await source() if content_length is not None else await _all_chunks(source)
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


async def _all_chunks(source: BodySource) -> bytes:
    chunks, size = [], 0
    async for chunk in source:
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TooLarge
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
    """How much is being handled at once. What would be more is refused before its body is read."""

    __slots__ = ("bytes", "empty", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def admit(self, size: int) -> bool:
        """Whether a request whose body has `size` bytes may come in; `leave` ends it."""
        if self.requests >= _MAX_REQUESTS or self.bytes + size > _MAX_BYTES:
            return False
        if not self.requests:
            self.empty.clear()
        self.requests += 1
        self.bytes += size
        return True

    def leave(self, size: int) -> None:
        self.requests -= 1
        self.bytes -= size
        if not self.requests:
            self.empty.set()
