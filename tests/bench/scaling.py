"""What an event costs with two workers on twelve partitions, compared with one."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from contenders import consumed, free_port
from population import load

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker


def two_workers(python: str, room: Path, events: int) -> list[dict[str, Any]]:
    """CPU time per event of one worker, of two, and of one again; the ratio is to the mean of the two runs of one."""
    costs = []
    with EmbeddedBroker() as broker:
        ensure_topics(broker.bootstrap, 12)
        load(broker.bootstrap, "uniform", events)
        for number, workers in enumerate((1, 2, 1)):
            costs.append(_cost(python, room, broker.bootstrap, f"scaling-{number}", workers, events))
    alone, both = (costs[0] + costs[2]) / 2, costs[1]
    note = (
        f"two workers on twelve partitions: {both:.0f} us of CPU time an event, one: {alone:.0f} us "
        f"({costs[0]:.0f} and {costs[2]:.0f}), ratio {both / alone:.2f}"
    )
    row = {"part": "two-workers", "one_us": alone, "two_us": both, "ratio": both / alone}
    return [{**row, "note": note}]


def _cost(python: str, room: Path, bootstrap: str, app: str, count: int, events: int) -> float:
    """Microseconds of CPU time an event, of all workers together, from when all were ready until the end."""
    ports = [free_port() for _ in range(count)]
    folder = Path(tempfile.mkdtemp(dir=room))
    workers = []
    try:
        for port in ports:
            with (folder / str(port)).open("wb") as log:
                options = ["--bootstrap", bootstrap, "--app", app, "--metrics-port", str(port)]
                workers.append(
                    subprocess.Popen([python, "-m", "streams.cli", "worker", *options], stdout=log, stderr=log)
                )

        def all_of() -> int:
            return sum(consumed(port) for port in ports)

        def cpu() -> float:
            return sum(sum(psutil.Process(one.pid).cpu_times()[:2]) for one in workers)

        deadline = time.monotonic() + 300
        while not all(consumed(port) > 2_000 for port in ports):
            assert time.monotonic() < deadline, "a worker does nothing"
            time.sleep(0.1)
        first, spent = all_of(), cpu()
        while all_of() < events * 0.97:
            assert time.monotonic() < deadline, f"only {all_of()} of {events} were handled"
            time.sleep(0.1)
        return (cpu() - spent) / (all_of() - first) * 1e6
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
