"""How far a command is, for somebody who watches."""

from __future__ import annotations

import sys
import time


class Progress:
    """A line on stderr that is written over now and then; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty()
        self._next = 0.0

    def show(self, text: str) -> None:
        if self._wanted and (now := time.monotonic()) >= self._next:
            self._next = now + 0.2
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._wanted:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
