"""The soak: that it runs, and with `--long` that a worker holds no more after ten minutes than after five."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SCRIPT = Path(__file__).parents[1] / "bench" / "soak.py"


def soak(minutes: float, rate: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--minutes", str(minutes), "--rate", str(rate)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60 * minutes + 240, check=False)


@pytest.mark.timeout(280)
def test_everything_is_answered() -> None:
    done = soak(0.2, 100)
    assert done.returncode == 0, done.stdout + done.stderr
    *rows, last = done.stdout.splitlines()
    assert len(rows) == 10
    assert last.startswith("everything was answered")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_nothing_grows() -> None:
    done = soak(10, 300)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
