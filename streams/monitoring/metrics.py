"""The worker's Prometheus metrics: prefix `leads_`, base units, bounded labels.

Never a label with a lead id, an address or an exception's text. What becomes of records and leads is counted when its
batch is durable, once: the engine writes an aborted transaction again from its effects, not from its records, and what
a worker that ends had not committed is counted by whoever does it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streams import __version__
from streams.engine.report import Report
from streams.engine.seam import Observer
from streams.monitoring.channels import CHANNELS, channel_of
from streams.monitoring.standing import StandingCollector
from streams.qualification.events import Changed, Ignored, Qualified, Transition
from streams.qualification.lead import STAGES
from streams.wire.bad import ERRORS, BadRecord

log = logging.getLogger(__name__)

# A second series beside each counter and histogram, of when it began: Prometheus has no use for it.
disable_created_metrics()

#: Who has not waited for so long and waits again has something new to tell.
_WAIT_ENDS_SECONDS = 10.0
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LATENCIES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_COMMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_RESPONSES = (
    *(15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY),
)
_STAYS = (
    *(_MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY),
    *(30 * _DAY, 60 * _DAY, 90 * _DAY, 180 * _DAY, 365 * _DAY),
)
#: Transitions that alerts and dashboards count: there from the start, so that the first one is an increase.
_TRANSITIONS = (
    ("visitor", "lead", "IDENTIFIED"),
    *((before, stage, "QUALIFIED") for stage in ("mql", "sql") for before in ("visitor", "lead", "mql")),
    *((before, stage, "PROFILE") for stage in ("mql", "sql") for before in ("visitor", "lead", "mql")),
    ("mql", "lead", "COOLED"),
    ("sql", "lead", "FEEDBACK"),
    ("sql", "lead", "GAVE_UP"),
    ("sql", "opportunity", "FEEDBACK"),
    ("sql", "customer", "FEEDBACK"),
    ("sql", "sql", "SLA_BREACHED"),
    ("opportunity", "customer", "FEEDBACK"),
    ("opportunity", "lead", "FEEDBACK"),
)


class WorkerMetrics(Observer):
    """Counts what the worker does. `registry` is its own in tests, `topics` what it reads, `reasons` why the model lets
    leads rest. `now` is the wall clock in seconds.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        topics: Sequence[str] = (),
        reasons: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.registry = registry
        self._now = now
        self._funnel(registry, reasons)
        self._pipeline(registry, topics)
        for make in (ProcessCollector, PlatformCollector, GCCollector):
            make(registry=registry)
        info = Gauge("leads_build_info", "What is running.", ["version"], registry=registry)
        info.labels(__version__).set(1)
        self._pending: dict[int, list[tuple[Transition, int | None]]] = {}
        self._passing: defaultdict[int, list[Counter]] = defaultdict(list)
        self._restoring: dict[int, int] = {}
        self._lock = threading.Lock()  # restores run in threads of their own
        self._warned_of_strays = False
        self._waited_at = float("-inf")
        self._ignoring: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    def _funnel(self, registry: CollectorRegistry, reasons: Sequence[str]) -> None:
        self._qualifications = Counter(
            "leads_qualifications_total", "MQL and SQL events.", ["stage", "route", "channel"], registry=registry
        )
        self._transitions = Counter(
            "leads_transitions_total", "Lifecycle events.", ["from_stage", "to_stage", "cause"], registry=registry
        )
        self._rested = Counter(
            "leads_rested_total",
            "Leads sent to rest, by the model's reason; `other` is any that it does not name.",
            ["reason"],
            registry=registry,
        )
        self._latency = Histogram(
            "leads_event_to_qualification_seconds",
            "From the arrival of the event that made it to the publication of an MQL or SQL.",
            ["stage"],
            buckets=_LATENCIES,
            registry=registry,
        )
        self._response = Histogram(
            "leads_sales_response_seconds",
            "From an SQL to sales' first answer, by when both happened.",
            buckets=_RESPONSES,
            registry=registry,
        )
        self._stays = Histogram(
            "leads_stage_seconds",
            "Time spent in a stage, at leaving it.",
            ["stage"],
            buckets=_STAYS,
            registry=registry,
        )
        for stage, route in (("MQL", "NURTURE"), ("SQL", "SALES")):
            self._latency.labels(stage)
            for channel in CHANNELS:
                self._qualifications.labels(stage, route, channel)
        for transition in _TRANSITIONS:
            self._transitions.labels(*transition)
        for reason in (*reasons, "other"):
            self._rested.labels(reason)
        for stage in STAGES:
            self._stays.labels(stage)

    def _pipeline(self, registry: CollectorRegistry, topics: Sequence[str]) -> None:
        self._consumed = Counter(
            "leads_records_consumed_total", "Records that took effect.", ["topic"], registry=registry
        )
        self._ignored = Counter("leads_ignored_total", "Events that scored nothing.", ["reason"], registry=registry)
        self._dead_letters = Counter(
            "leads_dead_letters_total", "Records that could not be used.", ["topic", "reason"], registry=registry
        )
        self._strays = Counter(
            "leads_strays_total",
            "Records of leads on a partition that their key does not belong to, forwarded to the one that it does.",
            ["topic"],
            registry=registry,
        )
        self._models = Counter(
            "leads_model_changes_total", "Changes of the model file while running.", ["outcome"], registry=registry
        )
        self._commits = Counter(
            "leads_commits_total", "Transactions; an aborted one is written again.", ["outcome"], registry=registry
        )
        self._commit_seconds = Histogram(
            "leads_commit_seconds", "Time a transaction took.", buckets=_COMMITS, registry=registry
        )
        self._batch_records = Histogram(
            "leads_batch_records",
            "Records in a transaction.",
            buckets=[0, 1, 3, 10, 30, 100, 300, 1000, 3000],
            registry=registry,
        )
        self._rebalances = Counter(
            "leads_rebalances_total", "Assignments of partitions to this worker.", registry=registry
        )
        self._remaining = Gauge(
            "leads_restore_remaining_records",
            "Changelog offsets still to be read before work goes on.",
            registry=registry,
        )
        self._last_commit = Gauge(
            "leads_last_commit_timestamp_seconds", "When the last transaction was committed.", registry=registry
        )
        # What each batch counts is looked up once: by its labels it would cost as much again as the counting.
        self._consumed_of = {topic: self._consumed.labels(topic) for topic in topics}
        self._committed, self._aborted = (self._commits.labels(outcome) for outcome in ("committed", "aborted"))
        for topic in topics:
            for error in ERRORS:
                self._dead_letters.labels(topic, error)
        for outcome in ("accepted", "refused"):
            self._models.labels(outcome)

    def watch(self, latest: Callable[[], Report | None]) -> None:
        """Make gauges of the engine's latest report."""
        self.registry.register(StandingCollector(latest, self._now))

    # What the logic tells while it handles a batch.

    def ignored(self, reason: str, records: int, partition: int) -> None:
        """So many records were counted and nothing else, not durable yet."""
        self._ignoring[partition][reason] += records

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None:
        """A transition of a lead, not durable yet."""
        kind = one.__class__
        if kind is Ignored:  # may be said of every record: a counter's lock would cost more than the rest
            self._ignoring[partition][one.reason] += 1  # type: ignore[union-attr]
        elif kind is Qualified or kind is Changed:
            self._pending.setdefault(partition, []).append((one, arrival))

    def refused(self, topic: str, bad: BadRecord, partition: int) -> None:
        """A record becomes a dead letter, not durable yet."""
        self._passing[partition].append(self._dead_letters.labels(topic, bad.error))

    def strayed(self, topic: str, partition: int) -> None:
        if not self._warned_of_strays:
            self._warned_of_strays = True
            log.warning(
                "a record on %s came on a partition that its key does not belong to and is forwarded, which takes time "
                "and work: let its producer use murmur2 (librdkafka: partitioner=murmur2_random)",
                topic,
            )
        self._passing[partition].append(self._strays.labels(topic))

    def model_changed(self, outcome: str) -> None:
        """`accepted` or `refused`."""
        self._models.labels(outcome).inc()

    # What the engine tells.

    def rebalanced(self, partitions: Sequence[int]) -> None:
        self._rebalances.inc()
        with self._lock:
            self._restoring.clear()
            self._remaining.set(0)

    def restoring(self, partition: int, done: int, end: int) -> None:
        with self._lock:
            self._restoring[partition] = end - done
            self._remaining.set(sum(self._restoring.values()))

    def restored(self, partition: int, keys: int, seconds: float) -> None:
        self.restoring(partition, 0, 0)

    def waiting(self, reason: str) -> None:
        """Every partition says so every second; the log says it once."""
        now = time.monotonic()
        if now - self._waited_at > _WAIT_ENDS_SECONDS:
            log.warning("waiting: %s", reason)
        self._waited_at = now

    def aborted(self, partition: int) -> None:
        self._aborted.inc()

    def committed(self, partition: int, records: Mapping[str, int], due: int, seconds: float) -> None:
        for topic, count in records.items():
            self._consumed_of[topic].inc(count)
        self._committed.inc()
        self._commit_seconds.observe(seconds)
        self._batch_records.observe(sum(records.values()))
        now = self._now()
        self._last_commit.set(now)
        for reason, count in self._ignoring.pop(partition, {}).items():
            self._ignored.labels(reason).inc(count)
        for counter in self._passing.pop(partition, ()):
            counter.inc()
        for one, arrival in self._pending.pop(partition, ()):
            self._count(one, arrival, now)

    def _count(self, one: Transition, arrival: int | None, now: float) -> None:
        if isinstance(one, Qualified):
            record = one.record
            self._qualifications.labels(record["stage"], record["route"], channel_of(record["first_touch"])).inc()
            if arrival is not None:  # what time alone brings about has no event to be measured from
                self._latency.labels(record["stage"]).observe(max(0.0, now - arrival / 1000))
        elif isinstance(one, Changed):
            record = one.record
            self._transitions.labels(record["from_stage"], record["to_stage"], record["cause"]).inc()
            if one.stayed is not None:
                self._stays.labels(record["from_stage"]).observe(one.stayed / 1000)
            if one.rested is not None:
                self._rested.labels(one.rested).inc()
            if one.answered is not None:
                self._response.observe(one.answered / 1000)
