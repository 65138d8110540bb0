"""What the relay delivers to a local webhook server from a real broker: a second, a CPU second, and after how long.

python tests/bench/relay.py [--events N] [--rate R] [--seconds S]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from aiohttp import web
from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).parents[2]))

from streams.kafka import ensure_topics, producer_config
from streams.local.broker import EmbeddedBroker
from streams.local.server import SERVER_JVM
from tests.kafka_topics import CODEC
from tests.processes import free_port
from tests.relay_bed import running_relay, webhook
from tests.relay_records import lifecycle, topic_of


def serve(port: int) -> None:
    """Take everything, and remember when."""
    seen: dict[str, float] = {}

    async def take(request: web.Request) -> web.Response:
        await request.read()
        seen.setdefault(request.headers["webhook-id"], time.time())
        return web.Response(status=204)

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(seen)

    app = web.Application()
    app.router.add_post("/hook", take)
    app.router.add_get("/seen", tell)
    web.run_app(app, host="127.0.0.1", port=port, print=lambda *_: None, access_log=None, loop=asyncio.new_event_loop())


@contextmanager
def subscriber() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(port)])
    try:
        while True:
            try:
                heard(port)
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def heard(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/seen") as answer:
        found: dict[str, float] = json.load(answer)
    return found


def produce(producer: Producer, number: int, leads: int) -> tuple[str, float]:
    """An event of one of `leads` leads; its id, and when it was given to Kafka."""
    lead, sequence = f"lead-{number % leads}", number // leads + 1
    record = lifecycle(lead, sequence, "lead", "mql", at=time.time_ns() // 1_000_000)
    topic = topic_of(record)
    producer.produce(topic, CODEC.encode(topic, record), lead)
    return record["event_id"], time.time()


def await_all(port: int, wanted: int) -> dict[str, float]:
    deadline = time.monotonic() + 300
    while len(found := heard(port)) < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(found)} of {wanted} events came")
        time.sleep(0.5)
    return found


def throughput(bootstrap: str, room: Path, events: int, concurrency: int) -> str:
    """A backlog of `events`, from the first delivery to the last; CPU time is the relay's process alone."""
    producer = Producer(producer_config(bootstrap))
    for number in range(events):
        produce(producer, number, events // 4)
        producer.poll(0)
    producer.flush()
    with subscriber() as port:
        target = webhook(f"http://127.0.0.1:{port}", concurrency=concurrency)
        with running_relay(bootstrap, room, {"hook": target}, app="throughput") as process:
            relay = psutil.Process(process.pid)
            done, before = len(heard(port)), sum(relay.cpu_times()[:2])
            times = sorted(await_all(port, events).values())
            used = sum(relay.cpu_times()[:2]) - before
    took = times[-1] - times[0]
    return (
        f"webhook, {concurrency} at a time: {events / took:,.0f} deliveries/s, "
        f"{(events - done) / used:,.0f} a CPU second ({events:,} events)"
    )


def latency(bootstrap: str, room: Path, rate: int, seconds: float) -> str:
    """From handing an event to Kafka to its arrival at the subscriber."""
    producer = Producer({**producer_config(bootstrap), "linger.ms": 1})
    with subscriber() as port:
        target = webhook(f"http://127.0.0.1:{port}", concurrency=16, topics=["lifecycle-events"])
        with running_relay(bootstrap, room, {"hook": target}, app="latency"):
            before = len(settled(port))
            sent: dict[str, float] = {}
            began, number = time.monotonic(), 0
            while (passed := time.monotonic() - began) < seconds:
                for _ in range(int(passed * rate) - number):
                    event_id, at = produce(producer, 10_000_000 + number, 1_000_000_000)
                    sent[event_id] = at
                    number += 1
                producer.poll(0)
                time.sleep(0.002)
            producer.flush()
            found = await_all(port, before + len(sent))
    delays = sorted((found[one] - at) * 1000 for one, at in sent.items())
    hundredths = statistics.quantiles(delays, n=100)
    return (
        f"event to delivery at {rate}/s: p50 {hundredths[49]:.0f} ms, p99 {hundredths[98]:.0f} ms ({len(sent)} events)"
    )


def settled(port: int) -> dict[str, float]:
    """What has come once nothing more does: the backlog of the other part."""
    found: dict[str, float] = {}
    while len(now := heard(port)) > len(found) or not now:
        found = now
        time.sleep(2.0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(jvm=SERVER_JVM) as broker:
        ensure_topics(broker.bootstrap, 12)
        print(throughput(broker.bootstrap, Path(folder), options.events, 16), flush=True)
        print(latency(broker.bootstrap, Path(folder), options.rate, options.seconds), flush=True)


if __name__ == "__main__":
    main()
