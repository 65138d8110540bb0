"""What an event costs with two workers on the same partitions, compared with one."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
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


def two_workers(setting: Setting, events: int, rounds: int) -> list[dict[str, Any]]:
    """CPU time per event of one worker and of two, in turns that end with one. A round's ratio is that of two to the
    mean of the runs of one before and after it; what counts is the median of the rounds.
    """
    views = list(page_views("uniform", min(events, _MOST_EVENTS)))
    one, two = [_cost(setting, 1, views)], list[float]()
    for _ in range(rounds):
        two.append(_cost(setting, 2, views))
        one.append(_cost(setting, 1, views))
    ratios = [both / statistics.mean(around) for both, around in zip(two, pairwise(one), strict=True)]
    row = {"one_us": statistics.median(one), "two_us": statistics.median(two), "ratio": statistics.median(ratios)}
    note = (
        f"two workers on {setting.partitions} partitions: {row['two_us']:.1f} us of CPU time an event "
        f"({min(two):.1f} to {max(two):.1f}), one: {row['one_us']:.1f} us ({min(one):.1f} to {max(one):.1f}), ratio "
        f"{row['ratio']:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return [{"part": "two-workers", **row, "ratios": ratios, "note": note}]


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
