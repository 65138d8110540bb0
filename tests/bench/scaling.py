"""What an event costs with two workers on the same partitions, compared with one."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from contenders import consumed, free_port
from population import load
from setting import Setting

from streams.kafka import ensure_topics
from streams.local.parent import die_with_parent


def two_workers(setting: Setting, events: int) -> list[dict[str, Any]]:
    """CPU time per event of one worker, of two, and of one again; the ratio is to the mean of the two runs of one."""
    first, both, last = (_cost(setting, workers, events) for workers in (1, 2, 1))
    alone = (first + last) / 2
    note = (
        f"two workers on {setting.partitions} partitions: {both:.0f} us of CPU time an event, one: {alone:.0f} us "
        f"({first:.0f} and {last:.0f}), ratio {both / alone:.2f}"
    )
    return [{"part": "two-workers", "one_us": alone, "two_us": both, "ratio": both / alone, "note": note}]


def _cost(setting: Setting, count: int, events: int) -> float:
    """Microseconds of CPU time an event, of all workers together.

    They have shared the partitions before there is anything to do: else the first would have it done before the second
    has joined. Loading goes on while they work, and is quicker than they are.
    """
    folder = Path(tempfile.mkdtemp(dir=setting.room))
    with setting.broker() as broker, ExitStack() as running:
        ensure_topics(broker.bootstrap, setting.partitions)
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
        _until(lambda: all(_last_line(folder / str(port)).startswith(share) for port in ports), "no equal shares")

        def cpu() -> float:
            return sum(sum(psutil.Process(one.pid).cpu_times()[:2]) for one in workers)

        spent = cpu()
        load(broker.bootstrap, "uniform", events)
        _until(lambda: sum(consumed(port) for port in ports) >= events, "not everything was handled")
        return (cpu() - spent) / events * 1e6


def _last_line(log: Path) -> str:
    return (log.read_text().splitlines() or [""])[-1]


def _until(condition: Callable[[], bool], otherwise: str, patience: float = 300.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.2)
