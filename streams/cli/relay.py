"""`leadstream relay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import (
    DEFAULT_APP,
    DEFAULT_BOOTSTRAP,
    LOOPBACK,
    App,
    Bootstrap,
    Instance,
    LogFormat,
    LogFormatOption,
    MetricsHost,
    MetricsPort,
    SchemaRegistry,
    SessionTimeout,
)
from streams.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(relay)


def relay(
    targets: Annotated[Path, typer.Option(metavar="FILE", help="The file that names the targets.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests for what is on the topics now; send nothing.")
    ] = False,
    print_properties: Annotated[
        bool, typer.Option("--print-properties", help="Print what the CRMs must have before; send nothing.")
    ] = False,
    create_properties: Annotated[
        bool, typer.Option("--create-properties", help="Make what HubSpot targets lack of that.")
    ] = False,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
    instance: Instance = None,
    app: App = DEFAULT_APP,
    schema_registry: SchemaRegistry = None,
    session_timeout: SessionTimeout = 6.0,
    log_format: LogFormatOption = LogFormat.text,
) -> None:
    """Deliver qualification events to CRMs and webhooks, and take sales' answers in.

    Runs in the foreground and prints `ready` when it reads the topics. What a target does not take is parked: see
    `leadstream dead-letters`. SIGTERM ends it after the deliveries at hand. deploy/relay/ has examples of FILE.

    Examples:

        leadstream relay --targets targets.yaml --create-properties

        leadstream relay --targets targets.yaml --dry-run

        leadstream relay --targets targets.yaml --metrics-port 9101

        leadstream dead-letters list --consumer relay:crm
    """
    if dry_run + print_properties + create_properties > 1:
        raise UsageError("give one of --dry-run, --print-properties and --create-properties")
    import asyncio

    from streams.monitoring.logs import set_up_logging
    from streams.relay import preparing
    from streams.relay.dryrun import dry_run as print_requests
    from streams.relay.run import run_relay
    from streams.relay.secrets import redact_logs
    from streams.relay.targets import read_targets

    set_up_logging("relay", log_format)
    redact_logs()
    read = read_targets(targets)
    if dry_run:
        print_requests(bootstrap, read, schema_registry)
        return
    if print_properties:
        preparing.print_properties(read)
        return
    if create_properties:
        asyncio.run(preparing.make_properties(read))
        return
    run_relay(
        bootstrap,
        read,
        app_id=app,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        instance_id=instance,
        schema_registry=schema_registry,
        session_timeout_s=session_timeout,
    )
