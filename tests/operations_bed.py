"""Everything that runs in production, small: broker, worker, collector, relay and Prometheus, under demo traffic.

`python -m tests.operations_bed --minutes 6 --out deploy/grafana/pictures` plots the dashboards after so long.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import requests

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from streams.monitoring.dashboards.pictures import plot_boards
from tests.crm_servers import Answer, Subscriber, serving
from tests.integration.collector_bed import RunningCollector, running_collector
from tests.processes import eventually, free_port, leadstream, running_worker
from tests.prometheus import Prometheus, running_prometheus
from tests.relay_bed import running_relay, webhook

PARTITIONS = 4
#: Sales' answers that the demo's people do not give.
_ANSWERS = (("WON", None), ("REJECTED", "competitor"), ("REJECTED", "not now"), ("LOST", "no_budget"))


class Ports(NamedTuple):
    worker: int
    collector: int
    relay: int


class Bed(NamedTuple):
    """All of it, running. Logs are in `folder`, by name of the program."""

    folder: Path
    broker: EmbeddedBroker
    ports: Ports
    worker: subprocess.Popen[bytes]
    collector: RunningCollector
    relay: subprocess.Popen[bytes]
    subscriber: Subscriber
    prometheus: Prometheus

    def log_of(self, program: str) -> str:
        return (self.folder / program / {"relay": "log"}.get(program, f"{program}.log")).read_text()


@contextmanager
def running_bed(folder: Path, rules: Sequence[Path] = (), *arguments: str) -> Iterator[Bed]:
    """`arguments` go to worker, collector and relay. Ended with the block."""
    for name in ("worker", "collector", "relay"):
        (folder / name).mkdir(parents=True)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(data_dir=folder / "kafka"))
        ensure_topics(broker.bootstrap, partitions=PARTITIONS)
        ports = Ports(free_port(), free_port(), free_port())
        metrics = [("--metrics-port", str(port), *arguments) for port in ports]
        worker = stack.enter_context(
            running_worker(broker.bootstrap, folder / "worker" / "worker.log", "--session-timeout", "6", *metrics[0])
        )
        collector = stack.enter_context(running_collector(broker.bootstrap, folder / "collector", *metrics[1]))
        subscriber = stack.enter_context(serving(Subscriber()))
        relay = stack.enter_context(
            running_relay(broker.bootstrap, folder / "relay", {"crm": webhook(subscriber.url)}, *metrics[2])
        )
        targets = {f"leadstream-{name}": [port] for name, port in ports._asdict().items()}
        prometheus = stack.enter_context(running_prometheus(folder / "prometheus", targets, rules))
        yield Bed(folder, broker, ports, worker, collector, relay, subscriber, prometheus)


@contextmanager
def traffic(bed: Bed, seconds: float) -> Iterator[None]:
    """Trackers and sales at work, as long as the block lasts: the demo's thirty days in `seconds`, and over HTTP."""
    bootstrap = bed.broker.bootstrap
    stop = threading.Event()
    end = int((time.time() + seconds) * 1000)
    command = [sys.executable, "-m", "streams.local.demo.publisher", "--bootstrap", bootstrap, "--seed", "1", "--stay"]
    journeys = subprocess.Popen([*command, "--end", str(end), "--seconds", str(seconds)], stdout=subprocess.DEVNULL)
    edges = threading.Thread(target=_visits, args=(bed, stop))
    edges.start()
    try:
        yield
    finally:
        stop.set()
        journeys.terminate()
        journeys.wait(30)
        edges.join(30)


def _visits(bed: Bed, stop: threading.Event) -> None:
    """Visitors whose tracker is the collector's, some that send nonsense, and a subscriber that fails now and then."""
    for number in itertools.count():
        visitor = {"type": "page", "anonymousId": f"guest-{number % 40}", "messageId": f"page-{number}"}
        page = {**visitor, "properties": {"url": "https://example.com/pricing", "referrer": "https://example.org/"}}
        batch = [page, {"type": "track"}] if number % 10 == 0 else [page]
        try:
            bed.collector.post("/v1/batch", {"batch": batch})
            if number % 20 == 0:
                bed.collector.get("/nothing")
                bed.subscriber.misbehave(Answer(503))
        except requests.ConnectionError:
            pass  # a test has ended the collector
        if stop.wait(0.2):
            return


def sales_answers(bed: Bed) -> None:
    """Four leads book demos, and sales answers each; one waits in vain beyond its SLA."""
    now = time.time_ns() // 1_000_000
    lines = []
    for number, (disposition, reason) in enumerate(_ANSWERS):
        lead = f"asks-{number}"
        lines.append(_line("demo-bookings", lead, now - 60_000, booking_id="b", status="BOOKED"))
        lines.append(_line("sales-feedback", lead, now - 50_000, disposition=disposition, reason=reason))
    answer = leadstream("publish", "--bootstrap", bed.broker.bootstrap, "-", input="\n".join(lines).encode())
    assert answer.returncode == 0, answer.stderr


def _line(topic: str, lead_id: str, at: int, **fields: object) -> str:
    return json.dumps({"topic": topic, "event": {"lead_id": lead_id, "occurred_at": at, **fields}})


def caught_up(bed: Bed) -> None:
    """Wait until nothing waits anywhere, and Prometheus has seen it."""
    lag = "sum(leads_consumer_lag_records) + sum(leads_relay_lag_records) + sum(leads_relay_waiting_events)"
    eventually(lambda: bed.prometheus.value(lag) == 0, "the workers or the relay lag")


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--minutes", type=float, default=6.0)
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="leadstream-bed-") as name, running_bed(Path(name)) as bed:
        with traffic(bed, given.minutes * 50):
            time.sleep(given.minutes * 30)
            sales_answers(bed)
            time.sleep(given.minutes * 30)
        for path in plot_boards(bed.prometheus.url, given.minutes * 60, given.out):
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
