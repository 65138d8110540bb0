"""`leadstream broker`: the embedded Kafka in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("broker")(broker)


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 9092,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            writable=True,
            help="Keep topics here. Without it they go with the broker.",
        ),
    ] = None,
) -> None:
    """Run a real Kafka broker on this machine, without Docker or Java.

    It prints `ready 127.0.0.1:PORT` when it serves; Ctrl-C or SIGTERM ends it. It listens on this machine
    only, without authentication: for development and tests.

    Examples:

        leadstream broker

        leadstream broker --port 19092 --data ./kafka
    """
    from streams.local.broker import BrokerFailed, EmbeddedBroker

    # SIGTERM as Ctrl-C: both unwind to the end of the `with` block, wherever they come.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EmbeddedBroker(data, port) as embedded:
            print(f"ready {embedded.bootstrap}", flush=True)
            try:
                code = embedded.wait()
                tail = embedded.log_tail()
            finally:
                # Ending takes a second or two; an impatient second Ctrl-C must not cut it short.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except KeyboardInterrupt:
        print("The broker has ended.", file=sys.stderr)
        return
    raise BrokerFailed(f"The embedded broker ended by itself, with exit code {code}:\n{tail}")
