"""What metrics cost the worker: `python tests/bench/metrics_costs.py`.

The worker's way of a record without a broker (decode, judge, pack, make it the present; batches of 500 on twelve
partitions). Three workers, one with metrics and two without, take the same batches in turns, in an order by lot, once
they know their leads: so all have the same leads and the same moment of the machine, and only metrics apart. What the
two without differ by is what the measure can't tell. By processor time; a broker's part, which all would have, would
only make the share of metrics smaller. And what a scrape takes.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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

#: The first quarter makes the leads known, and is not measured.
EVENTS, BATCH, PARTITIONS = 360_000, 500, 12
_TOPICS = tuple(topic.name for topic in SOURCE_TOPICS)


class Nothing(Observer):
    """A worker without metrics."""

    def ignored(self, reason: str, records: int, partition: int) -> None: ...

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None: ...

    def refused(self, topic: str, bad: BadRecord, partition: int) -> None: ...

    def strayed(self, topic: str, partition: int) -> None: ...


class Work(NamedTuple):
    """A batch: records of one partition."""

    partition: int
    records: list[PlainRecord]


def batches() -> list[Work]:
    """In the order of handling."""
    now = time.time_ns() // 1_000_000
    waiting: dict[int, list[PlainRecord]] = {number: [] for number in range(PARTITIONS)}
    made = []
    for offset, (key, value) in enumerate(page_views("zipf", EVENTS)):
        number = partition_of(key, PARTITIONS)
        waiting[number].append(PlainRecord("page-views", number, offset, now, key, value))
        if len(waiting[number]) == BATCH:
            made.append(Work(number, waiting[number]))
            waiting[number] = []
    return made


class Worker:
    """What a worker does between broker and broker, telling `told`."""

    def __init__(self, told: WorkerMetrics | Nothing) -> None:
        self._told = told
        self._logic = LeadLogic(Codec(), read_model(None), PARTITIONS, lambda: 0, told, "bench")
        self._states = [PartitionState(number, PARTITIONS) for number in range(PARTITIONS)]
        self._clock = Clock("stream", 120_000)

    def take(self, work: Work) -> float:
        """Seconds of processor time that a batch took."""
        began = time.process_time()
        logic = self._logic
        shortcut, decode = logic.shortcut, logic.decode
        if shortcut is None:
            items = [(one, decode(one)) for one in work.records]
        else:
            items = shortcut.decode(work.records, decode)
        state = self._states[work.partition]
        batch = StateBatch(state, logic)
        logic.begin(batch)
        batch.run(items, self._clock)
        state.apply(batch.effects({"page-views": work.records[-1].offset}))
        self._told.committed(work.partition, {"page-views": len(items)}, 0, 0.004)
        return time.process_time() - began


def main() -> None:
    gc.set_threshold(100_000, 50, 100)  # as the worker does
    work = batches()
    workers = [Worker(WorkerMetrics(CollectorRegistry(), _TOPICS)), Worker(Nothing()), Worker(Nothing())]
    measured = []
    order = list(range(len(workers)))
    chance = random.Random(1)
    for number, one in enumerate(work):
        chance.shuffle(order)
        took = [0.0] * len(workers)
        for place in order:
            took[place] = workers[place].take(one)
        if number >= len(work) // 4:
            measured.append(took)
    metered, bare, again = zip(*measured, strict=True)
    for name, side in (("without metrics", bare), ("with", metered)):
        print(f"{name}: {statistics.median(side) / BATCH * 1e6:.2f} us an event, median of {len(side)} batches")
    print(f"metrics cost {_more(metered, bare):+.1%}, of what varies by {_more(again, bare):+.1%} by itself")
    print(f"a scrape takes {_scrape() * 1000:.1f} ms of processor time")


def _more(side: Sequence[float], other: Sequence[float]) -> float:
    """How much more one took than the other: the median over the batches."""
    return statistics.median(one / beside for one, beside in zip(side, other, strict=True)) - 1


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
