"""The dashboard *Pipeline*: does it work, how far behind is it, and where does it hurt."""

from __future__ import annotations

from streams.monitoring.dashboards.panels import RATE, Board, Panel, Query, Section
from streams.monitoring.dashboards.promql import count, half_and_nearly_all, quantile, rate

#: The objective: 99% of MQL and SQL events are published within a second of the arrival of the event that made them.
ALLOWED = 0.01
_GOOD = 'leads_event_to_qualification_seconds_bucket{le="1.0"}'
_ALL = "leads_event_to_qualification_seconds_count"


def _slow(window: str) -> str:
    """The share of qualifications that took longer than the objective allows."""
    return f"(1 - sum(increase({_GOOD}[{window}])) / sum(increase({_ALL}[{window}])))"


_OBJECTIVE = Section(
    "Objective",
    (
        Panel(
            "Published within a second, 30 days",
            "Share of MQL and SQL events that were published within one second of the arrival of the event that made "
            "them. The objective is 99%.",
            "percentunit",
            "number",
            (Query(f"1 - {_slow('30d')}"),),
            6,
            ((0.0, "red"), (0.99, "yellow"), (0.995, "green")),
        ),
        Panel(
            "Error budget left, 30 days",
            "What is left of the 1% that may be late. Below zero the objective is missed.",
            "percentunit",
            "number",
            (Query(f"1 - {_slow('30d')} / {ALLOWED}"),),
            6,
            ((-1000.0, "red"), (0.0, "yellow"), (0.25, "green")),
        ),
        Panel(
            "Burn rate",
            "How many times as fast as allowed the budget is used up: at 1 it lasts just the 30 days. Alerts page at "
            "14.4 (1 h) and 6 (6 h).",
            "short",
            "lines",
            (Query(f"{_slow('1h')} / {ALLOWED}", "1 h"), Query(f"{_slow('6h')} / {ALLOWED}", "6 h")),
            6,
        ),
        Panel(
            "Event to qualification",
            "From the arrival of the event that made it to the publication of an MQL or SQL.",
            "s",
            "lines",
            half_and_nearly_all("leads_event_to_qualification_seconds", "stage"),
            6,
        ),
    ),
)

