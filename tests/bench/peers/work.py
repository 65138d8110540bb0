"""The work that every peer does for a page view; only the engine around it differs.

Less than leadstream does (no duplicates, noise, touches, evidence, lifecycle, timers), so that a peer is never put at a
disadvantage. Imports nothing of leadstream: Quix runs it in an environment of its own.
"""

from __future__ import annotations

import json
import os
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader

THRESHOLD = 20.0
HALF_LIVES = {"web": 30 * 86_400_000, "content": 60 * 86_400_000}
#: In front of the Avro body: single-object encoding.
HEADER = 10
_PROGRESS_EVERY = 0.25

#: group -> [points, as of (ms)]
State = dict[str, list[float]]


def _without_logical_types(avro: Any) -> Any:
    """fastavro builds a datetime for every timestamp, and nobody here needs one."""
    if isinstance(avro, dict):
        return {key: _without_logical_types(value) for key, value in avro.items() if key != "logicalType"}
    return [_without_logical_types(one) for one in avro] if isinstance(avro, list) else avro


_SCHEMA = parse_schema(
    _without_logical_types(json.loads((Path(__file__).parents[3] / "schemas" / "page-views.avsc").read_text()))
)


def decode(value: bytes) -> dict[str, Any]:
    """The whole PageView."""
    body = BytesIO(value)
    body.seek(HEADER)
    view = schemaless_reader(body, _SCHEMA, None)
    assert isinstance(view, dict)
    return view


def score(state: State, view: dict[str, Any]) -> tuple[State, bool]:
    """The state with the view's points, and whether interest crossed the threshold with it."""
    at, url = view["occurred_at"], view["url"]
    group, points = ("content", 6.0) if "/case-studies/" in url else ("web", 10.0 if "/pricing" in url else 1.0)
    before = sum(_at(one, name, at) for name, one in state.items())
    after = {**state, group: [(_at(state[group], group, at) if group in state else 0.0) + points, at]}
    return after, before < THRESHOLD <= before + points


def _at(one: list[float], group: str, at: int) -> float:
    return float(one[0] * 2.0 ** ((one[1] - at) / HALF_LIVES[group]))


def output_of(lead_id: str, view: dict[str, Any]) -> bytes:
    return json.dumps({"lead_id": lead_id, "occurred_at": view["occurred_at"]}).encode()


class Progress:
    """Prints how many records are done, now and then: the bench reads it."""

    def __init__(self) -> None:
        self._done = 0
        self._next = 0.0

    def add(self, records: int) -> None:
        self._done += records
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PROGRESS_EVERY
            os.write(1, f"progress {self._done}\n".encode())  # Faust turns sys.stdout into its log
