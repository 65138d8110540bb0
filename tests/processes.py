"""Processes of a test, leadstream's commands and others: started, waited for, ended by their own pid."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEADSTREAM = Path(sys.executable).parent / "leadstream"
PATIENCE = 60.0


def leadstream(
    *arguments: str, input: bytes = b"", env: Mapping[str, str] | None = None, patience: float = 2 * PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    done = subprocess.run(
        [LEADSTREAM, *arguments], input=input, capture_output=True, timeout=patience, check=False, env=env
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def running(log: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A command of leadstream that runs in the foreground; see `running_program`."""
    with running_program(log, [LEADSTREAM, *arguments], env) as process:
        yield process


@contextmanager
def running_program(
    log: Path, command: Sequence[str | Path], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program, ended when the block is left. Its output goes to `log`."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        try:
            yield process
        finally:
            end(process)


@contextmanager
def ended_after(process: subprocess.Popen[Any]) -> Iterator[None]:
    """For one whose output is read: it is ended when the block is left, also when the test fails."""
    try:
        yield
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """SIGTERM, and SIGKILL for who does not heed it."""
    process.terminate()  # does nothing to one that has ended
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)


def await_ready(process: subprocess.Popen[bytes], ready: Callable[[], object], log: Path) -> None:
    """Wait until the process is ready; fail with its log when it ends before."""
    eventually(lambda: process.poll() is not None or ready(), f"not ready, see {log}")
    assert process.poll() is None, log.read_text()


@contextmanager
def running_worker(bootstrap: str, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that is assigned and restored."""
    with running(log, "worker", "--bootstrap", bootstrap, *arguments) as process:
        await_ready(process, lambda: "ready " in log.read_text(), log)
        yield process


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def eventually(condition: Callable[[], object], otherwise: str, patience: float = PATIENCE) -> None:
    """Wait until `condition()` holds; fail with `otherwise` when it never does."""
    deadline = time.monotonic() + patience
    asked = time.monotonic()
    while not condition():
        answered = time.monotonic()
        assert answered < deadline, otherwise
        # To ask takes from what is waited for: never more than half of the time.
        time.sleep(max(0.1, answered - asked))
        asked = time.monotonic()


def await_line(process: subprocess.Popen[bytes], log: Path, begins: str) -> str:
    """The line of `log` that begins so, once it is there; fails when the process ends before."""

    def line() -> str | None:
        return next((one for one in log.read_text().splitlines() if one.startswith(begins)), None)

    eventually(lambda: process.poll() is not None or line(), f"no line {begins!r}, see {log}")
    found = line()
    assert found is not None, log.read_text()
    return found
