"""Ctrl-C and its like: ends the demo once, in good order."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.02


class Interruption:
    """While entered, takes SIGINT, SIGTERM and SIGHUP.

    While `raising`, the first of them raises KeyboardInterrupt, wherever the program is: right for waits that
    know nothing of us, such as a download. Otherwise it sets `asked`, for a loop that looks. Later signals do
    nothing, so that a second, impatient Ctrl-C does not cut the clean-up short.

    Nothing is raised while a process is being started: what Python does at a fork swallows it, and a process of which
    nobody knows yet could not be ended. The signal comes again a moment later.
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

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.raising and not self.asked and _starts_a_process(frame):
            threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()
            return
        first, self.asked = not self.asked, True
        if first and self.raising:
            raise KeyboardInterrupt


def _starts_a_process(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is subprocess.Popen.__init__.__code__:
            return True
        frame = frame.f_back
    return False
