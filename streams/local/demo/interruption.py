"""Ctrl-C and its like: ends the demo once, in good order."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While entered, takes SIGINT, SIGTERM and SIGHUP.

    While `raising`, the first of them raises KeyboardInterrupt, wherever the program is: right for waits that
    know nothing of us, such as a download. Otherwise it sets `asked`, for a loop that looks. Later signals do
    nothing, so that a second, impatient Ctrl-C does not cut the clean-up short.
    """

    def __init__(self) -> None:
        self.asked = False
        self.raising = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Once asked to end, the program is about to: a late second Ctrl-C must not make a failure of that.
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.asked else handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first and self.raising:
            raise KeyboardInterrupt
