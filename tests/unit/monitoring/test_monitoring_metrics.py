from __future__ import annotations

import dataclasses
import threading
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry, generate_latest

from streams.engine.report import Lag, Report
from streams.monitoring.channels import CHANNELS, channel_of
from streams.monitoring.metrics import WorkerMetrics
from streams.qualification.events import Changed, Ignored, Qualified
from streams.wire.bad import BadRecord

NOW = 1_800_000_000.0


class Bed:
    """The metrics of a worker that reads two topics, at a wall clock that stands still."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry, ("page-views", "downloads"), ("no_budget",), lambda: NOW)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def qualified(stage: str = "MQL", medium: str | None = "cpc") -> Qualified:
    touch = {"medium": medium, "referrer": None}
    return Qualified({"stage": stage, "route": "NURTURE", "first_touch": touch})


def changed(before: str, after: str, cause: str, **more: Any) -> Changed:
    return Changed({"from_stage": before, "to_stage": after, "cause": cause}, **more)


def test_what_happened_in_a_batch_is_counted_when_it_is_durable() -> None:
    bed = Bed()
    bed.metrics.happened(qualified(), 3, int(NOW * 1000) - 70)
    bed.metrics.happened(changed("lead", "mql", "QUALIFIED", stayed=5_000), 3, int(NOW * 1000))
    bed.metrics.happened(Ignored("duplicate"), 3, None)
    labels = {"stage": "MQL", "route": "NURTURE", "channel": "paid_search"}
    assert bed.value("leads_qualifications_total", **labels) == 0
    bed.metrics.committed(4, {"downloads": 1}, 0, 0.01)
    assert bed.value("leads_qualifications_total", **labels) == 0
    bed.metrics.committed(3, {"page-views": 2}, 0, 0.01)
    bed.metrics.committed(3, {"page-views": 2}, 0, 0.01)
    assert bed.value("leads_qualifications_total", **labels) == 1
    assert bed.value("leads_transitions_total", from_stage="lead", to_stage="mql", cause="QUALIFIED") == 1
    assert bed.value("leads_ignored_total", reason="duplicate") == 1
    assert bed.value("leads_records_consumed_total", topic="page-views") == 4
    assert bed.value("leads_commits_total", outcome="committed") == 3
    assert bed.value("leads_batch_records_sum") == 5
    assert bed.value("leads_last_commit_timestamp_seconds") == NOW


def test_latency_is_from_the_arrival_of_the_event_to_the_commit() -> None:
    bed = Bed()
    bed.metrics.happened(qualified("SQL"), 0, int(NOW * 1000) - 70)
    bed.metrics.happened(qualified("SQL"), 0, None)  # brought about by time
    bed.metrics.happened(qualified("SQL"), 0, int(NOW * 1000) + 900)  # a producer whose clock runs ahead
    bed.metrics.committed(0, {}, 1, 0.01)
    assert bed.value("leads_event_to_qualification_seconds_sum", stage="SQL") == pytest.approx(0.07)
    assert bed.value("leads_event_to_qualification_seconds_count", stage="SQL") == 2
    assert bed.value("leads_event_to_qualification_seconds_bucket", stage="SQL", le="0.05") == 1


def test_times_in_stages_responses_and_rests_are_those_of_the_transition() -> None:
    bed = Bed()
    bed.metrics.happened(
        changed("sql", "lead", "FEEDBACK", stayed=7_200_000, rested="no_budget", answered=3_600_000), 0, 0
    )
    bed.metrics.committed(0, {}, 0, 0.01)
    assert bed.value("leads_stage_seconds_sum", stage="sql") == 7_200
    assert bed.value("leads_sales_response_seconds_sum") == 3_600
    assert bed.value("leads_rested_total", reason="no_budget") == 1
    assert bed.value("leads_rested_total", reason="other") == 0


def test_series_that_alerts_count_are_there_before_anything_happens() -> None:
    bed = Bed()
    assert bed.value("leads_dead_letters_total", topic="downloads", reason="UNDECODABLE") == 0
    assert bed.value("leads_commits_total", outcome="aborted") == 0
    assert bed.value("leads_transitions_total", from_stage="sql", to_stage="sql", cause="SLA_BREACHED") == 0
    bed.metrics.aborted(1)
    assert bed.value("leads_commits_total", outcome="aborted") == 1


def test_dead_letters_and_strays_are_counted_when_they_are_durable() -> None:
    bed = Bed()
    letters = {"topic": "downloads", "reason": "UNDECODABLE"}
    bed.metrics.refused("downloads", BadRecord("UNDECODABLE", "x"), 1)
    bed.metrics.strayed("downloads", 1)
    bed.metrics.committed(0, {"downloads": 1}, 0, 0.01)
    assert bed.value("leads_dead_letters_total", **letters) == 0
    bed.metrics.committed(1, {"downloads": 2}, 0, 0.01)
    bed.metrics.committed(1, {"downloads": 1}, 0, 0.01)
    assert bed.value("leads_dead_letters_total", **letters) == 1
    assert bed.value("leads_strays_total", topic="downloads") == 1


def test_what_is_left_to_restore_falls_to_nothing() -> None:
    bed = Bed()
    bed.metrics.rebalanced([1, 2])
    bed.metrics.restoring(1, 0, 100)
    bed.metrics.restoring(2, 50, 100)
    assert bed.value("leads_restore_remaining_records") == 150
    bed.metrics.restoring(1, 60, 100)
    bed.metrics.restored(2, 9, 0.1)
    assert bed.value("leads_restore_remaining_records") == 40
    bed.metrics.rebalanced([2])
    assert bed.value("leads_restore_remaining_records") == 0
    assert bed.value("leads_rebalances_total") == 2


def test_restores_may_tell_from_many_threads() -> None:
    bed = Bed()

    def tell(first: int) -> None:
        for number in range(first, first + 200):
            bed.metrics.restoring(number, 0, 1)

    threads = [threading.Thread(target=tell, args=(200 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bed.value("leads_restore_remaining_records") == 800


def test_gauges_are_what_the_report_says_and_there_is_none_before_the_first() -> None:
    bed = Bed()
    report: list[Report | None] = [None]
    bed.metrics.watch(lambda: report[0])
    assert bed.value("leads_state_bytes") is None
    ago = int(NOW * 1000) - 1_500
    lag = {
        TP("page-views", 0): Lag(7, ago, ago - 60_000),
        TP("page-views", 1): Lag(1, ago + 1_000, ago),
        TP("downloads", 0): Lag(0),
    }
    report[0] = Report(
        0.0,
        int(NOW * 1000),
        frozenset({0, 1}),
        frozenset({0}),
        lag,
        {"mql": 2, "alias": 1},
        900,
        5_000,
        False,
        0.0,
        60.0,
    )
    assert bed.value("leads_consumer_lag_records", topic="page-views", partition="0") == 7
    assert bed.value("leads_consumer_lag_seconds", topic="page-views") == pytest.approx(1.5)
    assert bed.value("leads_event_time_lag_seconds", topic="page-views") == pytest.approx(61.5)
    for seconds, age in ((-1, 0.5), (-60, 1.5)):  # as of the report, unless that was made long ago
        fresh = report[0]
        report[0] = dataclasses.replace(fresh, at=int((NOW + seconds) * 1000))
        assert bed.value("leads_consumer_lag_seconds", topic="page-views") == pytest.approx(age)
        report[0] = fresh
    assert bed.value("leads_consumer_lag_seconds", topic="downloads") == 0
    assert bed.value("leads_tracked", stage="mql") == 2
    assert bed.value("leads_tracked", stage="customer") == 0
    assert bed.value("leads_state_bytes") == 900
    assert bed.value("leads_stream_time_seconds") == 5
    assert bed.value("leads_assigned_partitions") == 2
    assert bed.value("leads_running_partitions") == 1


def test_whatever_a_touch_says_its_channel_is_one_of_a_few() -> None:
    media = [None, "cpc", "CPC", "Email", "newsletter", "made up \u2028 by <somebody>", "", "unknown"]
    for medium in media:
        assert channel_of({"medium": medium, "referrer": None}) in CHANNELS
    assert channel_of(None) == "unknown"
    assert channel_of({"medium": None, "referrer": "https://example.org"}) == "referral"
    assert channel_of({"medium": None, "referrer": None}) == "direct"


def test_no_label_carries_what_people_write() -> None:
    bed = Bed()
    bed.metrics.happened(qualified(medium="anna@example.com"), 0, None)
    bed.metrics.committed(0, {}, 0, 0.0)
    bed.metrics.refused("downloads", BadRecord("INVALID", "lead anna@example.com is not"), 0)
    assert b"anna" not in generate_latest(bed.registry)


def test_what_the_worker_waits_for_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    bed = Bed()
    for _ in range(5):
        bed.metrics.waiting("the registry is away")
    assert [record.message for record in caplog.records] == ["waiting: the registry is away"]
