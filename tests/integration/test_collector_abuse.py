"""What tries the collector's patience: too much, too slow, too many, and requests that are none."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from streams.local.broker import EmbeddedBroker
from tests.integration.collector_bed import KEY, RunningCollector, events_of, ready, running_collector, spoken, track
from tests.processes import eventually, running

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def collector(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    with running_collector(bootstrap, tmp_path_factory.mktemp("collector")) as running_one:
        yield running_one


def test_too_much_at_once_is_refused_and_a_bomb_is_not_unpacked(collector: RunningCollector) -> None:
    before = psutil.Process(collector.process.pid).memory_info().rss
    bomb = gzip.compress(b'{"batch":[' + b" " * 300_000_000, 9)
    assert len(bomb) < 500 * 1024
    for _ in range(5):
        assert collector.post("/v1/batch", bomb, headers={"content-encoding": "gzip"}).status_code == 413
    assert collector.post("/v1/batch", b"x" * 600_000).status_code == 413
    assert collector.post("/v1/batch", b"x", headers={"content-encoding": "br"}).status_code == 415
    assert collector.post("/v1/batch", b"x", headers={"content-encoding": "gzip"}).status_code == 400
    chunks = requests.post(
        collector.url + "/v1/batch", data=(b"x" * 65_536 for _ in range(100)), auth=(KEY, ""), timeout=30
    )
    assert chunks.status_code == 413
    assert psutil.Process(collector.process.pid).memory_info().rss - before < 30_000_000


def test_packed_bodies_take_no_more_memory_together_than_others(tmp_path: Path) -> None:
    """While the broker is silent each is kept, unpacked: half a megabyte of a few hundred bytes."""
    packed = gzip.compress(json.dumps({"batch": [track("u", "m")]}).encode() + b" " * 520_000)
    start = f"POST /v1/batch?writeKey={KEY} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
    sent = f"{start}Content-Length: {len(packed)}\r\n\r\n".encode() + packed
    with EmbeddedBroker() as broker, running_collector(broker.bootstrap, tmp_path) as collector:
        assert collector.post("/v1/batch", packed, headers={"content-encoding": "gzip"}).status_code == 200
        before = most_memory(collector)
        trackers = [socket.create_connection(("127.0.0.1", collector.port), timeout=20) for _ in range(600)]
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            for one in trackers:
                one.sendall(sent)
            assert {one.recv(12) for one in trackers} == {b"HTTP/1.1 503"}
        finally:
            os.kill(broker.pid, signal.SIGCONT)
            for one in trackers:
                one.close()
        assert most_memory(collector) - before < 150_000_000


def most_memory(collector: RunningCollector) -> int:
    """Bytes that the collector has had at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{collector.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/batch", 405),
        ("DELETE", "/v1/batch", 405),
        ("HEAD", "/o.gif", 200),
        ("POST", "/nothing", 404),
        ("POST", "//v1/batch", 404),
        ("POST", "/v1/batch/", 404),
        ("POST", "/v1/../v1/batch", 404),
        ("GET", "/d/../../etc/passwd", 404),
        ("GET", "/tracker.js/../../app.py", 404),
    ],
)
def test_paths_and_methods_are_taken_as_they_are(
    collector: RunningCollector, method: str, path: str, status: int
) -> None:
    answer = spoken(collector, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert path.encode() not in answer  # nothing of a request is repeated


def test_header_games_end_at_the_door(collector: RunningCollector) -> None:
    start = "POST /v1/batch HTTP/1.1\r\nHost: x\r\n"
    huge = spoken(collector, start + "X-Big: " + "x" * 200_000 + "\r\n\r\n")
    assert b"200 OK" not in huge
    many = spoken(collector, start + "".join(f"X-{n}: 1\r\n" for n in range(500)) + "\r\n")
    assert b"200 OK" not in many
    both = spoken(
        collector, start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
    )
    assert b"200 OK" not in both
    twice = spoken(collector, start + "Content-Length: 3\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde")
    assert b"200 OK" not in twice
    assert collector.get("/health/ready").status_code == 200


def test_slow_clients_are_let_go_and_hold_up_nobody(collector: RunningCollector, bootstrap: str) -> None:
    """A hundred never finish their headers; more than are handled at once never finish their bodies, some of which are
    announced large, some not at all.
    """
    slow = [socket.create_connection(("127.0.0.1", collector.port)) for _ in range(1_300)]
    kinds = (
        b"Content-Length: 100\r\n\r\n{",
        b"Content-Length: 500000\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    )
    try:
        for number, connection in enumerate(slow):
            connection.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n")
            if number >= 100:
                connection.sendall(kinds[number % 3])
        assert collector.post("/v1/track", track("quick", "m")).status_code == 200
        assert len(events_of(bootstrap, "activities", "quick")) == 1
        for connection in slow:
            connection.settimeout(30)
            try:
                answer = connection.recv(1000)
            except ConnectionResetError:
                answer = b""
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer
    finally:
        for connection in slow:
            connection.close()


def test_a_key_that_sends_too_much_is_told_when_to_come_back(bootstrap: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{name: slow, key: {KEY}, events_per_second: 5}}\n- {{name: other, key: another-{KEY}}}\n")
    with running_collector(bootstrap, tmp_path, "--open") as first:
        assert first.post("/v1/track", track("open", "m"), key="anything").status_code == 200
    log = tmp_path / "limited.log"
    with running(log, "collector", "--bootstrap", bootstrap, "--port", "0", "--write-keys", str(keys)) as process:
        eventually(lambda: ready(log), "not ready")
        limited = RunningCollector(f"http://{ready(log)}", process, log)
        batch = {"batch": [track("burst", f"m-{number}") for number in range(60)]}
        assert limited.post("/v1/batch", batch).status_code == 200
        refused = limited.post("/v1/track", track("burst", "m"))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert limited.post("/v1/track", track("burst", "m"), key=f"another-{KEY}").status_code == 200
        eventually(lambda: limited.post("/v1/track", track("burst", "later")).status_code == 200, "still refused", 20)
