"""Single keys from the terminal, without waiting for Enter."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any


class Keyboard:
    """While entered, keys of standard input arrive one by one and unseen; without a terminal none do."""

    def __init__(self) -> None:
        self._input: int | None = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: list[Any] = []

    @property
    def present(self) -> bool:
        return self._input is not None

    def __enter__(self) -> Keyboard:
        if self._input is not None:
            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._input is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """The keys that have been pressed since the last call. Does not wait."""
        if self._input is None or not select.select([self._input], [], [], 0)[0]:
            return ""
        keys = os.read(self._input, 64)
        if not keys:  # the terminal has gone
            self._input = None
        return keys.decode(errors="ignore")
