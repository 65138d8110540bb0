"""The relay's Prometheus metrics: prefix `leads_`, base units, bounded labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streams import __version__

# A second series beside each counter and histogram, of when it began: Prometheus has no use for it.
disable_created_metrics()


class RelayMetrics:
    """Counts what the relay delivers and takes in. `registry` is its own in tests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        for make in (ProcessCollector, PlatformCollector, GCCollector):
            make(registry=registry)
        self._deliveries = Counter(
            "leads_relay_deliveries_total",
            "Events by what came of them: delivered, retried, parked, disabled, or skipped for a reason.",
            ["target", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "leads_relay_delivery_seconds",
            "From reading an event to its delivery, retries included.",
            ["target"],
            buckets=[0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000],
            registry=registry,
        )
        self._waiting = Gauge(
            "leads_relay_waiting_events", "Events read and not yet delivered.", ["target"], registry=registry
        )
        self._lag = Gauge(
            "leads_relay_lag_records", "Records on the topics that were not read yet.", ["target"], registry=registry
        )
        self._open = Gauge(
            "leads_relay_breaker_open", "1 while a target that fails is left alone.", ["target"], registry=registry
        )
        self._disabled = Gauge(
            "leads_relay_target_disabled",
            "1 once a subscriber said that it wants no more.",
            ["target"],
            registry=registry,
        )
        self._feedback = Counter(
            "leads_relay_feedback_total",
            "Sales' answers by what came of them.",
            ["source", "outcome"],
            registry=registry,
        )
        info = Gauge("leads_build_info", "What is running.", ["version"], registry=registry)
        info.labels(__version__).set(1)

    def target(self, name: str) -> None:
        """A target begins: what alerts look at is there from the start."""
        for outcome in ("delivered", "retried", "parked"):
            self._deliveries.labels(name, outcome)
        self._seconds.labels(name)
        self._open.labels(name).set(0)
        self._disabled.labels(name).set(0)
        self.waiting(name, 0, 0)

    def delivered(self, target: str, seconds: float) -> None:
        self._deliveries.labels(target, "delivered").inc()
        self._seconds.labels(target).observe(seconds)

    def skipped(self, target: str, reason: str) -> None:
        self._deliveries.labels(target, f"skipped_{reason}").inc()

    def retried(self, target: str) -> None:
        self._deliveries.labels(target, "retried").inc()

    def parked(self, target: str) -> None:
        self._deliveries.labels(target, "parked").inc()

    def disabled(self, target: str) -> None:
        self._disabled.labels(target).set(1)

    def waiting(self, target: str, events: int, lag: int) -> None:
        self._waiting.labels(target).set(events)
        self._lag.labels(target).set(lag)

    def breaker(self, target: str, is_open: bool) -> None:
        self._open.labels(target).set(1 if is_open else 0)

    def feedback(self, source: str, outcome: str) -> None:
        self._feedback.labels(source, outcome).inc()
