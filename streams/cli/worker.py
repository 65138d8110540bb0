"""`leadstream worker`."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap, SchemaRegistry


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
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Serve Prometheus metrics on this port of 127.0.0.1.")
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(help="A name that is this worker's alone: a quick restart then moves no partitions."),
    ] = None,
    app: App = DEFAULT_APP,
    schema_registry: SchemaRegistry = None,
    clock: Annotated[
        _Clock, typer.Option(help="'stream' lets only events move time; 'wall' also the clock, once live.")
    ] = _Clock.wall,
    session_timeout: Annotated[
        float,
        typer.Option(min=6, max=300, metavar="SECONDS", help="A worker silent for so long loses its partitions."),
    ] = 10.0,
) -> None:
    """Qualify leads: read the input topics, keep every lead's score, write MQL, SQL and lifecycle events.

    Runs in the foreground, creates missing topics, and prints `ready` when its partitions are assigned and restored.
    SIGTERM ends it after the batches at hand.

    Examples:

        leadstream worker

        leadstream worker --model model.yaml --metrics-port 9100 --bootstrap kafka:9092
    """
    from streams.modelfile import chosen_file, read_model
    from streams.worker import run_worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("aiokafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    run_worker(
        bootstrap,
        read_model(model),
        app_id=app,
        clock=clock.value,
        metrics_port=metrics_port,
        instance_id=instance,
        schema_registry=schema_registry,
        session_timeout_s=session_timeout,
        model_file=chosen_file(model),
    )
