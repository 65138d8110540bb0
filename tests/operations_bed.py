"""Everything that runs in production, small: broker, worker, collector, relay and Prometheus, under demo traffic.

`python -m tests.operations_bed --minutes 5 --out deploy/grafana/pictures` plots the dashboards, the funnel of the
demo's thirty days, the pipeline of the same people as if all were live.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
from confluent_kafka import Producer

from streams.kafka import ensure_topics, producer_config
from streams.local.broker import EmbeddedBroker
from streams.local.demo.diary import Happening
from streams.local.demo.journeys import journeys
from streams.monitoring.dashboards import BOARDS, PIPELINE, Board
from streams.monitoring.dashboards.pictures import plot_boards
from streams.wire.codec import Codec
from streams.wire.jsonlines import Line, parse_line
from tests.integration.collector_bed import RunningCollector, running_collector
from tests.kafka_topics import messages_of
from tests.processes import await_ready, end, eventually, free_port
from tests.prometheus import Prometheus, running_prometheus
from tests.relay_bed import running_relay, webhook
from tests.servers import Answer, Subscriber, serving

PARTITIONS = 4
#: Sales' answers that the demo's people do not give.
_ANSWERS = (("WON", None), ("REJECTED", "competitor"), ("REJECTED", "not now"), ("LOST", "no_budget"))


class Ports(NamedTuple):
    worker: int
    collector: int
    relay: int


class HookedWorker:
    """A worker process that can be held up, ended and started again; its log goes on in one file."""

    def __init__(self, bootstrap: str, folder: Path, *arguments: str) -> None:
        self.log = folder / "worker.log"
        self._silent = folder / "silent"
        #: While this file is there, its restores wait.
        self.held = folder / "held"
        self._command = [sys.executable, "-m", "tests.hooked_worker", "worker", "--bootstrap", bootstrap, *arguments]
        self.process: subprocess.Popen[bytes] | None = None
        self._readies = 0

    def start(self) -> None:
        self._readies = self._ready_lines()
        env = {**os.environ, "SILENT_WHILE": str(self._silent), "HELD_WHILE": str(self.held)}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self._command, stdout=out, stderr=subprocess.STDOUT, env=env)

    def await_ready(self) -> None:
        assert self.process is not None
        await_ready(self.process, lambda: self._ready_lines() > self._readies, self.log)

    def _ready_lines(self) -> int:
        return self.log.read_text().count("\nready ") if self.log.exists() else 0

    @contextmanager
    def silence(self) -> Iterator[None]:
        """It fetches nothing, from the beginning of the block to its end."""
        heard = Path(f"{self._silent}.heard")
        heard.unlink(missing_ok=True)
        self._silent.touch()
        try:
            eventually(heard.exists, "the worker does not hear that it should fetch nothing")
            yield
        finally:
            self._silent.unlink()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)


class Bed(NamedTuple):
    """All of it, running. Logs are in `folder`, by name of the program."""

    folder: Path
    broker: EmbeddedBroker
    ports: Ports
    worker: HookedWorker
    collector: RunningCollector
    relay: subprocess.Popen[bytes]
    subscriber: Subscriber
    prometheus: Prometheus

    def log_of(self, program: str) -> str:
        return (self.folder / program / {"relay": "log"}.get(program, f"{program}.log")).read_text()

    def health(self, probe: str) -> tuple[int, str]:
        """Status and text of a probe of the worker; 0 while nothing listens."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.ports.worker}/health/{probe}", timeout=5)
        except requests.ConnectionError:
            return 0, ""
        return answer.status_code, answer.text.strip()


@contextmanager
def running_bed(
    folder: Path, rules: Sequence[Path] = (), *arguments: str, of_worker: Sequence[str] = ()
) -> Iterator[Bed]:
    """`arguments` go to worker, collector and relay, `of_worker` to the worker alone. Ended with the block."""
    for name in ("worker", "collector", "relay"):
        (folder / name).mkdir(parents=True)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(data_dir=folder / "kafka"))
        ensure_topics(broker.bootstrap, partitions=PARTITIONS)
        ports = Ports(free_port(), free_port(), free_port())
        metrics = [("--metrics-port", str(port), *arguments) for port in ports]
        worker = HookedWorker(broker.bootstrap, folder / "worker", "--session-timeout", "6", *metrics[0], *of_worker)
        stack.callback(worker.stop)
        worker.start()
        worker.await_ready()
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
    """Trackers at work, as long as the block lasts: the demo's thirty days in `seconds`, as if they happened now, and
    visitors over HTTP.
    """
    stop = threading.Event()
    workers = [
        threading.Thread(target=_visits, args=(bed, stop)),
        threading.Thread(target=_journeys, args=(bed.broker.bootstrap, stop, seconds)),
    ]
    for one in workers:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in workers:
            one.join(30)


