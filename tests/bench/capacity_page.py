"""The tables of deploy/capacity.md, out of what was measured."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from streams.topics import RETENTION_MS

_DAY = 86_400


class Measured(NamedTuple):
    """Microseconds of CPU time, an event's and a restored lead's; CPU shares at rest; MB of processes; an event's bytes
    and a lead's.
    """

    worker_us: float
    worker_backlog_us: float
    broker_us: float
    broker_backlog_us: float
    collector_us: float
    collector_batched_us: float
    worker_rest: float
    broker_rest: float
    input_bytes: float
    changelog_bytes: float
    output_bytes: float
    lead_packed: float
    lead_resident: float
    lead_restore_us: float
    worker_mb: float
    broker_mb: float
    collector_mb: float
    collector_busy_mb: float
    collector_batched_mb: float
    collector_crowded_mb: float
    into_broker: float
    out_of_broker: float
    into_collector: float
    out_of_collector: float


def tables(found: Measured, rate: int) -> list[str]:
    """The lines of the page; `rate` is the events/s that were sent to Kafka."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    return [
        f"Measured at commit {commit or 'unknown'} on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores shared with "
        f"broker, load and others, Python {platform.python_version()}; {rate:,} page views/s to Kafka, single events "
        "over HTTP one after the other.",
        "",
        *_per_thousand_events(found),
        "",
        *_per_million_leads(found),
        "",
        *_processes(found),
        "",
        *_bytes_an_event(found),
        "",
        *_sizes(found),
    ]


def _per_thousand_events(found: Measured) -> list[str]:
    disk = found.input_bytes + found.changelog_bytes + found.output_bytes
    return [
        "| for 1,000 events/s | CPU, cores | in a backlog, cores | memory | disk a day, one copy | network in | out |",
        "|---|---|---|---|---|---|---|",
        f"| worker | {found.worker_us / 1e3:.2f} | {found.worker_backlog_us / 1e3:.3f} | by its leads, below | none | "
        "in the broker's | in the broker's |",
        f"| broker | {found.broker_us / 1e3:.2f} | {found.broker_backlog_us / 1e3:.3f} | {found.broker_mb:.0f} MB | "
        f"{_bytes(disk * 1e3 * _DAY)} | {_rate(found.into_broker * 1e3)} | {_rate(found.out_of_broker * 1e3)} |",
        f"| collector, an event a request | {found.collector_us / 1e3:.2f} | | {found.collector_busy_mb:.0f} MB | "
        f"none | {_rate(found.into_collector * 1e3)} | {_rate(found.out_of_collector * 1e3)} |",
        f"| collector, 50 events a request | {found.collector_batched_us / 1e3:.3f} | | "
        f"{found.collector_batched_mb:.0f} MB | none | | |",
    ]


def _per_million_leads(found: Measured) -> list[str]:
    packed = _bytes(found.lead_packed * 1e6)
    return [
        "| for a million leads | CPU | memory | disk, one copy | network |",
        "|---|---|---|---|---|",
        f"| worker, broker | {found.lead_restore_us:.0f} s of one core when they are restored | "
        f"{_bytes(found.lead_resident * 1e6)} of the worker's | {packed}, after compaction | "
        f"{packed} to the worker when they are restored |",
    ]


def _processes(found: Measured) -> list[str]:
    return [
        "| a process | worker | broker | collector |",
        "|---|---|---|---|",
        f"| CPU at rest, share of a core | {found.worker_rest:.0%} | {found.broker_rest:.0%} | |",
        f"| memory at rest, without leads | {found.worker_mb:.0f} MB | | {found.collector_mb:.0f} MB |",
        "| memory with as much as it can take, over 128 connections | | | "
        f"{max(found.collector_busy_mb, found.collector_batched_mb):.0f} MB |",
        f"| over 1,000 connections | | | {found.collector_crowded_mb:.0f} MB |",
    ]


