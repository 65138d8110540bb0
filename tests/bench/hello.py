"""Servers that do less than the collector, on the same server with the same settings, to compare it with.

`hello` answers without a look at the request. `store` reads the body, publishes it as it is and answers when the broker
has it: the most that a collector can reach that keeps what it confirms, if decoding, checking and mapping cost nothing.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
from typing import Any

import uvloop

from streams.collector.answers import SUCCESS
from streams.collector.publisher import Publisher, Record
from streams.collector.server import COLLECT_AFTER, http_server


class Hello:
    async def __rsgi__(self, _scope: Any, proto: Any) -> None:
        proto.response_bytes(*SUCCESS)


class Store:
    """Sends to a topic that the collector sends such events to, by as many keys."""

    def __init__(self, bootstrap: str) -> None:
        self._publisher = Publisher(bootstrap)
        self._keys = itertools.cycle([f"user-{number}".encode() for number in range(5_000)])

    async def __rsgi__(self, _scope: Any, proto: Any) -> None:
        await self._publisher.publish([Record("page-views", next(self._keys), await proto())])
        proto.response_bytes(*SUCCESS)


async def main(kind: str, port: int, bootstrap: str) -> None:
    application = Hello() if kind == "hello" else Store(bootstrap)
    serving = asyncio.create_task(http_server(application, "127.0.0.1", port).serve())
    print(f"ready 127.0.0.1:{port}", flush=True)
    await serving


if __name__ == "__main__":
    gc.set_threshold(*COLLECT_AFTER)
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
