"""The collector's Prometheus metrics, `leads_collector_*`. Labels are our own: never a key, a lead or an address."""

from __future__ import annotations

from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streams import __version__
from streams.monitoring.serving import serve

# A second series beside each counter and histogram, of when it began: Prometheus has no use for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

Outcome = Literal["published", "dead_letter", "opted_out", "unavailable", "bot"]
_PROTOCOLS: Final = ("segment", "snowplow", "pixel", "download", "booking")
_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


class CollectorMetrics:
    """Made once a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for make in (ProcessCollector, PlatformCollector, GCCollector):
            make(registry=self.registry)
        events = Counter(
            "leads_collector_events_total", "Events by what became of them.", ["protocol", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._events = {(p, o): events.labels(p, o) for p in _PROTOCOLS for o in _OUTCOMES}
        self._refused = Counter(
            "leads_collector_refused_requests_total", "Requests answered with 4xx or 5xx.", ["status"],
            registry=self.registry,
        )  # fmt: skip
        self.publish_seconds = Histogram(
            "leads_collector_publish_seconds", "Time until the broker had all events of a request.",
            buckets=[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
            registry=self.registry,
        )  # fmt: skip
        self.in_flight = Gauge("leads_collector_in_flight_requests", "Requests being handled.", registry=self.registry)
        self.up = Gauge("leads_collector_broker_up", "Whether it confirms, for every topic.", registry=self.registry)
        info = Gauge("leads_build_info", "What is running.", ["version"], registry=self.registry)
        info.labels(__version__).set(1)

    def counted(self, protocol: str, outcome: Outcome, events: int = 1) -> None:
        if events:
            self._events[protocol, outcome].inc(events)

    def refused(self, status: int) -> None:
        self._refused.labels(str(status)).inc()

    def serve(self, host: str, port: int) -> None:
        """Serve `/metrics`. LeadstreamError when the port is taken."""
        serve(self.registry, host, port, {})  # probes are on the port that they are of