def _bytes_an_event(found: Measured) -> list[str]:
    return [
        "| bytes of | disk, one copy | into the broker | out of the broker |",
        "|---|---|---|---|",
        f"| an event, in all | {found.input_bytes + found.changelog_bytes + found.output_bytes:.0f} | "
        f"{found.into_broker:.0f} | {found.out_of_broker:.0f} |",
        f"| on its input topic | {found.input_bytes:.0f} | | |",
        f"| on the changelog, before compaction | {found.changelog_bytes:.0f} | | |",
        f"| on output topics | {found.output_bytes:.0f} | | |",
        f"| a lead on the changelog, after compaction | {found.lead_packed:.0f} | | |",
    ]


def _rate(per_second: float) -> str:
    return f"{per_second * 8 / 1e6:.1f} Mbit/s"


class Size(NamedTuple):
    """A deployment: events a second at the peak, leads kept, days that raw events are kept."""

    rate: int
    leads: float
    days: int


SIZES = (Size(1_000, 2e6, RETENTION_MS // 86_400_000), Size(100_000, 100e6, 90), Size(1_000_000, 500e6, 30))
#: What a worker's share of the leads may take: more than that is long to restore.
LARGEST_SHARE = 16e9
#: How much of a core a worker is to use at the peak; the average rate as a share of the peak; copies of each record.
BUSY, AVERAGE, COPIES = 0.6, 0.4, 3


def _sizes(found: Measured) -> list[str]:
    rows = [
        "| | " + " | ".join(f"{one.rate:,}/s, {one.leads / 1e6:.0f}M leads, {one.days} d" for one in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]

    def row(name: str, value: Callable[[Size], str]) -> None:
        rows.append(f"| {name} | " + " | ".join(map(value, SIZES)) + " |")

    def workers(one: Size) -> int:
        by_rate = math.ceil(one.rate * found.worker_backlog_us / 1e6 / BUSY)
        return max(2, by_rate, math.ceil(one.leads * found.lead_resident / LARGEST_SHARE))

    def partitions(one: Size) -> int:
        return max(12, 12 * math.ceil(workers(one) * 1.5 / 12))

    def copied(one: Size) -> float:
        """MB/s that one more copy of everything takes."""
        return one.rate * (found.input_bytes + found.changelog_bytes + found.output_bytes) / 1e6

    def inward(one: Size) -> float:
        """MB/s from trackers, workers and the other brokers."""
        return one.rate * found.into_broker / 1e6 + copied(one) * (COPIES - 1)

    # A follower's fetches and writes: half of what the leader does.
    broker_us = found.broker_backlog_us * (1 + (COPIES - 1) / 2)

    def outward(one: Size) -> float:
        """MB/s to trackers, workers, the other brokers, and three subscribers."""
        return one.rate * (found.out_of_broker + 3 * found.output_bytes) / 1e6 + copied(one) * (COPIES - 1)

    row("workers (one core each)", lambda one: f"{workers(one):,}")
    row("partitions", lambda one: f"{partitions(one):,}")

    def memory(one: Size, at_work: int) -> float:
        """Bytes that each of so many workers takes, none of them with any room to spare."""
        return found.worker_mb * 1e6 + one.leads * found.lead_resident / at_work

    row("memory a worker", lambda one: _bytes(memory(one, workers(one))))
    row("memory a worker while another is away", lambda one: _bytes(memory(one, workers(one) - 1)))
    row("collector cores", lambda one: f"{max(1, math.ceil(one.rate * found.collector_us / 1e6 / BUSY)):,}")
    row(
        "broker cores, all together",
        lambda one: f"{max(3, math.ceil(one.rate * broker_us / 1e6 / BUSY)):,}",
    )
    row(
        "disk, all copies",
        lambda one: _bytes(
            COPIES
            * (
                one.rate * AVERAGE * (found.input_bytes + found.output_bytes) * one.days * _DAY
                + one.leads * found.lead_packed * 1.5
            )
        ),
    )
    row("network into brokers, all together", lambda one: f"{inward(one) * 8:,.0f} Mbit/s")
    row("network out of brokers, all together", lambda one: f"{outward(one) * 8:,.0f} Mbit/s")
    return rows


def _bytes(count: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:,.0f} MB"
