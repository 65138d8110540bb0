"""The demo's processes, its signals, and what it says at the end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.local.demo.board import Board
from streams.local.demo.children import Child, ChildFailed
from streams.local.demo.farewell import next_time, summary
from streams.local.demo.interruption import Interruption
from streams.local.demo.office_hours import HISTORY_MS
from streams.local.demo.publisher import wall_clock_of
from streams.wire.jsonlines import Line, parse_line
from tests.demo_records import NOON, default_model, page_view


def test_a_child_is_waited_for_by_the_line_that_it_prints(tmp_path: Path) -> None:
    child = Child("worker", ["-uc", "import time; print('starting'); print('ready 4'); time.sleep(20)"], tmp_path)
    child.start()
    try:
        assert child.await_line("ready", 20) == "ready 4"
        child.check()
    finally:
        child.stop()
    assert child.ended


def test_a_child_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("worker", ["-c", "raise SystemExit('no broker at all')"], tmp_path)
    child.start()
    with pytest.raises(ChildFailed, match=r"(?s)worker ended by itself, with exit code 1\..*no broker at all"):
        child.await_line("ready", 20)


def test_a_child_that_never_gets_ready_is_not_waited_for_ever(tmp_path: Path) -> None:
    child = Child("worker", ["-c", "import time; time.sleep(20)"], tmp_path)
    child.start()
    try:
        with pytest.raises(ChildFailed, match="not ready within"):
            child.await_line("ready", 0.3)
    finally:
        child.stop()


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(20)"
    child = Child("worker", ["-c", stubborn], tmp_path)
    child.start()
    child.await_line("ready", 20)
    child.stop(0.3)
    assert child.ended


def test_a_child_runs_the_default_model_whatever_the_surroundings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSTREAM_MODEL", "other.yaml")
    child = Child("worker", ["-c", "import os; print('model', os.environ.get('LEADSTREAM_MODEL'))"], tmp_path)
    child.start()
    assert child.await_line("model", 20) == "model None"


@pytest.fixture
def handlers() -> Iterator[None]:
    """The test's own signal handlers, put back when it is over."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def signalled(number: signal.Signals) -> None:
    """Send this process a signal, and give it time to be taken."""
    os.kill(os.getpid(), number)
    time.sleep(0.05)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_only_the_first_signal_interrupts(number: signal.Signals) -> None:
    with Interruption() as interruption:
        interruption.raising = True
        with pytest.raises(KeyboardInterrupt):
            signalled(number)
        signalled(number)
        assert interruption.asked
    signalled(number)


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_does_not_raise_is_remembered() -> None:
    with Interruption() as interruption:
        assert not interruption.asked
        signalled(signal.SIGTERM)
        assert interruption.asked


@pytest.mark.usefixtures("handlers")
def test_without_a_signal_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_thirty_days_begin_and_end_by_the_wall_clock_as_told() -> None:
    assert wall_clock_of(NOON, NOON, 60) == NOON / 1000
    assert wall_clock_of(NOON - HISTORY_MS, NOON, 60) == pytest.approx(NOON / 1000 - 60)
    assert wall_clock_of(NOON - HISTORY_MS // 2, NOON, 60) == pytest.approx(NOON / 1000 - 30)


def test_nothing_is_published_before_it_has_happened() -> None:
    for before in range(0, HISTORY_MS, HISTORY_MS // 50):
        assert wall_clock_of(NOON - before, NOON, 10) * 1000 >= NOON - before


def test_the_commands_to_copy_name_the_program_by_its_path_where_the_shell_would_not_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["/opt/my programs/bin/leadstream", "demo"])
    assert "'/opt/my programs/bin/leadstream' worker" in next_time(None, NOON)


def test_the_command_to_copy_publishes_a_proper_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    commands = [line.strip() for line in next_time(None, NOON).splitlines() if line.startswith("    ")]
    assert [shlex.split(command)[:2] for command in commands[:3]] == [
        ["leadstream", "broker"],
        ["leadstream", "worker"],
        ["leadstream", "tail"],
    ]
    echo, text, *rest = shlex.split(commands[3])
    assert (echo, rest) == ("echo", ["|", "leadstream", "publish", "-"])
    line = parse_line(text.encode())
    assert isinstance(line, Line)
    assert (line.topic, line.event["status"]) == ("demo-bookings", "BOOKED")
    assert json.loads(text)["event"]["occurred_at"] == "2026-11-22T12:00:00Z"


def test_for_another_cluster_no_broker_is_to_be_started() -> None:
    commands = [line.strip() for line in next_time("kafka:9092", NOON).splitlines() if line.startswith("    ")]
    assert not any("leadstream broker" in command for command in commands)
    assert all(command.endswith("--bootstrap kafka:9092") for command in commands)


def test_the_summary_counts_what_was_seen() -> None:
    board = Board(default_model())
    board.take(page_view("a", NOON))
    assert summary(board, 12.3) == (
        "1 events of 1 leads in 12 s: 0 MQL and 0 SQL events, 0 lifecycle events, 0 dead letters."
    )


_AT_A_FORK = """
import os, signal, subprocess, sys, time
from streams.local.demo.interruption import Interruption

pressed = []
def press():
    if not pressed:
        pressed.append(True)
        os.kill(os.getpid(), signal.SIGINT)

os.register_at_fork(after_in_parent=press)
with Interruption() as interruption:
    interruption.raising = True
    try:
        child = subprocess.Popen([sys.executable, "-c", ""], preexec_fn=lambda: None)
        time.sleep(20)
        print("swallowed")
    except KeyboardInterrupt:
        print("interrupted", child.wait())
"""


def test_an_interruption_while_a_process_is_started_is_neither_swallowed_nor_told_as_a_failure() -> None:
    done = subprocess.run([sys.executable, "-c", _AT_A_FORK], capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.stderr) == ("interrupted 0\n", "")
