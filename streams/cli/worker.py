"""`leadstream worker`."""

from __future__ import annotations

from enum import StrEnum
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


class _Clock(StrEnum):
    wall = "wall"
    stream = "stream"


def register(app: typer.Typer) -> None:
    app.command()(worker)


def worker(
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    model: Annotated[
        Path | None, typer.Option(help="Model file; when it changes, so does the judgement. Else the default model.")
    ] = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = LOOPBACK,
    instance: Instance = None,
    app: App = DEFAULT_APP,
    schema_registry: SchemaRegistry = None,
    clock: Annotated[
        _Clock, typer.Option(help="'stream' lets only events move time; 'wall' also the clock, once live.")
    ] = _Clock.wall,
    session_timeout: SessionTimeout = 10.0,
    log_format: LogFormatOption = LogFormat.text,
) -> None:
    """Qualify leads: read the input topics, keep every lead's score, write MQL, SQL and lifecycle events.

    Runs in the foreground, creates missing topics, and prints `ready` when its partitions are assigned and restored.
    SIGTERM ends it after the batches at hand.

    Examples:

        leadstream worker

        leadstream worker --model model.yaml --metrics-port 9100 --bootstrap kafka:9092
    """
    from streams.modelfile import chosen_file, read_model
    from streams.monitoring.logs import set_up_logging
    from streams.worker import run_worker

    set_up_logging("worker", log_format)
    run_worker(
        bootstrap,
        read_model(model),
        app_id=app,
        clock=clock.value,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        instance_id=instance,
        schema_registry=schema_registry,
        session_timeout_s=session_timeout,
        model_file=chosen_file(model),
    )
