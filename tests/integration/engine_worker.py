"""A worker process for tests: `streams.engine` running the counting application.

python engine_worker.py BOOTSTRAP APP PARTITIONS [INSTANCE]

When the file that FREEZE_WHEN names is there, the process stops itself in the middle of its next transaction.
With NEXT_RELEASE it writes the format of the release after this one.
While the file that SILENT_WHILE names is there its consumer fetches nothing, as one that did not survive an outage; it
prints "silent" when that begins.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from counting import CountingLogic

from streams.engine import commit, envelope
from streams.engine.app import create_app, run
from streams.engine.commit import TransactionalCommitter
from streams.engine.config import EngineConfig
from streams.engine.seam import Observer
from streams.engine.transport import ChunkConsumerThread
from streams.errors import LeadstreamError

SOURCES = ("views", "opens")


def config(bootstrap: str, app_id: str, partitions: int, instance: str | None = None) -> EngineConfig:
    """Topics carry the application's name, so that tests on one broker do not meet."""
    return EngineConfig(
        app_id, bootstrap, tuple(f"{app_id}-{name}" for name in SOURCES), f"{app_id}-changelog", partitions,
        grace_ms=120_000, instance_id=instance, session_timeout_s=6.0, heartbeat_s=1.0, stalled_s=12.0,
    )  # fmt: skip


class Says(Observer):
    def ready(self, partitions: Sequence[int]) -> None:
        print("ready", *partitions, flush=True)


def fall_silent_while(there: Path) -> None:
    fetch = ChunkConsumerThread._fetch_records
    silent = False

    async def fetch_or_not(self: ChunkConsumerThread, *args: Any, **kwargs: Any) -> Any:
        nonlocal silent
        was, silent = silent, os.path.exists(there)  # noqa: ASYNC240 (a local file, of a test)
        if silent:
            if not was:
                print("silent", flush=True)
            await asyncio.sleep(0.1)
            return {}
        return await fetch(self, *args, **kwargs)

    ChunkConsumerThread._fetch_records = fetch_or_not  # type: ignore[method-assign]


def freeze_when(there: Path) -> None:
    """All of a batch is at the broker, and its transaction has not ended, nor will time end it while the test waits."""
    commit.TRANSACTION_TIMEOUT_MS = 300_000
    end = TransactionalCommitter._end_and_begin

    def freeze_or_not(self: TransactionalCommitter) -> None:
        if there.exists():
            there.unlink()
            self._producer.flush()
            os.kill(os.getpid(), signal.SIGSTOP)
        end(self)

    TransactionalCommitter._end_and_begin = freeze_or_not  # type: ignore[method-assign]


def main(bootstrap: str, app_id: str, partitions: str, instance: str | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if "SILENT_WHILE" in os.environ:
        fall_silent_while(Path(os.environ["SILENT_WHILE"]))
    if "FREEZE_WHEN" in os.environ:
        freeze_when(Path(os.environ["FREEZE_WHEN"]))
    if "NEXT_RELEASE" in os.environ:
        envelope.VERSION += 1
    logic = CountingLogic(f"{app_id}-counted", f"{app_id}-refused")
    try:
        run(create_app(config(bootstrap, app_id, int(partitions), instance), logic, Says()))
    except LeadstreamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
