"""The demo's own processes: the worker and the publisher, each with a log, none outliving the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from streams.errors import LeadstreamError
from streams.local.parent import die_with_parent
from streams.security import login, without_login

_TAIL_LINES = 15
#: What would make the worker or the collector another one than the demo is about, or its output unreadable to the demo.
_NOT_INHERITED = {
    f"LEADSTREAM_{name}"
    for name in (
        "MODEL",
        "CLOCK",
        "METRICS_PORT",
        "METRICS_HOST",
        "LOG_FORMAT",
        "INSTANCE",
        "SCHEMA_REGISTRY",
        "WRITE_KEYS",
    )
}


class ChildFailed(LeadstreamError):
    """A process of the demo ended by itself, or did not get ready."""


class Child:
    """A Python process of ours. Its output goes to `NAME.log` in `folder`, with its temporary files.

    To be started from the main thread: on Linux it is killed when the thread that started it ends.
    """

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self.name = name
        self._command = [sys.executable, *arguments]
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**without_login(inherited), **login().variables(), "TMPDIR": str(self._folder)},
                start_new_session=True,  # Ctrl-C is for the demo to handle, in its order
                preexec_fn=die_with_parent(),
            )

    def line(self, begins: str) -> str | None:
        """The first line of its output that begins so, if it has come."""
        for line in self._output().splitlines():
            if line.startswith(begins):
                return line
        return None

    def await_line(self, begins: str, seconds: float) -> str:
        """Wait for such a line. Raises ChildFailed when the process ends before, or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self.line(begins)
            if line is not None:
                return line
            self.check()
            time.sleep(0.05)
        raise ChildFailed(f"The {self.name} was not ready within {seconds:.0f} s. The end of its log:\n{self._tail()}")

    def check(self) -> None:
        """Raise ChildFailed when it has ended with a failure."""
        code = self._process.poll() if self._process is not None else None
        if code is not None and code != 0:
            raise ChildFailed(
                f"The {self.name} ended by itself, with exit code {code}. The end of its log:\n{self._tail()}"
            )

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def stop(self, seconds: float = 8.0) -> None:
        """Ask it to end; kill it when it hasn't within `seconds`."""
        if self._process is None or self.ended:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _tail(self) -> str:
        return "\n".join(f"  {line}" for line in self._output().splitlines()[-_TAIL_LINES:])
