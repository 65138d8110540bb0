"""What leadstream needs: CPU, memory, disk and network, measured here, and the sizes that follow.

    python tests/bench/capacity.py                       prints the tables of deploy/capacity.md
    python tests/bench/capacity.py --write               puts them there
    python tests/bench/capacity.py --seconds 5 --rounds 1 --leads 20000 --events 20000   is quick, and rough

Rates are held for a while and compared with the same processes at rest, rest and load in turns, in CPU time: others on
the machine make the wall clock slower, not these figures.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
from confluent_kafka import Producer
from contenders import consumed, free_port
from population import load, page_views
from restore import restore

from streams.kafka import ensure_topics, producer_config
from streams.local.broker import EmbeddedBroker
from streams.local.server import SERVER_JVM
from streams.topics import RETENTION_MS, changelog_topic

PAGE = Path(__file__).parents[2] / "deploy" / "capacity.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
#: Page views a second; single events over HTTP, as fast as they are answered.
RATE, POSTS = 1_000, 4_000
CHANGELOG = changelog_topic("leadstream").name


class Measured(NamedTuple):
    """Microseconds of CPU time an event, bytes an event, bytes a lead, and CPU shares at rest."""

    worker_us: float
    worker_backlog_us: float
    broker_us: float
    broker_backlog_us: float
    collector_us: float
    worker_rest: float
    broker_rest: float
    input_bytes: float
    changelog_bytes: float
    output_bytes: float
    lead_packed: float
    lead_resident: float
    worker_base_mb: float
    collector_mb: float
    into_broker: float
    out_of_broker: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each rest and load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--leads", type=int, default=200_000, help="leads whose memory is measured")
    parser.add_argument("--events", type=int, default=100_000, help="events of the backlog")
    parser.add_argument("--write", action="store_true", help="put the tables into deploy/capacity.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leadstream-capacity-") as folder:
        text = "\n".join([*_measured(found := measure(options, Path(folder))), "", *_sizes(found)])
    if options.write:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    print(text)
    return 0


def measure(options: argparse.Namespace, room: Path) -> Measured:
    with EmbeddedBroker(room / "kafka", jvm=SERVER_JVM) as broker, ExitStack() as stack:
        ensure_topics(broker.bootstrap, 12)
        port, url = free_port(), free_port()
        worker = stack.enter_context(_process(room, "worker", broker, "--metrics-port", str(port)))
        collector = stack.enter_context(_process(room, "collector", broker, "--open", "--port", str(url)))
        assert broker.pid is not None
        server = psutil.Process(broker.pid)
        base = worker.memory_info().rss / 1e6
        rests: list[list[float]] = []
        loads: list[list[float]] = []
        posts: list[list[float]] = []
        topics = ("page-views", CHANGELOG, "lifecycle-events", "mql-events", "sql-events", "lead-scores")
        before = _disk(room, topics)
        count = int(RATE * options.seconds)
        producer = Producer({**producer_config(broker.bootstrap), "linger.ms": 5})
        _until(lambda: bool(producer.list_topics().topics), "no broker answers")
        wires: list[Wire] = []
        for number in range(options.rounds):
            idle, start = time.monotonic(), _wire(broker.bootstrap)
            rests.append(_spent([worker, server, collector], partial(time.sleep, options.seconds)))
            busy, between = time.monotonic(), _wire(broker.bootstrap)
            loads.append(_spent([worker, server, collector], partial(_paced, producer, count, number + 2)))
            _until(partial(_reached, port, count * (number + 1)), "the worker does not keep up")
            # What goes over the wire at rest, fetches that find nothing, is not the events'.
            share = (time.monotonic() - busy) / (busy - idle)
            end = _wire(broker.bootstrap)
            wires.append(Wire(*(c - b - share * (b - a) for a, b, c in zip(start, between, end, strict=True))))
        after, sent = _disk(room, topics), count * options.rounds
        for number in range(options.rounds):
            posts.append(_spent([worker, server, collector], partial(_posted, url, POSTS, number)))
        collector_mb = collector.memory_info().rss / 1e6
    per_event = 1e6 / count
    worker_backlog, broker_backlog = backlog(room, options.events)

    def middle(rows: list[list[float]], which: int) -> float:
        return statistics.median(row[which] for row in rows)

    used = [after[topic] - before[topic] for topic in topics]
    states = restore(sys.executable, room, options.leads)
    return Measured(
        (middle(loads, 0) - middle(rests, 0)) * per_event,
        worker_backlog,
        (middle(loads, 1) - middle(rests, 1)) * per_event,
        broker_backlog,
        middle(posts, 2) * 1e6 / POSTS,
        middle(rests, 0) / options.seconds,
        middle(rests, 1) / options.seconds,
        used[0] / sent,
        used[1] / sent,
        sum(used[2:]) / sent,
        statistics.mean(row["packed_bytes"] for row in states),
        statistics.mean(row["resident_bytes"] for row in states),
        base,
        collector_mb,
        statistics.median(wire.received for wire in wires) / count,
        statistics.median(wire.sent for wire in wires) / count,
    )


def backlog(room: Path, events: int) -> tuple[float, float]:
    """Microseconds of CPU time an event that worker and broker spend while the worker catches up; the broker also while
    the events were written.
    """
    with EmbeddedBroker(room / "backlog", jvm=SERVER_JVM) as broker:
        ensure_topics(broker.bootstrap, 12)
        assert broker.pid is not None
        server = psutil.Process(broker.pid)
        written = _spent([server], partial(load, broker.bootstrap, "uniform", events))
        port = free_port()
        with _process(room, "backlog-worker", broker, "--metrics-port", str(port)) as worker:
            first = consumed(port)
            spent = _spent([worker, server], partial(_until, partial(_reached, port, events), "no end of the backlog"))
    return spent[0] * 1e6 / (events - first), written[0] * 1e6 / events + spent[1] * 1e6 / (events - first)


def _reached(port: int, count: int) -> bool:
    return consumed(port) >= count


@contextmanager
def _process(room: Path, name: str, broker: EmbeddedBroker, *options: str) -> Iterator[psutil.Process]:
    """A command that is ready, ended afterwards."""
    command = name.rpartition("-")[2]
    log = room / f"{name}.log"
    with log.open("wb") as out:
        words = [sys.executable, "-m", "streams.cli", command, "--bootstrap", broker.bootstrap, *options]
        process = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        _until(lambda: "ready " in log.read_text() or process.poll() is not None, f"the {name} is not ready")
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _spent(processes: list[psutil.Process], work: Callable[[], object]) -> list[float]:
    """CPU seconds that each process spent while `work` was done."""
    before = [sum(one.cpu_times()[:2]) for one in processes]
    work()
    return [sum(one.cpu_times()[:2]) - spent for one, spent in zip(processes, before, strict=True)]


class Wire(NamedTuple):
    """Bytes over all of a broker's connections that stand, Kafka's protocol included, TCP's not."""

    received: float
    sent: float


