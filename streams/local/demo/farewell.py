"""What the demo says at its end: what it saw, and how to go on with one's own events."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time

from streams.local.demo.board import Board


def summary(board: Board, seconds: float) -> str:
    """The demo in one line."""
    counts = board.counts
    return (
        f"{board.events:,} events of {len(board.leads):,} leads in {seconds:.0f} s: "
        f"{counts['mql-events']} MQL and {counts['sql-events']} SQL events, "
        f"{counts['lifecycle-events']:,} lifecycle events, {counts['dead-letters']} dead letters."
    )


def next_time(bootstrap: str | None, now: int) -> str:
    """Commands to copy. `bootstrap` is the cluster that was used, None for the embedded one; `now` in ms."""
    where = f" --bootstrap {shlex.quote(bootstrap)}" if bootstrap else ""
    command = "leadstream" if shutil.which("leadstream") else shlex.quote(os.path.abspath(sys.argv[0]))
    lines = ["Next time with your own events, each command in a terminal of its own:", ""]
    if bootstrap is None:
        lines.append(f"    {command} broker --data ./leadstream-data")
    lines += [
        f"    {command} worker{where}",
        f"    {command} tail mql-events sql-events --from-beginning{where}",
        f"    echo {shlex.quote(json.dumps(_example(now)))} | {command} publish -{where}",
    ]
    return "\n".join(lines)


def _example(now: int) -> dict[str, object]:
    """An event that makes an SQL by itself."""
    occurred_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now / 1000))
    booking = {"lead_id": "ada", "occurred_at": occurred_at, "booking_id": "demo-1", "status": "BOOKED"}
    return {"topic": "demo-bookings", "event": booking}
