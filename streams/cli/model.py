"""`leadstream model`: look at a model file before leads do."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.qualification.model.check import Report


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Look at a model file before leads do.", no_args_is_help=True)
    group.command("check")(check)
    app.add_typer(group, name="model")


def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The model file. Default: the one that LEADSTREAM_MODEL names, else the one that ships.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Check a model file, and show the shortest ways to MQL and SQL with how long each lasts.

    The exit code is 0 for a model that works (warnings or not), 2 for one that doesn't: then every problem is
    shown, with its line.

    Examples:

        leadstream model check my-model.yaml

        leadstream model check my-model.yaml --json
    """
    from streams.modelfile import cells_line, read_text
    from streams.qualification.model.check import check_model
    from streams.qualification.model.loading import ModelError, load_model

    text, source = read_text(file)
    try:
        model = load_model(text, source)
    except ModelError as wrong:
        if not as_json:
            raise
        _print_json({"file": source, "model": None, "ok": False, "problems": wrong.problems})
        raise typer.Exit(2) from None
    report = check_model(model)
    if as_json:
        ways = [{**asdict(way), "text": way.text} for way in report.ways]
        parts = {"problems": report.problems, "warnings": report.warnings, "ways": ways}
        _print_json({"file": source, "model": model.version, "ok": report.ok, **parts})
    else:
        _print_text(source, model.version, report, cells_line(text, source))
    if not report.ok:
        raise typer.Exit(2)


def _print_json(result: dict[str, object]) -> None:
    print(json.dumps(result, ensure_ascii=False, indent=2))


def _print_text(source: str, version: str, report: Report, cells: int) -> None:
    """`cells` is the line of the matrix's cells, which all problems are about."""
    for problem in report.problems:
        print(f"{source}:{cells}: {problem}", file=sys.stderr)
    for warning in report.warnings:
        print(f"{source}: warning: {warning}", file=sys.stderr)
    if not report.ok:
        return
    print(f"{source}: model {version} works.")
    for stage in ("MQL", "SQL"):
        ways = [way for way in report.ways if way.stage == stage]
        print(f"\nThe shortest ways to {stage}:" if ways else f"\nNo short way to {stage} was found.")
        for way in ways:
            fit = "any fit" if way.fit is None else f"fit {way.fit:g}"
            print(f"  {fit}: {way.text}")
