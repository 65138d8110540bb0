"""A chaos run: workers under a supervisor, a broker that dies, and a seeded hand that strikes them.

`python tests/chaos/drive.py --seed 1 [--seed 2 ...]` makes long runs and prints a line for each.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from streams.local.parent import die_with_parent
from streams.modelfile import read_model, read_text
from streams.topics import SOURCE_TOPICS
from tests.chaos.verdict import OffsetWatch, judge
from tests.kafka_topics import ends_of
from tests.processes import LEADSTREAM

APP = "chaos"
SESSION_SECONDS = 6


@dataclass(frozen=True)
class Plan:
    """How long and how hard. `seconds` is how long events are published and blows fall."""

    seed: int
    events: int
    seconds: float
    partitions: int
    between_blows: tuple[float, float]
    #: how many workers there are at first, and from half-time on
    workers: tuple[int, int] = (2, 3)


SHORT = {"events": 24_000, "seconds": 45.0, "partitions": 4, "between_blows": (1.0, 4.0)}
LONG = {"events": 300_000, "seconds": 150.0, "partitions": 12, "between_blows": (1.0, 8.0)}


class Workers:
    """Worker processes; whoever ends by itself is started again, as a supervisor does."""

    def __init__(self, bootstrap: str, model: Path, folder: Path) -> None:
        self._command = [
            LEADSTREAM, "worker", "--bootstrap", bootstrap, "--app", APP, "--model", str(model),
            "--clock", "stream", "--session-timeout", str(SESSION_SECONDS),
        ]  # fmt: skip
        self._folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.frozen: dict[int, float] = {}
        self.ended_alone = 0

    def start(self, instance: str | None = None) -> subprocess.Popen[bytes]:
        command = self._command if instance is None else [*self._command, "--instance", instance]
        with (self._folder / "workers.log").open("ab") as log:
            worker = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent())
        self.running.append(worker)
        return worker

    def supervise(self) -> None:
        """Start again who ended, and thaw who was frozen for long enough."""
        for worker in list(self.running):
            if worker.poll() is not None:
                assert worker.returncode == 1, f"a worker ended with {worker.returncode}"
                self.ended_alone += 1
                self.frozen.pop(worker.pid, None)
                self.running.remove(worker)
                self.start()
            elif time.monotonic() > self.frozen.get(worker.pid, float("inf")):
                worker.send_signal(signal.SIGCONT)
                del self.frozen[worker.pid]

    def remove(self, worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """End a worker for good."""
        self.running.remove(worker)
        self.frozen.pop(worker.pid, None)
        worker.send_signal(signal.SIGCONT)
        worker.send_signal(number)
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            raise

    def thaw(self) -> None:
        for worker in self.running:
            worker.send_signal(signal.SIGCONT)
        self.frozen.clear()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.running:
            worker.kill()
            worker.wait()


class Hand:
    """Strikes at random, by the seed."""

    def __init__(self, seed: int, workers: Workers, broker: EmbeddedBroker) -> None:
        self._random = random.Random(seed)
        self._workers = workers
        self._broker = broker
        self.struck: Counter[str] = Counter()

    def strike(self) -> None:
        blows: list[tuple[Callable[[], None], int]] = [
            (self.kill, 6),
            (self.freeze, 4),
            (self.terminate, 3),
            (self.kill_while_it_restores, 3),
            (self.crash_the_broker, 1),
        ]
        (blow,) = self._random.choices([one for one, _ in blows], [weight for _, weight in blows])
        blow()
        self.struck[blow.__name__] += 1

    def pause(self, plan: Plan) -> float:
        return self._random.uniform(*plan.between_blows)

    def _one(self) -> subprocess.Popen[bytes]:
        return self._random.choice(self._workers.running)

    def kill(self) -> None:
        self._workers.remove(self._one(), signal.SIGKILL)
        self._workers.start()

    def freeze(self) -> None:
        """Longer than the session lasts: others take over, and then it wakes up."""
        worker = self._one()
        worker.send_signal(signal.SIGSTOP)
        self._workers.frozen[worker.pid] = time.monotonic() + SESSION_SECONDS + self._random.uniform(1, 5)

    def terminate(self) -> None:
        self._workers.remove(self._one(), signal.SIGTERM)
        self._workers.start()

    def kill_while_it_restores(self) -> None:
        """A new worker makes partitions move; it is killed at some moment of taking them over."""
        worker = self._workers.start()
        time.sleep(self._random.uniform(2.0, 6.0))
        if worker in self._workers.running:
            self._workers.remove(worker, signal.SIGKILL)

    def crash_the_broker(self) -> None:
        self._broker.kill()
        time.sleep(self._random.uniform(0.0, 8.0))
        self._broker.start()


def run(plan: Plan, folder: Path) -> str:
    """Make the run and judge it; AssertionError when anything is wrong. Returns what happened, in a line."""
    model_file = folder / "model.yaml"
    text, _ = read_text()
    assert "grace: 2m" in text
    model_file.write_text(text.replace("grace: 2m", "grace: 2d"))
    model = read_model(model_file)
    began = time.monotonic()
    server = {"group.min.session.timeout.ms": "6000"}
    with (
        EmbeddedBroker(folder / "kafka", server=server) as broker,
        Workers(broker.bootstrap, model_file, folder) as all_,
    ):
        ensure_topics(broker.bootstrap, plan.partitions, APP)
        hand, watch = Hand(plan.seed, all_, broker), OffsetWatch(broker.bootstrap, APP, plan.partitions)
        for _ in range(plan.workers[0]):
            all_.start()
        source = [str(plan.seed), str(plan.events), str(plan.seconds), str(plan.partitions)]
        publisher = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("workload.py")), broker.bootstrap, *source],
            env=environment(),
            preexec_fn=die_with_parent(),
        )
        try:
            _strike_while(publisher, hand, all_, watch, plan)
            assert publisher.wait() == 0, "the publisher failed"
            all_.thaw()
            finish(broker.bootstrap, all_, watch)
        finally:
            publisher.kill()
            publisher.wait()
        for worker in list(all_.running):
            all_.remove(worker, signal.SIGTERM)
            assert worker.returncode == 0, f"SIGTERM ended a worker with {worker.returncode}"
        watch.compare()
        expected = judge(broker.bootstrap, model, plan.partitions, APP)
    qualified = sum(len(expected.ids[topic]) for topic in ("mql-events", "sql-events"))
    struck = ", ".join(f"{name.replace('_', ' ')} {times}x" for name, times in sorted(hand.struck.items()))
    return (
        f"seed {plan.seed}: {plan.events} events, {qualified} MQL and SQL, {len(expected.states)} leads and aliases, "
        f"{expected.merges} merges, {expected.forwards} forwards, "
        f"{len(expected.bad)} dead letters in {time.monotonic() - began:.0f} s; {struck}; "
        f"{all_.ended_alone} workers ended by themselves; {watch.compared} offsets compared; all as expected"
    )


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def _strike_while(
    publisher: subprocess.Popen[bytes], hand: Hand, workers: Workers, watch: OffsetWatch, plan: Plan
) -> None:
    began = time.monotonic()
    blow_at = began + 8.0
    compare_at = began + 15.0
    more = plan.workers[1] - plan.workers[0]
    while publisher.poll() is None:
        workers.supervise()
        now = time.monotonic()
        if more and now > began + plan.seconds / 2:
            for _ in range(more):
                workers.start()
            more = 0
        if now > blow_at:
            hand.strike()
            blow_at = time.monotonic() + hand.pause(plan)
        if now > compare_at:
            watch.compare()
            compare_at = time.monotonic() + plan.seconds / 8
        time.sleep(0.1)


def finish(bootstrap: str, workers: Workers, watch: OffsetWatch) -> None:
    """Wait until the group has committed the end of every source topic, strays that strays brought about included."""
    ends: dict[tuple[str, int], int] = {}
    deadline = time.monotonic() + 180
    while True:
        workers.supervise()
        committed = watch.committed() or {}
        if all(committed.get(place, 0) >= end for place, end in ends.items()):
            known = ends
            ends = ends_of(bootstrap, [topic.name for topic in SOURCE_TOPICS])
            if ends == known:
                return
            continue
        behind = {place: end - committed.get(place, 0) for place, end in ends.items() if committed.get(place, 0) < end}
        assert time.monotonic() < deadline, f"not everything was handled: {behind}"
        time.sleep(0.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, action="append", required=True)
    for seed in parser.parse_args().seed:
        with tempfile.TemporaryDirectory() as room:
            try:
                print(run(Plan(seed, **LONG), Path(room)), flush=True)
            except AssertionError as error:
                print(f"seed {seed}: FAILED: {error}", flush=True)
                kept = Path(tempfile.gettempdir()) / f"chaos-{seed}.log"
                kept.write_bytes((Path(room) / "workers.log").read_bytes())
