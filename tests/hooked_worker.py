"""`leadstream worker` with two switches for tests: files, named by variables, that hold it up while they exist.

SILENT_WHILE: its consumer fetches nothing and says nothing, as one that did not survive an outage; a file beside it,
`.heard`, says that it has begun to.
HELD_WHILE: its restores wait before they read.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from streams.cli import main
from streams.engine import takeover
from streams.engine.transport import ChunkConsumerThread

_silent, _held = os.environ["SILENT_WHILE"], os.environ["HELD_WHILE"]
_fetch, _restore = ChunkConsumerThread._fetch_records, takeover.restore


async def _fetch_or_not(self: ChunkConsumerThread, *args: Any, **kwargs: Any) -> Any:
    if os.path.exists(_silent):  # noqa: ASYNC240 (a local file, of a test)
        Path(f"{_silent}.heard").touch()  # noqa: ASYNC240
        await asyncio.sleep(0.1)
        return {}
    return await _fetch(self, *args, **kwargs)


def _restore_later(*arguments: Any) -> Any:
    while os.path.exists(_held):
        time.sleep(0.05)
    return _restore(*arguments)


ChunkConsumerThread._fetch_records = _fetch_or_not  # type: ignore[method-assign]
takeover.restore = _restore_later

if __name__ == "__main__":
    main()
