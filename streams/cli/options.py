"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.kafka import DEFAULT_BOOTSTRAP

#: Use as `bootstrap: Bootstrap = DEFAULT_BOOTSTRAP`; it reads LEADSTREAM_BOOTSTRAP as well.
Bootstrap = Annotated[str, typer.Option(metavar="HOST:PORT", help="The Kafka cluster to talk to.")]

__all__ = ["DEFAULT_BOOTSTRAP", "Bootstrap"]
