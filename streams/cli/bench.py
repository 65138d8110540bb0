"""`leadstream bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

from streams.errors import UsageError

#: Options are those of the bench itself.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_SOURCE = Path(__file__).parents[2] / "tests" / "bench" / "run.py"


def register(app: typer.Typer) -> None:
    app.command(context_settings=_PASSED_ON)(bench)


def bench(context: typer.Context) -> None:
    """Measure leadstream beside its peers on this machine: events a second, restore, latency, the collector. Minutes.

    Peers are a stock Faust agent, Quix Streams, Kafka Streams (needs a JDK) and a bare confluent-kafka loop; the
    collector's is a bare hello-world. Needs a checkout of the source; `leadstream bench --help` lists the
    options.

    Examples:

        leadstream bench

        leadstream bench --only latency --json

        leadstream bench --only collector --seconds 10
    """
    if not _SOURCE.exists():
        raise UsageError(
            "the bench is part of the source, not of the installed package: run it from a checkout, "
            "installed with `pip install -e '.[embedded,dev]'`"
        )
    raise typer.Exit(subprocess.run([sys.executable, str(_SOURCE), *context.args], check=False).returncode)
