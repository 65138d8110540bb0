"""`leadstream topics`: create what is missing, report drift."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap


def register(app: typer.Typer) -> None:
    app.command("topics")(topics)


def topics(
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Partitions of every topic. Default: as many as the existing topics have, or 12.",
            show_default=False,
        ),
    ] = None,
    app: App = DEFAULT_APP,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> None:
    """Create missing topics, put settings right, report drift.

    A wrong number of partitions can't be put right: leads would part from their state. It is reported, and
    the exit code is 1.

    Examples:

        leadstream topics

        leadstream topics --partitions 24 --bootstrap kafka-1:9092,kafka-2:9092
    """
    from streams.kafka import ensure_topics

    report = ensure_topics(bootstrap, partitions, app)
    for name in report.created:
        print(f"created {name}")
    for drift in report.mended:
        print(f"mended  {drift.topic}: {drift.setting} was {drift.found}, is {drift.wanted}")
    for drift in report.drift:
        print(f"drift   {drift}", file=sys.stderr)
    if report.drift:
        print(
            f"The number of partitions can't be changed with leads in place. Go on with the present one "
            f"(--partitions {report.drift[0].found}), or publish the history again to new topics.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    if not report.created and not report.mended:
        print(f"All topics are there, {report.partitions} partitions each.")