def _wire(bootstrap: str) -> Wire:
    """As the kernel counts them, told by `ss` (iproute2)."""
    found = subprocess.run(
        ["ss", "-tinOH", "state", "established", f"sport = :{bootstrap.rpartition(':')[2]}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return Wire(
        *(float(sum(map(int, re.findall(rf"{name}:(\d+)", found)))) for name in ("bytes_received", "bytes_sent"))
    )


def _paced(producer: Producer, count: int, seed: int) -> None:
    records = list(page_views("zipf", count, seed))
    began = time.monotonic()
    for number, (key, value) in enumerate(records):
        producer.produce("page-views", value, key)
        if number % 20 == 0:
            producer.poll(0)
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
    assert producer.flush(60) == 0, "not everything was published"


def _posted(port: int, count: int, round_: int) -> None:
    """Single `page` calls as a browser's tracker makes them, over eight connections that stay."""

    def client(which: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for number in range(which, count, 8):
            user = f"visitor-{number * 7919 % 5000}"
            body = {
                "anonymousId": user,
                "messageId": f"{round_}-{number}",
                "type": "page",
                "properties": {"url": "https://www.example.com/docs", "title": "A page of the site"},
                "context": {"userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "library": {"name": "bench"}},
                "writeKey": "bench-bench-bench",
            }
            connection.request("POST", "/v1/page", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        connection.close()

    threads = [threading.Thread(target=client, args=(which,)) for which in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _disk(room: Path, topics: tuple[str, ...]) -> dict[str, int]:
    """Bytes in the logs of each topic."""
    logs = room / "kafka" / "topics"
    return {
        topic: sum(file.stat().st_size for number in range(12) for file in (logs / f"{topic}-{number}").glob("*.log"))
        for topic in topics
    }


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.2)


def _measured(found: Measured) -> list[str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PAGE.parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    return [
        f"Measured at commit {commit or 'unknown'} on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores shared with "
        f"broker, load and others, Python {platform.python_version()}; {RATE:,} page views/s to Kafka, single events "
        "over HTTP one after the other.",
        "",
        "| what | worker | broker | collector |",
        "|---|---|---|---|",
        f"| CPU at rest, share of a core | {found.worker_rest:.0%} | {found.broker_rest:.0%} | |",
        f"| CPU for 1,000 events/s, cores | {found.worker_us / 1000:.2f} | {found.broker_us / 1000:.2f} | "
        f"{found.collector_us / 1000:.2f} |",
        f"| CPU an event when busy | {found.worker_backlog_us:.0f} us | {found.broker_backlog_us:.0f} us | "
        f"{found.collector_us:.0f} us |",
        f"| memory without leads | {found.worker_base_mb:.0f} MB | | {found.collector_mb:.0f} MB |",
        f"| memory for a million leads | {found.lead_resident / 1000:.1f} GB | | |",
        "",
        "| an event's bytes on disk, one copy | |",
        "|---|---|",
        f"| on its input topic | {found.input_bytes:.0f} |",
        f"| on the changelog, before compaction | {found.changelog_bytes:.0f} |",
        f"| on output topics | {found.output_bytes:.0f} |",
        f"| a lead on the changelog, after compaction | {found.lead_packed:.0f} |",
        "",
        "| an event's bytes on the wire, without copies and subscribers | |",
        "|---|---|",
        f"| into the broker, from trackers and workers | {found.into_broker:.0f} |",
        f"| out of the broker, to workers mostly | {found.out_of_broker:.0f} |",
    ]


class Size(NamedTuple):
    """A deployment: events a second at the peak, leads kept, days that raw events are kept."""

    rate: int
    leads: float
    days: int


SIZES = (Size(1_000, 2e6, RETENTION_MS // 86_400_000), Size(100_000, 100e6, 90), Size(1_000_000, 500e6, 30))
#: What a worker's share of the leads may take: more than that is long to restore.
LARGEST_SHARE = 16e9
#: How much of a core a worker is to use at the peak; the average rate as a share of the peak; copies of each record.
BUSY, AVERAGE, COPIES = 0.6, 0.4, 3


def _sizes(found: Measured) -> list[str]:
    rows = [
        "| | " + " | ".join(f"{one.rate:,}/s, {one.leads / 1e6:.0f}M leads, {one.days} d" for one in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]

    def row(name: str, value: Callable[[Size], str]) -> None:
        rows.append(f"| {name} | " + " | ".join(map(value, SIZES)) + " |")

    def workers(one: Size) -> int:
        by_rate = math.ceil(one.rate * found.worker_backlog_us / 1e6 / BUSY)
        return max(2, by_rate, math.ceil(one.leads * found.lead_resident / LARGEST_SHARE))

    def partitions(one: Size) -> int:
        return max(12, 12 * math.ceil(workers(one) * 1.5 / 12))

    def copied(one: Size) -> float:
        """MB/s that one more copy of everything takes."""
        return one.rate * (found.input_bytes + found.changelog_bytes + found.output_bytes) / 1e6

    def inward(one: Size) -> float:
        """MB/s from trackers, workers and the other brokers."""
        return one.rate * found.into_broker / 1e6 + copied(one) * (COPIES - 1)

    # A follower's fetches and writes: half of what the leader does.
    broker_us = found.broker_backlog_us * (1 + (COPIES - 1) / 2)

    def outward(one: Size) -> float:
        """MB/s to trackers, workers, the other brokers, and three subscribers."""
        return one.rate * (found.out_of_broker + 3 * found.output_bytes) / 1e6 + copied(one) * (COPIES - 1)

    row("workers (one core each)", lambda one: f"{workers(one):,}")
    row("partitions", lambda one: f"{partitions(one):,}")
    row(
        "memory a worker",
        lambda one: _bytes(found.worker_base_mb * 1e6 + one.leads * found.lead_resident / workers(one)),
    )
    row("collector cores", lambda one: f"{max(1, math.ceil(one.rate * found.collector_us / 1e6 / BUSY)):,}")
    row(
        "broker cores, all together",
        lambda one: f"{max(3, math.ceil(one.rate * broker_us / 1e6 / BUSY)):,}",
    )
    row(
        "disk, all copies",
        lambda one: _bytes(
            COPIES
            * (
                one.rate * AVERAGE * (found.input_bytes + found.output_bytes) * one.days * 86_400
                + one.leads * found.lead_packed * 1.5
            )
        ),
    )
    row("network into brokers", lambda one: f"{inward(one) * 8:,.0f} Mbit/s")
    row("network out of brokers", lambda one: f"{outward(one) * 8:,.0f} Mbit/s")
    return rows


def _bytes(count: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
