"""What a page view costs on the wire, in microseconds of processor time: `python tests/bench/wire_costs.py`.

The least of many short rounds, so that a busy machine disturbs it little.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fastavro import schemaless_reader

sys.path.insert(0, str(Path(__file__).parents[1]))

from wire_records import page_view

from streams.wire.codec import Codec
from streams.wire.jsonlines import parse_line, render_line
from streams.wire.schemas import shipped
from streams.wire.validation import invalid

ROUNDS, CALLS = 150, 400

MOSTLY_NULL = page_view(event_id="0b2a3c8e-7b1f-4f5e-8c7d-2f8f6f1b2c3d", lead_id="email:jane@example.com")
FULL = page_view(
    **{name: MOSTLY_NULL[name] for name in ("event_id", "lead_id")},
    duration_ms=45_000,
    session_id="s-123456789",
    referrer="https://www.example.org/",
    title="Pricing - Example",
    utm_source="newsletter",
    utm_medium="email",
    utm_campaign="autumn-2026",
    anonymous_id="7d9f2c1e-1a2b-4c3d-9e8f-0a1b2c3d4e5f",
    user_agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120 Safari/537.36",
    ip="203.0.113.7",
)


def main() -> None:
    codec, schema = Codec(), shipped().of_topic("page-views").parsed
    calls: dict[str, Callable[[], object]] = {}
    for name, event in (("mostly null", MOSTLY_NULL), ("all filled", FULL)):
        raw, line = codec.encode("page-views", event), render_line("page-views", event)
        key, at = event["lead_id"].encode(), event["occurred_at"]
        calls |= {
            f"{name}: encode": lambda event=event: codec.encode("page-views", event),
            f"{name}: decode": lambda raw=raw: codec.decode("page-views", raw),
            f"{name}: fastavro alone": lambda raw=raw: schemaless_reader(io.BytesIO(raw[10:]), schema, None),
            f"{name}: invalid": lambda event=event, key=key, at=at: invalid("page-views", event, at, key),
            f"{name}: parse_line": lambda line=line: parse_line(line),
            f"{name}: render_line": lambda event=event: render_line("page-views", event),
        }
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.process_time()
            for _ in range(CALLS):
                call()
            least[name] = min(least[name], (time.process_time() - began) / CALLS * 1e6)
    for name, cost in least.items():
        print(f"{name:30} {cost:7.2f}")


if __name__ == "__main__":
    main()
