"""Pictures of the dashboards, plotted from the same queries: for pages, and for those who have no Grafana at hand."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from streams.monitoring.dashboards import BOARDS, Board
from streams.monitoring.dashboards.panels import Panel, Section, Unit
from streams.monitoring.dashboards.prometheus import Line, Server

_COLUMNS = 24
_WIDTH = 16.0
_TALL, _LOW, _TITLE, _GAP = 2.7, 1.35, 0.45, 0.62
_INK, _QUIET, _GRID = "#1f2430", "#6b7280", "#e5e7eb"
_COLOURS = (
    "#3b6fb6", "#e08a2e", "#4a9a5b", "#c2504d", "#8465a8", "#8a6a5c", "#d175b0", "#7f8896", "#a8a33a", "#3aa6b3",
)  # fmt: skip
_STEPS = {"red": "#c2504d", "yellow": "#c98a1b", "green": "#3f8f50"}
_MOST_LEGENDS = 9

_SETTINGS: Any = {
    "svg.fonttype": "path",  # a page may be looked at where there are no fonts
    "svg.hashsalt": "leadstream",
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _QUIET,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "axes.prop_cycle": cycler(color=_COLOURS),
}


def plot_boards(prometheus: str, seconds: float, out: Path, boards: Sequence[Board] = BOARDS) -> list[Path]:
    """Plot the last `seconds` of the dashboards as `out/NAME.svg`. Raises LeadstreamError."""
    server = Server(prometheus, time.time(), seconds)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for board in boards:
        path = out / f"{board.name}.svg"
        with mpl.rc_context(_SETTINGS):
            _figure(board, server).savefig(path, metadata={"Date": None, "Creator": None})
        paths.append(path)
    return paths


def _figure(board: Board, server: Server) -> Figure:
    rows = [(section, list(_rows(section))) for section in board.sections]
    height = 0.9 + sum(_TITLE + sum(_height(row) + _gap(row) for row in found) for _, found in rows)
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    top = height - 0.45
    figure.text(0.025, top / height, board.title, fontsize=17, fontweight="bold", va="center")
    figure.text(0.025, (top - 0.3) / height, board.description, fontsize=9.5, color=_QUIET, va="center")
    top -= 0.45
    for section, found in rows:
        top -= _TITLE
        figure.text(0.025, (top + 0.1) / height, section.title, fontsize=12, fontweight="bold", va="center")
        for row in found:
            bottom = top - _height(row)
            column = 0
            for panel in row:
                box = (
                    column / _COLUMNS * 0.985,
                    bottom / height,
                    panel.width / _COLUMNS * 0.985,
                    (top - bottom) / height,
                )
                _draw(figure, box, panel, server)
                column += panel.width
            top = bottom - _gap(row)
    return figure


def _rows(section: Section) -> Iterator[list[Panel]]:
    row: list[Panel] = []
    for panel in section.panels:
        if sum(one.width for one in row) + panel.width > _COLUMNS:
            yield row
            row = []
        row.append(panel)
    yield row


def _gap(row: Sequence[Panel]) -> float:
    """Room for the legends below."""
    return 0.1 if all(panel.kind == "number" for panel in row) else _GAP


def _height(row: Sequence[Panel]) -> float:
    return _LOW if all(panel.kind == "number" for panel in row) else _TALL


def _draw(figure: Figure, box: tuple[float, float, float, float], panel: Panel, server: Server) -> None:
    left, bottom, width, height = box
    wide = {"number": 0.4, "ranks": 2.0}.get(panel.kind, 0.75)
    inner = left + wide / _WIDTH
    axes = figure.add_axes((inner, bottom, width - (inner - left) - 0.012, height * 0.8))
    figure.text(left + 0.025, bottom + height * 0.93, panel.title, fontsize=10, fontweight="bold", va="center")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    if panel.kind == "number":
        _number(axes, panel, server)
    elif panel.kind == "ranks":
        _ranks(axes, panel, server)
    else:
        _over_time(axes, panel, server)


def _number(axes: Any, panel: Panel, server: Server) -> None:
    axes.set_axis_off()
    value = next((line.values[0] for query in panel.queries for line in server.at_the_end(query)), math.nan)
    colour = _INK
    for at, name in panel.steps:
        if value >= at:
            colour = _STEPS[name]
    text = f"{value:.0f}" if panel.unit == "short" and not math.isnan(value) else _said(value, panel.unit)
    axes.text(0, 0.95, text, fontsize=26, color=colour, va="top", transform=axes.transAxes)


def _ranks(axes: Any, panel: Panel, server: Server) -> None:
    lines = [line for query in panel.queries for line in server.at_the_end(query) if not math.isnan(line.values[0])]
    lines = lines[:_MOST_LEGENDS][::-1]
    values = [line.values[0] for line in lines]
    axes.barh(range(len(lines)), values, color=_COLOURS[0], height=0.62)
    axes.set_yticks(range(len(lines)), [line.name for line in lines], color=_INK)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0, max(values, default=1.0) * 1.25 or 1.0)
    for place, value in enumerate(values):
        text = f"{value:.0f}" if panel.unit == "short" else _said(value, panel.unit)
        axes.text(value, place, f"  {text}", va="center", color=_INK)


def _over_time(axes: Any, panel: Panel, server: Server) -> None:
    lines = [line for query in panel.queries for line in server.over_time(query)]
    lines = [line for line in lines if any(not math.isnan(value) for value in line.values)]
    telling = [line for line in lines if any(value > 0 for value in line.values)] or lines[:1]
    if panel.kind == "bars":
        _stack(axes, telling)
    else:
        for line in telling:
            axes.plot(_dates(line.times), line.values, linewidth=1.3, marker=".", markersize=2, label=line.name)
    begin = server.end - server.seconds
    axes.set_xlim(*_dates([begin, server.end]))
    axes.set_ylim(0, None if any(value > 0 for line in telling for value in line.values) else 1)
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=panel.unit == "none"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _said(value, panel.unit)))
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    handles, names = axes.get_legend_handles_labels()
    if handles:
        longest = max(map(len, names[:_MOST_LEGENDS]))
        columns = max(1, min(4, int(panel.width / _COLUMNS * _WIDTH * 14 / (longest + 7))))
        axes.legend(
            handles[:_MOST_LEGENDS], names[:_MOST_LEGENDS], loc="upper left", bbox_to_anchor=(-0.02, -0.1),
            ncols=columns, frameon=False, fontsize=7.5, handlelength=1.0, columnspacing=1.0, labelcolor=_QUIET,
        )  # fmt: skip


def _stack(axes: Any, lines: Sequence[Line]) -> None:
    times = sorted({at for line in lines for at in line.times})
    table = [dict(zip(line.times, line.values, strict=True)) for line in lines]
    rows = [[0.0 if math.isnan(one.get(at, 0.0)) else one.get(at, 0.0) for at in times] for one in table]
    axes.stackplot(_dates(times), *rows, labels=[line.name for line in lines], alpha=0.85, step="mid", linewidth=0)


def _dates(times: Sequence[float]) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC) for at in times]


def _said(value: float, unit: Unit) -> str:
    """A value with its unit, short."""
    if math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s":
        return _span(value)
    if unit == "bytes":
        return _scaled(value, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))
    suffix = "/s" if unit in ("cps", "reqps") else ""
    return _scaled(value, 1000, ("", "k", "M", "G")) + suffix


def _span(seconds: float) -> str:
    size = abs(seconds)
    for limit, divisor, name in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if size < limit:
            return f"{seconds / divisor:.3g} {name}"
    return f"{seconds / 86_400:.3g} d"


def _scaled(value: float, base: int, names: Sequence[str]) -> str:
    for name in names[:-1]:
        if abs(value) < base:
            return f"{value:.3g}{name}"
        value /= base
    return f"{value:.3g}{names[-1]}"
