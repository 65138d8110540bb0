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
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
from capacity_page import Measured, tables
from collector import collector as collector_bench
from confluent_kafka import Producer
from contenders import consumed, free_port
from population import load, page_views
from restore import restore
from setting import Setting

from streams.kafka import ensure_topics, producer_config
from streams.local.broker import EmbeddedBroker
from streams.local.server import SERVER_JVM
from streams.topics import changelog_topic

PAGE = Path(__file__).parents[2] / "deploy" / "capacity.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
#: Page views a second; single events over HTTP, as fast as they are answered.
RATE, POSTS = 1_000, 4_000
CHANGELOG = changelog_topic("leadstream").name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each rest and load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--leads", type=int, default=200_000, help="leads whose memory is measured")
    parser.add_argument("--events", type=int, default=100_000, help="events of the backlog")
    parser.add_argument("--write", action="store_true", help="put the tables into deploy/capacity.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leadstream-capacity-") as folder:
        text = "\n".join(tables(measure(options, Path(folder)), RATE))
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
        worker_mb, collector_mb = _megabytes(worker), _megabytes(collector)
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
        used = [now - then for now, then in zip(_disk(room, topics).values(), before.values(), strict=True)]
        requests: list[Wire] = []
        for number in range(options.rounds):
            with _connections(url, 8) as connections:
                posts.append(_spent([worker, server, collector], partial(_posted, connections, POSTS, number)))
                requests.append(_wire(f"127.0.0.1:{url}"))
        broker_mb = _megabytes(server)
    per_event = 1e6 / count
    worker_backlog, broker_backlog = backlog(room, options.events)

    def middle(rows: list[list[float]], which: int) -> float:
        return statistics.median(row[which] for row in rows)

    setting = Setting(sys.executable, room)
    states = restore(setting, options.leads)
    *_, single, batched = collector_bench(setting, min(5.0, options.seconds), 1)
    sent = count * options.rounds
    return Measured(
        worker_us=(middle(loads, 0) - middle(rests, 0)) * per_event,
        worker_backlog_us=worker_backlog,
        broker_us=(middle(loads, 1) - middle(rests, 1)) * per_event,
        broker_backlog_us=broker_backlog,
        collector_us=middle(posts, 2) * 1e6 / POSTS,
        collector_batched_us=1e6 / batched["per_cpu_second"],
        worker_rest=middle(rests, 0) / options.seconds,
        broker_rest=middle(rests, 1) / options.seconds,
        input_bytes=used[0] / sent,
        changelog_bytes=used[1] / sent,
        output_bytes=sum(used[2:]) / sent,
        lead_packed=statistics.mean(row["packed_bytes"] for row in states),
        lead_resident=statistics.mean(row["resident_bytes"] for row in states),
        lead_restore_us=statistics.mean(row["cpu_us"] for row in states),
        worker_mb=worker_mb,
        broker_mb=broker_mb,
        collector_mb=collector_mb,
        collector_busy_mb=single["megabytes"],
        collector_batched_mb=batched["megabytes"],
        collector_crowded_mb=single["megabytes_crowded"],
        into_broker=statistics.median(wire.received for wire in wires) / count,
        out_of_broker=statistics.median(wire.sent for wire in wires) / count,
        into_collector=statistics.median(wire.received for wire in requests) / POSTS,
        out_of_collector=statistics.median(wire.sent for wire in requests) / POSTS,
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


@contextmanager
def _connections(port: int, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    made = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def _posted(connections: list[http.client.HTTPConnection], count: int, round_: int) -> None:
    """Single `page` calls as a browser's tracker makes them, over connections that stay."""

    def client(which: int) -> None:
        for number in range(which, count, len(connections)):
            user = f"visitor-{number * 7919 % 5000}"
            body = {
                "anonymousId": user,
                "messageId": f"{round_}-{number}",
                "type": "page",
                "properties": {"url": "https://www.example.com/docs", "title": "A page of the site"},
                "context": {"userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "library": {"name": "bench"}},
                "writeKey": "bench-bench-bench",
            }
            connections[which].request("POST", "/v1/page", json.dumps(body), {"Content-Type": "application/json"})
            answer = connections[which].getresponse()
            answer.read()
            assert answer.status == 200, answer.status

    threads = [threading.Thread(target=client, args=(which,)) for which in range(len(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)


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


if __name__ == "__main__":
    sys.exit(main())
