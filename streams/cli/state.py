"""`leadstream state`: a backup of what the workers know, a way to another cluster, and more partitions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Keep the workers' state: back it up, move it, spread it over more partitions.")
    group.command("export")(export)
    group.command("import")(import_)
    group.command("grow")(grow)
    app.add_typer(group, name="state")


def export(
    file: Annotated[Path, typer.Argument(help="Where to; it must not be there yet.")],
    app: App = DEFAULT_APP,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> None:
    """Write the state of all leads to a file, as of the workers' last commits.

    Workers may run. The file holds what is known of people: only you can read it.

    Examples:

        leadstream state export leads-2026-11-26.state
    """
    from streams.statekeeping import take_snapshot

    kept = take_snapshot(bootstrap, app, file)
    print(f"exported {kept.keys} ids of {kept.partitions} partitions")


def import_(
    file: Annotated[Path, typer.Argument(help="What `state export` wrote.")],
    handled: Annotated[
        bool,
        typer.Option("--handled", help="All that is on the input topics now is in the state: for another cluster."),
    ] = False,
    app: App = DEFAULT_APP,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> None:
    """Put the state in a file into an empty changelog; workers that start then go on with it.

    On the cluster that it is of, they go on behind what it had applied. Stop the workers first: one that runs is ended.

    Examples:

        leadstream state import leads-2026-11-26.state

        leadstream state import leads-2026-11-26.state --handled --bootstrap new-kafka:9092
    """
    from streams.statekeeping import put_back

    kept = put_back(bootstrap, app, file, handled)
    print(f"imported {kept.keys} ids into {kept.partitions} partitions")


def grow(
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="How many partitions every topic is to have.")],
    backup: Annotated[Path, typer.Option(help="A file that keeps the state meanwhile; remove it afterwards.")],
    app: App = DEFAULT_APP,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> None:
    """Give all topics more partitions, and every lead's state its new place.

    Workers and relays must be stopped, with nothing left to do. If it fails on the way, give the same command again.

    Examples:

        leadstream state grow --partitions 24 --backup before-24.state
    """
    from streams.statekeeping import grow as grow_topics

    kept = grow_topics(bootstrap, app, partitions, backup)
    print(f"moved {kept.keys} leads; all topics have {kept.partitions} partitions")
