"""`leadstream dashboards`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.errors import LeadstreamError


def register(app: typer.Typer) -> None:
    app.command()(dashboards)


def dashboards(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the JSON files go.")] = Path(
        "deploy/grafana/dashboards"
    ),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is not what would be written.")
    ] = False,
    plot: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Plot what this Prometheus has as SVG instead.", show_default=False),
    ] = None,
    last: Annotated[float, typer.Option(min=1, metavar="MINUTES", help="How much is plotted.")] = 60.0,
) -> None:
    """Write the Grafana dashboards Pipeline and Funnel, which are made of code, or plot them.

    Examples:

        leadstream dashboards

        leadstream dashboards --check

        leadstream dashboards --plot http://127.0.0.1:9090 --last 30 --out pictures
    """
    if plot is not None:
        _plot(plot, last, out)
        return
    try:
        from streams.monitoring.dashboards import BOARDS
        from streams.monitoring.dashboards.grafana import to_json
    except ImportError as error:
        raise LeadstreamError(f"{error}: install the extra, pip install 'leadstream[dashboards]'") from None
    outdated = []
    for board in BOARDS:
        path, wanted = out / f"{board.name}.json", to_json(board)
        if path.exists() and path.read_text() == wanted:
            continue
        outdated.append(str(path))
        if not check:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted)
            print(f"wrote {path}")
    if check and outdated:
        raise LeadstreamError(f"not up to date: {', '.join(outdated)}. Run `leadstream dashboards` to write them.")


def _plot(prometheus: str, minutes: float, out: Path) -> None:
    try:
        from streams.monitoring.dashboards.pictures import plot_boards
    except ImportError as error:
        raise LeadstreamError(f"{error}: install the extra, pip install 'leadstream[plots]'") from None
    for path in plot_boards(prometheus, minutes * 60, out):
        print(f"wrote {path}")
