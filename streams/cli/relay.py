"""`leadstream relay`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap, SchemaRegistry


def register(app: typer.Typer) -> None:
    app.command()(relay)


def relay(
    targets: Annotated[Path, typer.Option(metavar="FILE", help="The file that names the targets.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests for what is on the topics now; send nothing.")
    ] = False,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve /metrics and /health/* on this port of 127.0.0.1."),
    ] = None,
    app: App = DEFAULT_APP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Deliver qualification events to CRMs and webhooks, and take sales' answers in.

    Runs in the foreground and prints `ready` when it reads the topics. What a target does not take is parked: see
    `leadstream dead-letters`. SIGTERM ends it after the deliveries at hand.

    Examples:

        leadstream relay --targets targets.yaml

        leadstream relay --targets targets.yaml --dry-run
    """
    from streams.relay.dryrun import dry_run as print_requests
    from streams.relay.run import run_relay
    from streams.relay.targets import read_targets

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    read = read_targets(targets)
    if dry_run:
        print_requests(bootstrap, read, schema_registry)
        return
    run_relay(bootstrap, read, app_id=app, metrics_port=metrics_port, schema_registry=schema_registry)
