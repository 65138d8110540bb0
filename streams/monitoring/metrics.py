"""The worker's Prometheus metrics: prefix `leads_`, base units, bounded labels.

Never a label with a lead id, an address or an exception's text. The engine redoes an aborted transaction from its
effects, not from its records, so what is counted while records are handled is counted once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from streams import __version__
from streams.engine.seam import Observer
from streams.errors import LeadstreamError
from streams.qualification.events import Changed, Ignored, Qualified, Transition
from streams.wire.bad import BadRecord

log = logging.getLogger(__name__)

#: First touch's medium, as analytics programs write it, to the channels that a report names.
_CHANNELS = {
    "cpc": "paid_search",
    "ppc": "paid_search",
    "paid": "paid_search",
    "organic": "organic_search",
    "email": "email",
    "social": "social",
    "referral": "referral",
    "display": "display",
    "affiliate": "affiliate",
}


class WorkerMetrics(Observer):
    """Counts what the worker does. `registry` is its own in tests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._consumed = Counter("leads_records_consumed_total", "Records handled.", ["topic"], registry=registry)
        self._qualifications = Counter(
            "leads_qualifications_total",
            "MQL and SQL events.",
            ["stage", "route", "channel"],
            registry=registry,
        )
        self._transitions = Counter(
            "leads_transitions_total",
            "Lifecycle events.",
            ["from_stage", "to_stage", "cause"],
            registry=registry,
        )
        self._ignored = Counter("leads_ignored_total", "Events that scored nothing.", ["reason"], registry=registry)
        self._dead_letters = Counter(
            "leads_dead_letters_total",
            "Records that could not be handled.",
            ["topic", "reason"],
            registry=registry,
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
        self._commits = Counter("leads_commits_total", "Transactions.", ["outcome"], registry=registry)
        self._commit_seconds = Histogram("leads_commit_seconds", "Time a transaction took.", registry=registry)
        self._batch_records = Histogram(
            "leads_batch_records",
            "Records in a transaction.",
            buckets=[1, 3, 10, 30, 100, 300, 1000, 3000, 10000],
            registry=registry,
        )
        self._rebalances = Counter(
            "leads_rebalances_total", "Assignments of partitions to this worker.", registry=registry
        )
        self._remaining = Gauge(
            "leads_restore_remaining_records",
            "Changelog records still to be read before work goes on.",
            registry=registry,
        )
        self._last_commit = Gauge(
            "leads_last_commit_timestamp_seconds",
            "When the last transaction was committed.",
            registry=registry,
        )
        info = Gauge("leads_build_info", "What is running.", ["version"], registry=registry)
        info.labels(__version__).set(1)
        self._consumed_of: dict[str, Counter] = {}
        self._restoring: dict[int, int] = {}
        self._warned_of_strays = False

    def serve(self, port: int) -> None:
        """Serve `/metrics` on the loopback interface. LeadstreamError when the port is taken."""
        try:
            start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as error:
            raise LeadstreamError(
                f"metrics port {port} can't be opened ({error.strerror}): choose another --metrics-port"
            ) from error

    def consumed(self, topic: str, records: int = 1) -> None:
        counter = self._consumed_of.get(topic)
        if counter is None:  # looking up a label costs more than counting, and this is once a record
            counter = self._consumed_of[topic] = self._consumed.labels(topic)
        counter.inc(records)

    def ignored(self, reason: str, records: int) -> None:
        self._ignored.labels(reason).inc(records)

    def happened(self, one: Transition) -> None:
        """A transition of a lead."""
        if isinstance(one, Qualified):
            record = one.record
            self._qualifications.labels(record["stage"], record["route"], channel_of(record["first_touch"])).inc()
        elif isinstance(one, Changed):
            record = one.record
            self._transitions.labels(record["from_stage"], record["to_stage"], record["cause"]).inc()
        elif isinstance(one, Ignored):
            self._ignored.labels(one.reason).inc()

    def model_changed(self, outcome: str) -> None:
        """`accepted` or `refused`."""
        self._models.labels(outcome).inc()

    def refused(self, topic: str, bad: BadRecord) -> None:
        """A record became a dead letter."""
        self._dead_letters.labels(topic, bad.error).inc()

    def strayed(self, topic: str) -> None:
        if not self._warned_of_strays:
            self._warned_of_strays = True
            log.warning(
                "a record on %s came on a partition that its key does not belong to and is forwarded, which takes time "
                "and work: let its producer use murmur2 (librdkafka: partitioner=murmur2_random)",
                topic,
            )
        self._strays.labels(topic).inc()

    def rebalanced(self, partitions: Sequence[int]) -> None:
        self._rebalances.inc()
        self._restoring.clear()
        self._remaining.set(0)

    def restoring(self, partition: int, done: int, end: int) -> None:
        self._restoring[partition] = end - done
        self._remaining.set(sum(self._restoring.values()))

    def restored(self, partition: int, keys: int, seconds: float) -> None:
        self.restoring(partition, 0, 0)

    def committed(self, partition: int, records: int, due: int, seconds: float) -> None:
        self._commits.labels("committed").inc()
        self._commit_seconds.observe(seconds)
        self._batch_records.observe(records)
        self._last_commit.set(time.time())


def channel_of(first_touch: dict[str, object] | None) -> str:
    """The marketing channel of a lead, by its first touch's medium: one of a bounded list."""
    if first_touch is None:
        return "unknown"
    medium = first_touch["medium"]
    if medium is None:
        return "referral" if first_touch["referrer"] else "direct"
    return _CHANNELS.get(str(medium).lower(), "other")
