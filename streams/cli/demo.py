"""`leadstream demo`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from streams.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Use this Kafka cluster. Without it one is started for the demo and goes with it.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long the thirty days take.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed gives another crowd; the people with a story stay.")] = 1,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines instead of a picture; so it is too without a terminal.")
    ] = False,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when the thirty days are over; exit 1 unless leads became MQL and SQL."),
    ] = False,
    web: Annotated[
        bool,
        typer.Option("--web", help="Open a website when it is your turn: click around, and watch yourself warm up."),
    ] = False,
) -> None:
    """Watch thirty days of invented journeys go through a real Kafka and a real worker, then join in.

    Starts a broker, a worker with the default model, and a process that publishes what visitors and leads do.
    When the thirty days are over, keys let you visit the pricing page, download, and book a demo yourself.
    Nothing is left behind.

    Examples:

        leadstream demo

        leadstream demo --web --seconds 20

        leadstream demo --plain --once --seconds 20
    """
    if web and once:
        raise UsageError("--web is for you to join in, and --once ends before that: choose one of them.")
    from streams.local.demo.run import run
    from streams.local.demo.start import Settings

    plain = plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    raise typer.Exit(run(Settings(bootstrap, seconds, seed, plain, once, web)))
