"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streams.kafka import DEFAULT_BOOTSTRAP

if TYPE_CHECKING:
    from streams.wire.codec import Codec

#: Use as `bootstrap: Bootstrap = DEFAULT_BOOTSTRAP`; it reads LEADSTREAM_BOOTSTRAP as well.
Bootstrap = Annotated[str, typer.Option(metavar="HOST:PORT", help="The Kafka cluster to talk to.")]

#: Use as `schema_registry: SchemaRegistry = None`, and `make_codec(schema_registry)`.
SchemaRegistry = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="A Confluent schema registry. Without one, records carry their schema's fingerprint.",
        show_default=False,
    ),
]

__all__ = ["DEFAULT_BOOTSTRAP", "Bootstrap", "SchemaRegistry", "make_codec"]


def make_codec(schema_registry: str | None) -> Codec:
    """The codec for `--schema-registry URL`, or for none."""
    from streams.wire.codec import Codec
    from streams.wire.registry import ConfluentRegistry

    return Codec(ConfluentRegistry(schema_registry) if schema_registry else None)
