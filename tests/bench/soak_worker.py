"""`leadstream worker`, which also writes what it holds, now and then: `python soak_worker.py FILE SECONDS [options]`.

A line of JSON each time: seconds since its start, resident bytes, keys, bytes of packed state, entries in the heaps of
due times, and the blocks of memory that the interpreter has handed out: of what leaks, most shows there first.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from streams.cli import main
from streams.engine import restore
from streams.engine.partition import PartitionState

_states: list[PartitionState] = []


class _Known(PartitionState):
    """A partition's state that can be found from outside."""

    __slots__ = ()

    def __init__(self, number: int, partitions: int) -> None:
        super().__init__(number, partitions)
        _states.append(self)


def _report(file: Path, every: float) -> None:
    began, process = time.monotonic(), psutil.Process()
    with file.open("a") as out:
        while True:
            time.sleep(every)
            row = {
                "seconds": round(time.monotonic() - began, 1),
                "rss": process.memory_info().rss,
                "keys": sum(len(state.values) for state in _states),
                "state_bytes": _steady(lambda: sum(sum(map(len, state.values.values())) for state in _states)),
                "due": sum(len(state._due) for state in _states),
                "blocks": sys.getallocatedblocks(),
            }
            out.write(json.dumps(row) + "\n")
            out.flush()


def _steady(look: Callable[[], int]) -> int:
    """A sum over what another thread changes: looked at again when it was changed under our eyes."""
    while True:
        try:
            return look()
        except RuntimeError:
            continue


if __name__ == "__main__":
    file, every, *options = sys.argv[1:]
    restore.PartitionState = _Known
    threading.Thread(target=_report, args=(Path(file), float(every)), daemon=True).start()
    sys.argv = ["leadstream", "worker", *options]
    main()
