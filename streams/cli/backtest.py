"""`leadstream backtest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(backtest)


def backtest(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="JSON lines of events, gzipped or not.")],
    model: Annotated[Path | None, typer.Option(help="Model file; without it the default model.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    scores: Annotated[
        Path | None, typer.Option(help="Write every lead's score as of the last event to this CSV file.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Write the MQL, SQL and lifecycle events to this file, as JSON lines.")
    ] = None,
) -> None:
    """Replay events through the same core that the worker runs, in memory and in time order.

    Exit 1 when any line was rejected.

    Examples:

        leadstream backtest events.jsonl.gz

        leadstream backtest events.jsonl.gz --model candidate.yaml --json --scores scores.csv
    """
    from streams.backtest.command import run

    raise typer.Exit(run(inputs, model, as_json=json, scores=scores, events=events))
