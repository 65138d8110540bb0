"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.kafka import DEFAULT_APP, DEFAULT_BOOTSTRAP

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

__all__ = ["DEFAULT_APP", "DEFAULT_BOOTSTRAP", "App", "Bootstrap", "SchemaRegistry"]
