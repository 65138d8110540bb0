"""The collector as a process: its command line, what it says of itself, and its end while requests fly."""

from __future__ import annotations

import itertools
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.integration.collector_bed import KEY, events_of, running_collector, snowplow, track
from tests.processes import eventually, leadstream

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_health_and_metrics_tell_how_it_is(bootstrap: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running_collector(bootstrap, tmp_path, "--metrics-port", str(port)) as collector:
        for path in ("live", "started", "ready"):
            assert collector.get(f"/health/{path}").status_code == 200
        collector.post("/v1/batch", {"batch": [track("metered", "m"), {"type": "track"}]})
        collector.post("/v1/track", track("metered", "m"), headers={"dnt": "1"})
        collector.get("/nothing")
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=10).status_code == 404
        for line in (
            'leads_collector_events_total{outcome="published",protocol="segment"} 1.0',
            'leads_collector_events_total{outcome="dead_letter",protocol="segment"} 1.0',
            'leads_collector_events_total{outcome="opted_out",protocol="segment"} 1.0',
            'leads_collector_refused_requests_total{status="404"} 1.0',
            "leads_collector_publish_seconds_count 1.0",
            "leads_collector_broker_up 1.0",
        ):
            assert line in text
        assert "metered" not in text
        assert KEY not in text


def _requests(thread: int, number: int) -> tuple[str, Callable[[requests.Session, str], requests.Response], list[str]]:
    """The topic, one request of one of the protocols, and the ids of its events."""
    ids = [f"{thread}-{number}-{part}" for part in range(1 + 9 * (number % 2))]
    lead = f"last-{thread}"
    if thread % 4 == 0:
        body = {"writeKey": KEY, **track(lead, ids[0])}
        return "activities", lambda http, url: http.post(url + "/v1/track", json=body, timeout=30), ids[:1]
    if thread % 4 == 1:
        batch = {"writeKey": KEY, "batch": [track(lead, one) for one in ids]}
        return "activities", lambda http, url: http.post(url + "/v1/batch", json=batch, timeout=30), ids
    views = [{"e": "pv", "url": "https://x.example/", "uid": lead, "aid": KEY, "eid": one} for one in ids]
    if thread % 4 == 2:
        path = "/com.snowplowanalytics.snowplow/tp2"
        return "page-views", lambda http, url: http.post(url + path, json=snowplow(*views), timeout=30), ids
    return "page-views", lambda http, url: http.get(url + "/i", params=views[0], timeout=30), ids[:1]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_whatever_was_confirmed_is_there_however_the_collector_ends_while_requests_fly(
    bootstrap: str, tmp_path: Path, how: signal.Signals
) -> None:
    """Connections are kept, as trackers keep them; half of the threads open one a request."""
    confirmed: dict[str, set[str]] = {"activities": set(), "page-views": set()}
    refused: list[int] = []
    asked = threading.Event()
    broken_before: list[Exception] = []
    with running_collector(bootstrap, tmp_path) as collector:

        def send(thread: int) -> None:
            http = requests.Session()
            for number in itertools.count():
                topic, ask, ids = _requests(thread, number)
                if thread >= 8:
                    http = requests.Session()
                try:
                    status = ask(http, collector.url).status_code
                except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                    if not asked.is_set():
                        broken_before.append(error)
                    return  # it listens no more
                if status != 200:
                    refused.append(status)
                    return
                confirmed[topic].update(ids)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        eventually(lambda: min(map(len, confirmed.values())) > 300, "no traffic")
        asked.set()
        collector.process.send_signal(how)
        assert collector.process.wait(20) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    for topic, ids in confirmed.items():
        assert ids <= {event["event_id"] for event in events_of(bootstrap, topic)}
    assert broken_before == []
    assert refused == []


def test_a_wrong_command_line_says_what_to_do(tmp_path: Path, bootstrap: str) -> None:
    assert "either --write-keys FILE, or --open" in leadstream("collector").stderr
    missing = leadstream("collector", "--write-keys", str(tmp_path / "none"))
    assert (missing.returncode, "no such file" in missing.stderr) == (2, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = leadstream("collector", "--open", "--port", port, "--bootstrap", bootstrap)
    assert (done.returncode, "Choose another --port" in done.stderr) == (1, True)
    assert "Examples:" in leadstream("collector", "--help").stdout
