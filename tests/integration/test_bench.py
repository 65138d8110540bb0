"""`leadstream bench` at a tiny scale: every part of it runs and measures something. What it measures is not judged."""

from __future__ import annotations

import json

import pytest

from tests.processes import leadstream

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("options", "measured"),
    [
        (["stock Faust", "--events", "6000", "--rounds", "1", "--seconds", "3", "--populations", "zipf"], "ratio"),
        (["two-workers", "--events", "8000"], "ratio"),
        (["restore", "--leads", "3000"], "seconds"),
        (["latency", "--rates", "100", "--seconds", "3"], "p50_ms"),
        (["collector", "--rounds", "1", "--seconds", "1"], "per_cpu_second"),
    ],
    ids=["throughput", "two workers", "restore", "latency", "collector"],
)
def test_it_measures(options: list[str], measured: str) -> None:
    small = ("--quick", "--warm-up", "1")
    done = leadstream("bench", "--json", *small, "--only", *options, patience=280)  # brokers and workers one by one
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["machine"]["kafka"]
    assert results["results"]
    assert all(row[measured] > 0 for row in results["results"]), results


def test_a_part_that_is_none_is_wrong_use() -> None:
    done = leadstream("bench", "--only", "everything")
    assert done.returncode == 2
    assert "invalid choice" in done.stderr
