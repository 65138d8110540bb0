"""From an event on its topic to the MQL event on its own, read_committed, under a steady load.

Leads that fit well are prepared a few points below the threshold. While page views of others come at a steady rate,
now and then such a lead asks for a webinar that makes it an MQL. The latency is from the timestamp of that record (its
producer's clock, on this machine) to when a read_committed consumer has the MQL event in hand.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from contenders import free_port
from setting import Setting

from streams.kafka import ensure_topics, producer_config, reader_config
from streams.local.parent import die_with_parent
from streams.wire.codec import Codec

TRIGGERS_PER_SECOND = 20
_LEADS = 20_000
CODEC = Codec()


def latency(setting: Setting, rates: list[int], seconds: float) -> list[dict[str, Any]]:
    """A row for each rate (events/s): quantiles in ms, and how much was really offered."""
    rows = []
    for rate in rates:
        with setting.broker() as broker:
            ensure_topics(broker.bootstrap, setting.partitions)
            log = Path(tempfile.mkdtemp(dir=setting.room)) / "log"
            with log.open("wb") as out:
                options = ["--bootstrap", broker.bootstrap, "--metrics-port", str(free_port())]
                worker = subprocess.Popen(
                    [setting.python, "-m", "streams.cli", "worker", *options],
                    stdout=out,
                    stderr=out,
                    preexec_fn=die_with_parent(),
                )
            try:
                _await_ready(worker, log)
                rows.append(_under_load(broker.bootstrap, rate, setting.warm_up, seconds))
            finally:
                worker.kill()
                worker.wait()
        row = rows[-1]
        print(row["note"], file=sys.stderr)
    return rows


def _await_ready(worker: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while "ready " not in log.read_text():
        if worker.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the worker does not start: {log.read_text()[-1000:]}")
        time.sleep(0.1)


def _under_load(bootstrap: str, rate: int, warm_up: float, seconds: float) -> dict[str, Any]:
    seen: dict[str, float] = {}
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=(bootstrap, seen, stop))
    producer = Producer({**producer_config(bootstrap), "linger.ms": 1})
    count = int(TRIGGERS_PER_SECOND * (warm_up + seconds)) + 1
    for number in range(count):
        _prepare(producer, number)
    producer.flush()
    reader.start()
    sent: dict[str, int] = {}
    began, number = time.monotonic(), 0
    while (passed := time.monotonic() - began) < warm_up + seconds:
        for _ in range(int(passed * rate) - number):
            number += 1
            if number % max(1, rate // TRIGGERS_PER_SECOND) == 0 and len(sent) < count:
                lead, at = _trigger(producer, len(sent))
                sent[lead] = at
            else:
                _view(producer, number)
        producer.poll(0)
        time.sleep(0.002)
    offered = number / passed
    producer.flush()
    wanted = {lead for lead, at in sent.items()}
    deadline = time.monotonic() + 60
    while wanted - set(seen) and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    reader.join()
    warm = [lead for index, lead in enumerate(sent) if index >= TRIGGERS_PER_SECOND * warm_up]
    delays = sorted(seen[lead] * 1000 - sent[lead] for lead in warm if lead in seen)
    hundredths = statistics.quantiles(delays, n=100)
    missing = len(wanted - set(seen))
    note = (
        f"event to MQL at {offered:,.0f} events/s: p50 {hundredths[49]:.0f} ms, p90 {hundredths[89]:.0f} ms, "
        f"p99 {hundredths[98]:.0f} ms ({len(delays)} MQLs{f', {missing} never seen' if missing else ''})"
    )
    quantiles = {"p50_ms": hundredths[49], "p90_ms": hundredths[89], "p99_ms": hundredths[98]}
    return {"part": "latency", "rate": rate, "offered": offered, **quantiles, "mqls": len(delays), "note": note}


def _read(bootstrap: str, seen: dict[str, float], stop: threading.Event) -> None:
    consumer = Consumer(
        {**reader_config(bootstrap), "group.id": "bench-latency", "fetch.wait.max.ms": 5, "enable.partition.eof": False}
    )
    consumer.subscribe(["mql-events"])
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            seen.setdefault((message.key() or b"").decode(), time.time())
    consumer.close()


def _event(lead: str, at: int, number: object, **fields: object) -> dict[str, Any]:
    return {"event_id": f"{lead}/{number}", "lead_id": lead, "occurred_at": at, **fields}


def _send(producer: Producer, topic: str, event: dict[str, Any]) -> None:
    producer.produce(topic, CODEC.encode(topic, event), event["lead_id"], timestamp=event["occurred_at"])


def _prepare(producer: Producer, number: int) -> None:
    lead, at = f"ready-{number}", time.time_ns() // 1_000_000
    known = {"email": f"{lead}@example.com", "employees": 500, "job_title": "Director of Sales"}
    _send(producer, "lead-profiles", _event(lead, at, "profile", **known))
    _send(producer, "activities", _event(lead, at, "reply", kind="email_reply"))


def _trigger(producer: Producer, number: int) -> tuple[str, int]:
    lead, at = f"ready-{number}", time.time_ns() // 1_000_000
    _send(producer, "activities", _event(lead, at, "webinar", kind="webinar_attended"))
    return lead, at


def _view(producer: Producer, number: int) -> None:
    lead, at = f"visitor-{number * 7919 % _LEADS}", time.time_ns() // 1_000_000
    _send(producer, "page-views", _event(lead, at, number, url="https://www.example.com/blog", duration_ms=20_000))
