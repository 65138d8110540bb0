"""What an event costs with two workers on the same partitions, compared with one."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from contenders import consumed, free_port
from population import page_views, publish
from setting import Setting

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from streams.local.parent import die_with_parent

#: They are kept in memory, half a kilobyte each.
_MOST_EVENTS = 2_000_000
#: What counts of them: from when all are warm, as long as there is a backlog.
_BEGIN, _END = 0.2, 0.8
_JOIN_MS = 6_000


def two_workers(setting: Setting, events: int) -> list[dict[str, Any]]:
    """CPU time per event of one worker, of two, and of one again; the ratio is to the mean of the two runs of one."""
    views = list(page_views("uniform", min(events, _MOST_EVENTS)))
    first, both, last = (_cost(setting, workers, views) for workers in (1, 2, 1))
    alone = (first + last) / 2
    note = (
        f"two workers on {setting.partitions} partitions: {both:.1f} us of CPU time an event, one: {alone:.1f} us "
        f"({first:.1f} and {last:.1f}), ratio {both / alone:.2f}"
    )
    return [{"part": "two-workers", "one_us": alone, "two_us": both, "ratio": both / alone, "note": note}]


def _cost(setting: Setting, count: int, views: Sequence[tuple[bytes, bytes]]) -> float:
    """Microseconds of CPU time an event, of all workers together, while there is a backlog for each of them.

    The group waits for all before it begins: else the first would have it done before the second has joined.
    """
    folder = Path(tempfile.mkdtemp(dir=setting.room))
    broker = EmbeddedBroker(jvm=setting.jvm, server={"group.initial.rebalance.delay.ms": str(_JOIN_MS)})
    with broker, ExitStack() as running:
        ensure_topics(broker.bootstrap, setting.partitions)
        publish(broker.bootstrap, views)
        ports = [free_port() for _ in range(count)]
        workers = []
        for port in ports:
            with (folder / str(port)).open("wb") as log:
                options = ["--bootstrap", broker.bootstrap, "--metrics-port", str(port)]
                worker = subprocess.Popen(
                    [setting.python, "-m", "streams.cli", "worker", *options],
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent(),
                )
            running.callback(worker.wait)
            running.callback(worker.kill)
            workers.append(worker)
        share = f"ready {setting.partitions // count} partitions"
        samples: list[tuple[int, float]] = []

        def seen() -> int:
            cpu = sum(sum(psutil.Process(one.pid).cpu_times()[:2]) for one in workers)
            samples.append((sum(map(consumed, ports)), cpu))
            return samples[-1][0]

        def shared() -> bool:
            seen()
            return all(_last_line(folder / str(port)).startswith(share) for port in ports)

        _until(shared, "no equal shares")
        _until(lambda: seen() >= _END * len(views), "not everything was handled")
        last, after = samples[-1]
        warm = [one for one in samples if _BEGIN * len(views) <= one[0] < last]
        first, before = warm[0] if warm else max(one for one in samples if one[0] < last)  # between two looks
        return (after - before) / (last - first) * 1e6


def _last_line(log: Path) -> str:
    return (log.read_text().splitlines() or [""])[-1]


def _until(condition: Callable[[], bool], otherwise: str, patience: float = 300.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.1)
