"""What metrics cost the worker: `python tests/bench/metrics_costs.py`.

The worker's way of a record without a broker (decode, judge, pack, make it the present; batches of 500 on twelve
partitions), with metrics and without, in pairs that take turns, by processor time; and what a scrape takes.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from faust.types import TP
from prometheus_client import CollectorRegistry, generate_latest

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.partition import PartitionState
from streams.engine.report import Lag, Report
from streams.engine.seam import Observer, PlainRecord
from streams.modelfile import read_model
from streams.monitoring.metrics import WorkerMetrics
from streams.partitioning import partition_of
from streams.processing import LeadLogic
from streams.qualification.events import Transition
from streams.topics import SOURCE_TOPICS
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from tests.bench.population import page_views

PAIRS, EVENTS, BATCH, PARTITIONS = 60, 6_000, 500, 12
_TOPICS = tuple(topic.name for topic in SOURCE_TOPICS)


class Calls(WorkerMetrics):
    """Metrics that add up the time spent in them."""

    spent = 0.0

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None:
        began = time.perf_counter()
        super().happened(one, partition, arrival)
        self.spent += time.perf_counter() - began

    def committed(self, partition: int, records: Mapping[str, int], due: int, seconds: float) -> None:
        began = time.perf_counter()
        super().committed(partition, records, due, seconds)
        self.spent += time.perf_counter() - began


class Nothing(Observer):
    """A worker without metrics."""

    def ignored(self, reason: str, records: int, partition: int) -> None: ...

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None: ...

    def refused(self, topic: str, bad: BadRecord, partition: int) -> None: ...

    def strayed(self, topic: str, partition: int) -> None: ...


def batches() -> list[tuple[int, list[PlainRecord]]]:
    """(partition, records) in the order of handling."""
    now = time.time_ns() // 1_000_000
    waiting: dict[int, list[PlainRecord]] = {number: [] for number in range(PARTITIONS)}
    made = []
    for offset, (key, value) in enumerate(page_views("zipf", EVENTS)):
        number = partition_of(key, PARTITIONS)
        waiting[number].append(PlainRecord("page-views", number, offset, now, key, value))
        if len(waiting[number]) == BATCH:
            made.append((number, waiting[number]))
            waiting[number] = []
    return [*made, *((number, records) for number, records in waiting.items() if records)]


def run(work: list[tuple[int, list[PlainRecord]]], told: WorkerMetrics | Nothing) -> float:
    """Seconds of processor time."""
    logic = LeadLogic(Codec(), read_model(None), PARTITIONS, lambda: 0, told, "bench")
    states = [PartitionState(number, PARTITIONS) for number in range(PARTITIONS)]
    clock = Clock("stream", 120_000)
    began = time.process_time()
    for number, records in work:
        shortcut, decode = logic.shortcut, logic.decode
        found = [decode(one) for one in records] if shortcut is None else shortcut.decode(records, decode)
        items = list(zip(records, found, strict=True))
        batch = StateBatch(states[number], logic)
        logic.begin(batch)
        batch.run(items, clock)
        states[number].apply(batch.effects(items))
        told.committed(number, {"page-views": len(items)}, 0, 0.004)
    return time.process_time() - began


def main() -> None:
    gc.set_threshold(100_000, 50, 100)  # as the worker does
    work = batches()
    run(work, Nothing())
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(PAIRS):
        for metered in (number % 2 == 0, number % 2 == 1):
            told = WorkerMetrics(CollectorRegistry(), _TOPICS) if metered else Nothing()
            seconds[metered].append(run(work, told))
    least = {metered: min(found) / EVENTS * 1e6 for metered, found in seconds.items()}
    pairs = statistics.median(one / other for one, other in zip(seconds[True], seconds[False], strict=True))
    print(f"us an event, least of {PAIRS} rounds: {least[False]:.2f} without metrics, {least[True]:.2f} with")
    print(f"metrics cost {least[True] / least[False] - 1:+.1%} (median of pairs {pairs - 1:+.1%})")
    calls = []
    for _ in range(PAIRS // 2):
        timed = Calls(CollectorRegistry(), _TOPICS)
        run(work, timed)
        calls.append(timed.spent / EVENTS * 1e6)
    print(f"spent in them, clock included: {min(calls):.2f} us an event ({min(calls) / least[False]:.1%})")
    print(f"a scrape takes {_scrape() * 1000:.1f} ms of processor time")


def _scrape() -> float:
    metrics = WorkerMetrics(CollectorRegistry(), _TOPICS)
    lag = {TP(topic, number): Lag(3, 1, 1) for topic in _TOPICS for number in range(PARTITIONS)}
    everything = frozenset(range(PARTITIONS))
    report = Report(0.0, 0, everything, everything, lag, {"visitor": 9}, 9, 9, False, 0.0, 60.0)
    metrics.watch(lambda: report)
    times = []
    for _ in range(20):
        began = time.process_time()
        generate_latest(metrics.registry)
        times.append(time.process_time() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
