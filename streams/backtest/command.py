"""The `backtest` command: files in, a report out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import msgspec

from streams.backtest.replay import Rejected, Replay, read_events, replay
from streams.backtest.report import summary, write_scores
from streams.errors import UsageError
from streams.modelfile import read_model
from streams.processing import topic_of
from streams.wire.jsonlines import render_line

_REJECTED_SHOWN = 10


def run(inputs: Sequence[Path], model: Path | None, *, as_json: bool, scores: Path | None, events: Path | None) -> int:
    """Replay and report; returns the exit code, 1 when lines were rejected. UsageError for unreadable files."""
    began = time.monotonic()
    rejected: list[Rejected] = []
    result = replay(read_events(inputs, rejected), read_model(model), time.time_ns() // 1_000_000)
    result.rejected = rejected
    seconds = time.monotonic() - began
    for one in rejected[:_REJECTED_SHOWN]:
        print(f"{one.source}:{one.line}: {one.reason}", file=sys.stderr)
    if len(rejected) > _REJECTED_SHOWN:
        print(f"... and {len(rejected) - _REJECTED_SHOWN} more rejected lines", file=sys.stderr)
    if scores is not None:
        with _writing(scores) as out:
            write_scores(result, out)
    if events is not None:
        with _writing(events) as out:
            for one_event in result.transitions:
                out.write(render_line(topic_of(one_event), one_event.record).decode() + "\n")
    numbers = {**summary(result), "seconds": round(seconds, 3)}
    if as_json:
        print(msgspec.json.encode(numbers).decode())
    else:
        _print_text(result, numbers)
    return 1 if rejected else 0


def _print_text(result: Replay, numbers: dict[str, Any]) -> None:
    took = f"{numbers['seconds']:.1f} s"
    print(f"{numbers['events']} events of {numbers['leads']} leads in {took}, model {numbers['model']}")
    if numbers["ignored"]:
        print("ignored: " + _listed(numbers["ignored"]))
    print("stages now: " + _listed(numbers["stages"]))
    paths = f" ({_listed(numbers['sql_paths'])})" if numbers["sql_paths"] else ""
    print(f"MQL events: {numbers['mql_events']}, SQL events: {numbers['sql_events']}{paths}")
    for name, share in numbers["outcomes"].items():
        if share["leads"]:
            print(f"{name}: {share['qualified']} of {share['leads']} had qualified before ({share['share']:.1%})")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


@contextmanager
def _writing(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from error
