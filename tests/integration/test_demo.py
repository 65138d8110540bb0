"""`leadstream demo` on a real broker: runs through, can be joined, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from streams.local.broker import EmbeddedBroker
from tests.processes import LEADSTREAM, eventually, leadstream, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PATIENCE = 120.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster of these tests' own, as the demo publishes much that other tests do not expect."""
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where everything temporary of one demo has to be, and to vanish from."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def environment(scratch: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(scratch), "TERM": "xterm-256color"}


def run_demo(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LEADSTREAM, "demo", *arguments],
        env=environment(scratch),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


@contextmanager
def started_demo(scratch: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that runs; its output goes to `output` beside the scratch folder."""
    with output_of(scratch).open("w") as output:
        process = subprocess.Popen(
            [LEADSTREAM, "demo", *arguments],
            env=environment(scratch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def output_of(scratch: Path) -> Path:
    return scratch.parent / "output"


def await_output(process: subprocess.Popen[str], scratch: Path, text: str) -> None:
    """Wait until the demo has said `text`; fail with all that it has said when it ends before."""

    def said() -> bool:
        output = output_of(scratch).read_text()
        assert process.poll() is None, output
        return text in output

    eventually(said, f"{text!r} did not come", PATIENCE)


def processes_of(scratch: Path) -> list[psutil.Process]:
    """All processes whose temporary files belong into `scratch`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR", "").startswith(str(scratch)):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def assert_nothing_is_left(scratch: Path) -> None:
    eventually(lambda: not processes_of(scratch), f"still running: {processes_of(scratch)}", 10)
    assert list(scratch.iterdir()) == []


def test_it_runs_through_by_itself_and_shows_qualifications_with_their_reason(scratch: Path) -> None:
    done = run_demo(scratch, "--once", "--plain", "--seconds", "10")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for stage, reason in (("MQL", r"Interest \d+\.\d reached 20 and fit \d+"), ("SQL", "Demo booked today")):
        assert any(re.match(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d  {stage} .* Example .*: {reason}", line) for line in lines)
    assert any("dead letter" in line and "UNDECODABLE" in line for line in lines)
    for lead in ("Planner at Example Airways: interest fell below 10", "negative persona: student"):
        assert any(lead in line for line in lines)
    told = next(line for line in lines if " events of " in line)
    events, leads, _, mql, sql, *_ = (int(number) for number in re.findall(r"\d+", told.replace(",", "")))
    assert events > 5_000
    assert leads > 500
    assert mql == sum("  MQL " in line for line in lines)
    assert sql == sum("  SQL " in line for line in lines)
    assert "Traceback" not in done.stderr
    assert_nothing_is_left(scratch)


class Terminal:
    """A demo in a terminal of 100 columns and 30 rows."""

    def __init__(self, scratch: Path, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.settings = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            [LEADSTREAM, "demo", *arguments],
            env=environment(scratch),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=_controlled_by_its_terminal,
        )
        self.shown = ""

    def press(self, key: str) -> None:
        """Press a key; what has been shown before counts no more."""
        self.shown = ""
        os.write(self._master, key.encode())

    def await_text(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown):
            assert time.monotonic() < deadline, f"{pattern!r} is not in:\n{self.shown[-4000:]}"
            self._read()

    def await_end(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end; shown:\n{self.shown[-4000:]}"
            self._read()
        self._read()
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the terminal's settings are what they were."""
        return termios.tcgetattr(self._slave) == self.settings

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        if select.select([self._master], [], [], 0.2)[0]:
            text = os.read(self._master, 65_536).decode(errors="replace")
            self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def _controlled_by_its_terminal() -> None:
    """In the child: a session of its own, whose Ctrl-C comes from the terminal on standard input."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(scratch: Path) -> Iterator[Terminal]:
    terminal = Terminal(scratch, "--seconds", "4")
    yield terminal
    terminal.close()


def test_your_keys_make_you_an_mql_and_then_an_sql(terminal: Terminal, scratch: Path) -> None:
    terminal.await_text(r"you: 0 of 20, one download or two pricing visits to MQL")
    terminal.press("p")
    terminal.await_text(r"you: 14 of 20, one more pricing visit or one download to MQL")
    terminal.press("p")
    terminal.await_text(r"MQL You at Example Yours, would cool on \d+ \w+")
    terminal.await_text(r"Interest 28.0 reached 20 and fit 70 \(A\) reached 40")
    terminal.await_text(r"you: 28 of 60, one demo booking or two downloads to SQL")
    terminal.await_text(r"MQL until \d+ \w+; pricing visits used up for today, the next brings \+4")
    terminal.press("d")
    terminal.await_text(r"you: 48 of 60, one more download or one demo booking to SQL")
    terminal.press("b")
    terminal.await_text(r"SQL You at Example Yours")
    terminal.await_text(r"Demo booked today; most of it from demo")
    terminal.await_text(r"you: 108, and an SQL: nothing left to reach")
    terminal.press("\x03")
    assert terminal.await_end() == 0
    assert "leadstream publish -" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert terminal.restored()
    assert_nothing_is_left(scratch)


def test_q_ends_it_in_the_middle_of_the_thirty_days(cluster: str, scratch: Path) -> None:
    terminal = Terminal(scratch, "--seconds", "3600", "--bootstrap", cluster)
    try:
        terminal.await_text(r"day  1 of 30")
        terminal.press("q")
        assert terminal.await_end() == 0
        assert terminal.restored()
    finally:
        terminal.close()
    assert_nothing_is_left(scratch)


@pytest.mark.parametrize("stage", ["Apache Kafka ...", "worker ..."])
def test_it_can_be_ended_at_any_moment_of_its_start(scratch: Path, stage: str) -> None:
    with started_demo(scratch, "--plain") as process:
        await_output(process, scratch, stage)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)  # an impatient second one changes nothing
        assert process.wait(PATIENCE) == 0
    assert "Traceback" not in output_of(scratch).read_text()
    assert_nothing_is_left(scratch)


def test_a_demo_that_is_killed_takes_its_processes_with_it(scratch: Path) -> None:
    with started_demo(scratch, "--plain") as process:
        await_output(process, scratch, "worker ready")
        eventually(lambda: len(processes_of(scratch)) == 4, "broker, worker, publisher and itself")
        process.kill()
        eventually(lambda: not processes_of(scratch), "something outlives it", 10)


def test_a_worker_that_dies_is_told_with_its_log(cluster: str, scratch: Path) -> None:
    with started_demo(scratch, "--plain", "--bootstrap", cluster) as process:
        await_output(process, scratch, "worker ready")
        worker = next(one for one in processes_of(scratch) if "worker" in one.cmdline())
        worker.kill()
        assert process.wait(PATIENCE) == 1
    text = output_of(scratch).read_text()
    assert "leadstream: The worker ended by itself, with exit code -9. The end of its log:\n" in text
    assert "Traceback" not in text
    assert_nothing_is_left(scratch)


def test_a_cluster_that_is_not_there_is_told(scratch: Path) -> None:
    done = run_demo(scratch, "--bootstrap", "127.0.0.1:1", "--once")
    assert done.returncode == 1
    assert "No Kafka broker answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_is_left(scratch)


def test_on_a_cluster_of_ones_own_it_can_run_twice_and_its_command_to_copy_works(
    cluster: str, scratch: Path, tmp_path: Path
) -> None:
    first, second = (run_demo(scratch, "--once", "--seconds", "3", "--bootstrap", cluster) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert_nothing_is_left(scratch)
    command = next(line.strip() for line in second.stdout.splitlines() if "publish -" in line)
    path = f"{LEADSTREAM.parent}{os.pathsep}{os.environ['PATH']}"
    with running_worker(cluster, tmp_path / "worker.log"):
        subprocess.run(["sh", "-c", command], env={**os.environ, "PATH": path}, check=True)
        tail = ("tail", "sql-events", "--from-beginning", "--until-end", "--json", "--bootstrap", cluster)
        eventually(lambda: '"key":"ada"' in leadstream(*tail).stdout.replace(" ", ""), "ada is no SQL")
