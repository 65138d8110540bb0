"""The `leadstream` command.

One module a family of commands, each with `register(app)`; a new family is one module and one entry in
`_FAMILIES`. These modules import nothing slow: what a command needs it imports when it runs, so that `--help`
answers at once.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from streams import __version__
from streams.cli.login import add_login
from streams.errors import LeadstreamError
from streams.monitoring.logs import logs_json

#: In the order of `leadstream --help`.
_FAMILIES = (
    "demo",
    "broker",
    "topics",
    "state",
    "worker",
    "collector",
    "relay",
    "publish",
    "tail",
    "explain",
    "forget",
    "dead_letters",
    "backtest",
    "model",
    "dashboards",
    "bench",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"leadstream {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tells a sales team, the moment it becomes true, that a lead is worth a call.

    Events go in with `publish` (or your own Kafka producer), a `worker` qualifies leads, `tail` shows what
    came of it. Every option can also be given as a variable: `--bootstrap` is LEADSTREAM_BOOTSTRAP.
    """


def command() -> Any:
    """The whole command line, every option bound to its LEADSTREAM_* variable, and a login to every `--bootstrap`."""
    app = typer.Typer(
        name="leadstream",
        callback=_root,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain text: in the terminal at once, and the same in a log
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
    )
    for family in _FAMILIES:
        import_module(f"streams.cli.{family}").register(app)
    root = typer.main.get_command(app)
    _bind_variables(root)
    return root


def _bind_variables(node: Any) -> None:
    for child in getattr(node, "commands", {}).values():
        _bind_variables(child)
        if any(parameter.name == "bootstrap" for parameter in child.params):
            add_login(child)
        for parameter in child.params:
            if parameter.param_type_name == "option" and parameter.name != "help" and not parameter.envvar:
                flag = max(parameter.opts, key=len).lstrip("-")
                parameter.envvar = f"LEADSTREAM_{flag.replace('-', '_').upper()}"


def main() -> None:
    """Entry point: exit 0 done, 1 failed, 2 wrong use."""
    try:
        command()(prog_name="leadstream")
    except LeadstreamError as error:
        if logs_json():
            logging.getLogger("streams").critical("%s", error)
        else:
            from streams.cli.summary import harmless

            # It may name ids that strangers have made up.
            print("leadstream:", "\n".join(map(harmless, str(error).split("\n"))), file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        raise  # the reader of our output has gone; typer knows how to end then
    except OSError as error:
        # A full disk, a folder that can't be written: the surroundings, not a defect.
        print(f"leadstream: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
