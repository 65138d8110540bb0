"""Exactly once: workers are killed, frozen, moved and drained, the broker crashes, and nothing of it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.drive import LONG, SHORT, Plan, run

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]


@pytest.mark.timeout(280)
def test_a_short_chaos_leaves_no_trace_in_the_results(tmp_path: Path) -> None:
    print(run(Plan(seed=1, **SHORT), tmp_path))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_long_chaos_leaves_no_trace_in_the_results(tmp_path: Path, seed: int) -> None:
    print(run(Plan(seed, **LONG), tmp_path))
