"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.kafka import DEFAULT_APP, DEFAULT_BOOTSTRAP
from streams.monitoring.logs import LogFormat

#: Use as `bootstrap: Bootstrap = DEFAULT_BOOTSTRAP`; it reads LEADSTREAM_BOOTSTRAP as well.
Bootstrap = Annotated[str, typer.Option(metavar="HOST:PORT", help="The Kafka cluster to talk to.")]

#: Use as `app: App = DEFAULT_APP`; it reads LEADSTREAM_APP as well.
App = Annotated[
    str,
    typer.Option(metavar="NAME", help="The workers' name: their group, and what their changelog topic begins with."),
]

#: Use as `schema_registry: SchemaRegistry = None` and `Codec(schema_registry)`.
SchemaRegistry = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="A Confluent schema registry. Without one, records carry their schema's fingerprint.",
        show_default=False,
    ),
]

#: Use as `metrics_port: MetricsPort = None`.
MetricsPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Serve /metrics and /health/* on this port.", show_default=False),
]

#: Use as `metrics_host: MetricsHost = LOOPBACK`.
MetricsHost = Annotated[str, typer.Option(metavar="ADDRESS", help="Where the metrics port listens.")]
LOOPBACK = "127.0.0.1"

#: Use as `instance: Instance = None`.
Instance = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A name that is this process's alone: restarted, it goes on at once, and moves no partitions.",
        show_default=False,
    ),
]

#: Use as `session_timeout: SessionTimeout = 10.0`.
SessionTimeout = Annotated[
    float, typer.Option(min=6, max=300, metavar="SECONDS", help="A process silent for so long loses its partitions.")
]

#: Use as `log_format: LogFormatOption = LogFormat.text`; it reads LEADSTREAM_LOG_FORMAT as well.
LogFormatOption = Annotated[LogFormat, typer.Option(help="'json' logs an object a line.")]

__all__ = [
    "DEFAULT_APP",
    "DEFAULT_BOOTSTRAP",
    "LOOPBACK",
    "App",
    "Bootstrap",
    "Instance",
    "LogFormat",
    "LogFormatOption",
    "MetricsHost",
    "MetricsPort",
    "SchemaRegistry",
    "SessionTimeout",
]