_WORK = Section(
    "Work",
    (
        Panel(
            "Lag in records",
            "Records that can be read and have not taken effect, by topic.",
            "short",
            "lines",
            (Query("sum by (topic) (leads_consumer_lag_records)", "{{topic}}"),),
        ),
        Panel(
            "Lag in seconds",
            "How long the oldest record has waited that has not taken effect, since it arrived.",
            "s",
            "lines",
            (Query("max by (topic) (leads_consumer_lag_seconds)", "{{topic}}"),),
        ),
        Panel(
            "Records in",
            "Records that took effect, by topic.",
            "cps",
            "bars",
            (Query(rate("leads_records_consumed_total", "topic"), "{{topic}}"),),
        ),
        Panel(
            "Events out",
            "What the workers publish.",
            "cps",
            "lines",
            (
                Query(rate("leads_qualifications_total", "stage"), "{{stage}}"),
                Query(rate("leads_transitions_total"), "lifecycle"),
            ),
        ),
        Panel(
            "Dead letters by reason",
            "Records that could not be used, kept with the reason on the topic dead-letters.",
            "cps",
            "bars",
            (Query(rate("leads_dead_letters_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Ignored and strays",
            "Events that scored nothing, by reason, and records that came on a partition that is not their key's.",
            "cps",
            "lines",
            (
                Query(rate("leads_ignored_total", "reason"), "{{reason}}"),
                Query(f"({rate('leads_strays_total')} or vector(0))", "strays"),
            ),
        ),
    ),
)

_COMMITS = Section(
    "Transactions",
    (
        Panel(
            "Transactions",
            "By outcome. An aborted one is written again; many of them tell of a broker in trouble.",
            "cps",
            "lines",
            (Query(rate("leads_commits_total", "outcome"), "{{outcome}}"),),
            6,
        ),
        Panel(
            "Time of a transaction",
            "From the first record handed to the producer to the broker's word that all is committed.",
            "s",
            "lines",
            half_and_nearly_all("leads_commit_seconds"),
            6,
        ),
        Panel(
            "Records in a transaction",
            "On average. It grows with the load: a sign of reserve, not of trouble.",
            "short",
            "lines",
            (
                Query(
                    f"{rate('leads_batch_records_sum')} / {rate('leads_batch_records_count')}",
                    "records",
                ),
            ),
            6,
        ),
        Panel(
            "Age of the last commit",
            "Since any worker last committed. It grows when nothing comes in, too: look at lag beside it.",
            "s",
            "lines",
            (Query("time() - max(leads_last_commit_timestamp_seconds > 0)", "age"),),
            6,
        ),
    ),
)

_GROUP = Section(
    "Group and state",
    (
        Panel(
            "Members and partitions",
            "Workers that answer, partitions that they were given, and those that are restored and at work.",
            "short",
            "lines",
            (
                Query("count(leads_assigned_partitions)", "members"),
                Query("sum(leads_assigned_partitions)", "partitions assigned"),
                Query("sum(leads_running_partitions)", "partitions at work"),
            ),
            6,
        ),
        Panel(
            "Rebalances",
            "Assignments of partitions to a worker. Each stops the work of the group for a moment.",
            "short",
            "bars",
            (Query(count("leads_rebalances_total", window=RATE), "rebalances"),),
            6,
        ),
        Panel(
            "Left to restore",
            "Changelog offsets still to be read before all partitions work.",
            "short",
            "lines",
            (Query("sum(leads_restore_remaining_records)", "offsets"),),
            6,
        ),
        Panel(
            "State",
            "Keys and packed states of all leads, and the memory of each worker's process.",
            "bytes",
            "lines",
            (
                Query("sum(leads_state_bytes)", "states"),
                Query(
                    "process_resident_memory_bytes and on (instance) leads_state_bytes",
                    "memory of {{instance}}",
                ),
            ),
            6,
        ),
        Panel(
            "Processor",
            "Cores that each process uses. A worker works on one.",
            "short",
            "lines",
            (Query(f'rate(process_cpu_seconds_total{{job=~"leadstream-.+"}}[{RATE}])', "{{job}} {{instance}}"),),
            12,
        ),
        Panel(
            "Scraped",
            "Whether Prometheus gets an answer, by process.",
            "short",
            "lines",
            (Query('up{job=~"leadstream-.+"}', "{{job}} {{instance}}"),),
            6,
        ),
        Panel(
            "Event time behind the clock",
            "The largest event time that was judged, against now: it grows when nothing comes in. And how long ago the "
            "oldest event occurred that waits: days, in an import of history.",
            "s",
            "lines",
            (
                Query("clamp_min(time() - max(leads_stream_time_seconds), 0)", "judged"),
                Query("max(leads_event_time_lag_seconds)", "waiting"),
            ),
            6,
        ),
    ),
)

_EDGES = Section(
    "Collector and relay",
    (
        Panel(
            "Collected events",
            "Events that trackers sent, by what became of them. Those that were `unavailable` are sent again.",
            "cps",
            "bars",
            (Query(rate("leads_collector_events_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Time until the broker has a request's events",
            "The collector answers trackers after that.",
            "s",
            "lines",
            half_and_nearly_all("leads_collector_publish_seconds"),
        ),
        Panel(
            "Refused requests",
            "By HTTP status: wrong keys, bodies that are too large, a door that is too full.",
            "reqps",
            "bars",
            (Query(rate("leads_collector_refused_requests_total", "status"), "{{status}}"),),
        ),
        Panel(
            "Deliveries",
            "Events to CRMs and webhooks, by target and by what became of them.",
            "cps",
            "lines",
            (Query(rate("leads_relay_deliveries_total", "target", "outcome"), "{{target}} {{outcome}}"),),
        ),
        Panel(
            "Time of a delivery",
            "99th percentile, from reading an event to its delivery, retries included.",
            "s",
            "lines",
            (Query(quantile(0.99, "leads_relay_delivery_seconds", "target"), "{{target}}"),),
        ),
        Panel(
            "Waiting for targets",
            "Events read and not delivered yet, records not read yet, and whether a failing target is left alone.",
            "short",
            "lines",
            (
                Query("sum by (target) (leads_relay_waiting_events)", "{{target}} waiting"),
                Query("sum by (target) (leads_relay_lag_records)", "{{target}} not read"),
                Query("max by (target) (leads_relay_breaker_open)", "{{target}} left alone"),
            ),
        ),
    ),
)

PIPELINE = Board(
    "pipeline",
    "leadstream: Pipeline",
    "Lag, latency, transactions, state and edges of leadstream, for those who keep it running.",
    "now-3h",
    (_OBJECTIVE, _WORK, _COMMITS, _GROUP, _EDGES),
)
