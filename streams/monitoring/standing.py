"""Gauges of how the worker's engine stands, made of its latest report when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.engine.report import Lag, Report
from streams.qualification.lead import STAGES

#: A report that is older is not replaced: the event loop stands still, and what waits grows older.
_OLD_SECONDS = 5.0


class StandingCollector(Collector):
    """`latest` gives the report, None before there is one; `now` is the wall clock in seconds."""

    def __init__(self, latest: Callable[[], Report | None], now: Callable[[], float] = time.time) -> None:
        self._latest = latest
        self._now = now

    def describe(self) -> list[Metric]:
        return []  # asking for it must not make a report necessary

    def collect(self) -> Iterator[Metric]:
        report = self._latest()
        if report is None:
            return
        yield from self._lags(report)
        tracked = GaugeMetricFamily(
            "leads_tracked",
            "Leads that are known, by stage; `alias` counts ids that are another lead, `erased` marks of erased ids.",
            labels=["stage"],
        )
        for stage in (*STAGES, "alias", "erased"):
            tracked.add_metric([stage], report.keys.get(stage, 0))
        yield tracked
        yield GaugeMetricFamily("leads_state_bytes", "Keys and packed states held in memory.", report.bytes)
        yield GaugeMetricFamily(
            "leads_assigned_partitions", "Partitions that the group gave to this worker.", len(report.assigned or ())
        )
        yield GaugeMetricFamily(
            "leads_running_partitions", "Partitions that are restored and at work.", len(report.running)
        )
        yield GaugeMetricFamily(
            "leads_stalled_seconds", "For so long records wait and nothing was done.", report.stalled_s
        )
        if report.stream_time is not None:
            yield GaugeMetricFamily(
                "leads_stream_time_seconds", "Largest event time that was judged, Unix time.", report.stream_time / 1000
            )

    def _lags(self, report: Report) -> Iterator[Metric]:
        records = GaugeMetricFamily(
            "leads_consumer_lag_records",
            "Records that can be read and have not taken effect.",
            labels=["topic", "partition"],
        )
        waiting: dict[str, list[Lag]] = {}
        for tp, lag in sorted(report.lag.items()):
            records.add_metric([tp.topic, str(tp.partition)], lag.records)
            waiting.setdefault(tp.topic, []).append(lag)
        arrived = GaugeMetricFamily(
            "leads_consumer_lag_seconds",
            "Time since the oldest record arrived that has not taken effect; 0 when none waits.",
            labels=["topic"],
        )
        occurred = GaugeMetricFamily(
            "leads_event_time_lag_seconds",
            "Time since the oldest event occurred that has not taken effect; 0 when none waits. Large in an import.",
            labels=["topic"],
        )
        # Of a report that was made as it should be what waited then may be long done: its age then is the one to tell.
        now = self._now()
        if now - report.at / 1000 < _OLD_SECONDS:
            now = report.at / 1000
        for topic, lags in waiting.items():
            arrived.add_metric([topic], _age(now, [lag.arrived for lag in lags if lag.arrived is not None]))
            occurred.add_metric([topic], _age(now, [lag.occurred for lag in lags if lag.occurred is not None]))
        yield from (records, arrived, occurred)


def _age(now: float, times: list[int]) -> float:
    return max(0.0, now - min(times) / 1000) if times else 0.0