def history(bed: Bed, seconds: float) -> None:
    """Publish the thirty days until now of four times as many people as the demo has, in `seconds`."""
    happenings = [one for seed in range(1, 5) for one in journeys(seed, int(time.time() * 1000), f"-{seed}")]
    happenings.sort(key=lambda one: one[1]["occurred_at"])
    _publish(bed.broker.bootstrap, happenings, seconds, threading.Event(), live=False)


def _journeys(bootstrap: str, stop: threading.Event, seconds: float) -> None:
    _publish(bootstrap, journeys(1, int(time.time() * 1000)), seconds, stop, live=True)


def _publish(
    bootstrap: str, happenings: Sequence[Happening], seconds: float, stop: threading.Event, live: bool
) -> None:
    producer, codec = Producer(producer_config(bootstrap)), Codec()
    begin = time.time()
    for number, (topic, one) in enumerate(happenings):
        if stop.wait(max(0.0, begin + number * seconds / len(happenings) - time.time())):
            return
        if live:
            one["occurred_at"] = int(time.time() * 1000)
        producer.produce(topic, codec.encode(topic, one), one["lead_id"].encode())
        if number % 100 == 0:
            producer.produce("page-views", b"of an old tracker", b"visitor")
        producer.poll(0)
    producer.flush(30)


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
    leads = [f"asks-{number}" for number in range(len(_ANSWERS))]
    publish(bed, [event("demo-bookings", lead, -60, booking_id="b", status="BOOKED") for lead in leads])
    asked = {lead.encode() for lead in leads}
    # What is published all at once is only as ordered as it arrives: sales answers what it was told.
    eventually(
        lambda: asked <= {one.key() for one in messages_of(bed.broker.bootstrap, ["sql-events"])}, "sales is not asked"
    )
    publish(
        bed,
        [
            event("sales-feedback", lead, -50, disposition=disposition, reason=reason)
            for lead, (disposition, reason) in zip(leads, _ANSWERS, strict=True)
        ],
    )


def bookings(name: str, count: int) -> list[Happening]:
    """Of leads of their own, SQLs by it."""
    return [event("demo-bookings", f"{name}-{number}", booking_id="b", status="BOOKED") for number in range(count)]


def event(topic: str, lead_id: str, after_s: float = 0.0, **fields: object) -> Happening:
    """An event that occurs now, or `after_s` seconds later."""
    return topic, {"lead_id": lead_id, "occurred_at": int((time.time() + after_s) * 1000), **fields}


def publish(bed: Bed, happenings: Iterable[Happening]) -> None:
    """Publish events at once, as lines of JSON are: what is missing is filled in."""
    producer, codec = Producer(producer_config(bed.broker.bootstrap)), Codec()
    for topic, one in happenings:
        line = parse_line(json.dumps({"topic": topic, "event": one}).encode())
        assert isinstance(line, Line), line
        producer.produce(topic, codec.encode(topic, line.event), one["lead_id"].encode())
        producer.poll(0)
    assert producer.flush(30) == 0


def caught_up(bed: Bed) -> None:
    """Wait until nothing waits anywhere, and Prometheus has seen it."""
    lag = "sum(leads_consumer_lag_records) + sum(leads_relay_lag_records) + sum(leads_relay_waiting_events)"
    eventually(lambda: bed.prometheus.value(lag) == 0, "the workers or the relay lag")


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--minutes", type=float, default=6.0)
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    for board in BOARDS:
        _picture(board, given.minutes * 60, given.out)
    return 0


def _picture(board: Board, seconds: float, out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="leadstream-bed-") as name, running_bed(Path(name)) as bed:
        if board is PIPELINE:
            with traffic(bed, seconds):
                sales_answers(bed)
                time.sleep(seconds)
        else:
            history(bed, seconds - 15)
            sales_answers(bed)
            time.sleep(10)
        print(plot_boards(bed.prometheus.url, seconds, out, [board]))


if __name__ == "__main__":
    raise SystemExit(main())
