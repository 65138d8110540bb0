from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.engine.report import Report
from streams.errors import LeadstreamError
from streams.monitoring.health import SILENT_SECONDS, Standing, WorkerHealth
from streams.monitoring.serving import serve


def report(**changes: Any) -> Report:
    values: dict[str, Any] = {
        "made_at": 100.0, "at": 0, "assigned": frozenset({0, 1}), "running": frozenset({0, 1}), "lag": {}, "keys": {},
        "bytes": 0, "stream_time": None, "away": False, "stalled_s": 0.0, "limit_s": 60.0, **changes,
    }  # fmt: skip
    return Report(**values)


def health(latest: Report | None, now: float = 101.0) -> WorkerHealth:
    return WorkerHealth(lambda: latest, lambda: now)


def test_a_worker_whose_event_loop_does_not_run_yet_lives_and_is_not_ready() -> None:
    one = health(None)
    assert (one.live().well, one.ready().well, one.started().well) == (True, False, False)


def test_a_worker_that_has_not_joined_the_group_lives_and_has_not_started() -> None:
    one = health(report(assigned=None, running=frozenset()))
    assert (one.live().well, one.ready().well, one.started().well) == (True, False, False)


def test_a_worker_that_restores_lives_and_has_started_and_is_not_ready() -> None:
    one = health(report(running=frozenset({1})))
    assert (one.live().well, one.ready().well, one.started().well) == (True, False, True)
    assert one.ready().says == "1 of 2 partitions are not restored"


def test_a_worker_that_got_no_partition_is_ready_to_take_one() -> None:
    assert health(report(assigned=frozenset(), running=frozenset())).ready().well


def test_without_a_broker_a_worker_lives_and_is_not_ready() -> None:
    one = health(report(away=True))
    assert (one.live().well, one.ready()) == (True, Standing(False, "no broker answers"))


def test_an_event_loop_that_stands_still_is_not_alive() -> None:
    assert health(report(), 100.0 + SILENT_SECONDS).live().well
    assert not health(report(), 101.0 + SILENT_SECONDS).live().well


def test_work_that_waits_while_nothing_is_done_is_not_alive_for_long() -> None:
    assert health(report(stalled_s=20.0)).live().well
    assert not health(report(stalled_s=30.0)).live().well


@pytest.fixture
def port() -> Iterator[int]:
    probes = {"/health/live": lambda: Standing(True, "live"), "/health/ready": lambda: Standing(False, "joining")}
    server = serve(CollectorRegistry(), "127.0.0.1", 0, probes)
    yield server.server_port
    server.shutdown()
    server.server_close()


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_probes_are_answered_with_200_or_503_and_a_reason(port: int) -> None:
    assert answer(port, "/health/live") == (200, "live\n")
    assert answer(port, "/health/ready") == (503, "joining\n")
    assert answer(port, "/metrics")[0] == 200
    assert answer(port, "/")[0] == 404


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with pytest.raises(LeadstreamError, match=str(port)):
        serve(CollectorRegistry(), "127.0.0.1", port, {})
