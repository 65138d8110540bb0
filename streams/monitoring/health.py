"""Whether the worker lives, is ready and has started, as probes ask it.

Liveness fails only for what a restart mends: an event loop that stands still, and records that wait while nothing is
done and nothing is known to be in the way. It never fails for lag, for a restore, or for a broker that is away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from streams.engine.report import Report

#: A report is made every second. A large batch, and a machine short of time, hold it up for a few.
SILENT_SECONDS = 30.0


class Standing(NamedTuple):
    """The answer to a probe, and why."""

    well: bool
    says: str


class WorkerHealth:
    """`latest` gives the engine's report, None before its event loop runs. `now` is a monotonic clock in seconds."""

    def __init__(self, latest: Callable[[], Report | None], now: Callable[[], float] = time.monotonic) -> None:
        self._latest = latest
        self._now = now

    def live(self) -> Standing:
        report = self._latest()
        if report is None:
            return Standing(True, "starting")
        silent = self._now() - report.made_at
        if silent > SILENT_SECONDS:
            return Standing(False, f"the event loop stands still for {silent:.0f} s")
        # The engine ends itself at its limit. A probe that fails at half of it has others look there in time.
        if report.stalled_s >= report.limit_s / 2:
            return Standing(False, f"records wait and nothing was done for {report.stalled_s:.0f} s")
        return Standing(True, "live")

    def ready(self) -> Standing:
        report = self._latest()
        if report is None or report.assigned is None:
            return self._before(report)
        if report.away:
            return Standing(False, "no broker answers")
        if not report.restored:
            missing = len(report.assigned - report.running)
            return Standing(False, f"{missing} of {len(report.assigned)} partitions are not restored")
        return Standing(True, f"ready, {len(report.assigned)} partitions")

    def started(self) -> Standing:
        report = self._latest()
        if report is None or report.assigned is None:
            return self._before(report)
        return Standing(True, "started")

    @staticmethod
    def _before(report: Report | None) -> Standing:
        return Standing(False, "starting; the log says what it waits for" if report is None else "joining the group")
