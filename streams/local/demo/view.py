"""The demo as a live picture of the terminal, from 80x24 up."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streams.local.demo.board import Board, Remark, Row
from streams.local.demo.scene import Scene
from streams.local.demo.words import day_of, moment_of
from streams.local.demo.you import ACTIONS
from streams.topics import INPUT_TOPICS, OUTPUT_TOPICS

_FRAME: dict[str, Any] = {"title_align": "left", "border_style": "dim", "padding": 0}
#: Interest at which a bar is full, in points.
_FULL = 120.0
_TOPICS_WIDTH = 33
_STAGE_STYLES = {
    "visitor": "dim",
    "lead": "default",
    "mql": "bold yellow",
    "sql": "bold red",
    "opportunity": "bold magenta",
    "customer": "bold green",
    "disqualified": "dim",
}
#: Quiet in the demo, and so left out where there is little room.
_QUIET = ("erasures", "identity-links")


class LiveView:
    """Takes over the terminal while entered, and gives it back as it was."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stderr=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def remark(self, remark: Remark) -> None:
        """The board has it; the next frame shows it."""

    def show(self, scene: Scene) -> None:
        self._live.update(picture(scene, *self._console.size), refresh=True)


def picture(scene: Scene, width: int, height: int) -> RenderableType:
    """One frame of `width` by `height` characters."""
    topics = [topic.name for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS) if topic.name not in _QUIET]
    middle = max(len(topics) + 2, (height - 4) * 6 // 10)
    layout = Layout()
    layout.split_column(
        Layout(_header(scene, width), size=1),
        Layout(name="middle", size=middle),
        Layout(name="happened"),
        Layout(_footer(scene, width), size=3),
    )
    layout["middle"].split_row(
        Layout(_topics(scene.board, topics), size=_TOPICS_WIDTH),
        Layout(_leads(scene, width - _TOPICS_WIDTH, middle - 2)),
    )
    rows = height - middle - 6
    if width >= 120:
        layout["happened"].split_row(
            Layout(_qualifications(scene.board, rows, scene.you), ratio=3),
            Layout(_remarks(scene.board, rows), ratio=2),
        )
    else:
        layout["happened"].update(_qualifications(scene.board, rows, scene.you))
    return layout


def _header(scene: Scene, width: int) -> RenderableType:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    day = Text("live", style="bold green") if scene.live else Text(f"day {scene.day:2} of 30")
    when = Text.assemble(("leadstream ", "bold cyan"), (moment_of(scene.at), "bold"), "  ", day)
    rate = sum(scene.board.rate(topic.name) for topic in INPUT_TOPICS)
    events = Text(f"{scene.board.events:,} events {rate:5,.0f}/s")
    line.add_row(when, ProgressBar(total=1.0, completed=scene.progress, width=None), events)
    return line


def _topics(board: Board, names: list[str]) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, width=5)
    outputs = {topic.name for topic in OUTPUT_TOPICS}
    for name in names:
        rate = board.rate(name)
        style = "" if board.counts[name] else "dim"
        if name == "dead-letters" and board.counts[name]:
            style = "red"
        elif name in outputs and rate:
            style = "bold"
        moving = Text(f"{rate:,.0f}/s" if rate >= 0.5 else "", style="green")
        table.add_row(
            Text(("← " if name in outputs else "→ ") + name, style=style), f"{board.counts[name]:,}", moving
        )
    return Panel(table, title="topics", **_FRAME)


def _leads(scene: Scene, width: int, count: int) -> RenderableType:
    rows = scene.board.warmest(count, scene.at)
    if (
        scene.you is not None
        and scene.you in scene.board.leads
        and all(one.lead_id != scene.you for one in rows)
    ):
        rows = [*rows[: count - 1], scene.board.row(scene.you, scene.at)]
    stage_width = 12 if width >= 60 else 5
    # Two for the border, one each for the band and the gaps, five for the number.
    free = width - 2 - stage_width - 1 - 5 - 4
    name_width = min(30, free * 2 // 3)
    table = Table.grid(padding=(0, 1, 0, 0))
    for column in (name_width, stage_width, 1, free - name_width, 5):
        table.add_column(width=column, no_wrap=True, overflow="ellipsis")
    for row in rows:
        style = _warmth(row, scene.board)
        table.add_row(
            Text(row.name, style="bold cyan" if row.lead_id == scene.you else ""),
            _stage(row, stage_width),
            Text(row.band, style="dim"),
            _bar(row, free - name_width, style),
            Text(f"{'▲' if row.warming else '▼'}{row.interest:4.0f}", style=style),
        )
    return Panel(table, title="warmest leads: stage, fit, interest", **_FRAME)


def _stage(row: Row, width: int) -> Text:
    if row.resting:
        return Text("resting" if width > 7 else "rests", style="dim")
    short = {"opportunity": "opp.", "customer": "cust.", "disqualified": "out", "visitor": "visit"}
    return Text(row.stage if len(row.stage) <= width else short[row.stage], style=_STAGE_STYLES[row.stage])


def _warmth(row: Row, board: Board) -> str:
    matrix = board.model.matrix
    colour = "red" if row.interest >= matrix.hot else "yellow" if row.interest >= matrix.warm else "blue"
    return f"bold {colour}" if row.warming else colour


def _bar(row: Row, width: int, style: str) -> Text:
    """Interest now in full, to an eighth of a character; what has cooled away since its peak as a shade."""
    eighths = max(0, round(min(row.interest, _FULL) / _FULL * width * 8))
    bar = "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")
    peak = round(min(row.peak, _FULL) / _FULL * width)
    return Text.assemble((bar, style), ("░" * max(0, peak - len(bar)), "dim"))


def _qualifications(board: Board, rows: int, you: str | None) -> RenderableType:
    """The latest MQL and SQL events, newest first, two rows each."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for remark in list(board.qualifications)[: -max(1, rows // 2) - 1 : -1]:
        until = f" (cools {day_of(remark.until)})" if remark.until else ""
        name = Text(remark.name, style="bold cyan" if remark.lead_id == you else "bold")
        table.add_row(
            moment_of(remark.at), Text(remark.what, style=_STAGE_STYLES[remark.what.lower()]), name + until
        )
        table.add_row("", "", Text(remark.reason))
    counts = board.counts
    title = f"latest of {counts['mql-events']} MQL and {counts['sql-events']} SQL events, and why"
    return Panel(table, title=title, **_FRAME)


def _remarks(board: Board, rows: int) -> RenderableType:
    """Whatever else happened to leads, newest first."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for remark in list(board.remarks)[: -max(1, rows // 2) - 1 : -1]:
        table.add_row(moment_of(remark.at), Text(remark.name))
        table.add_row(
            "", Text(f"{remark.what}: {remark.reason}" if remark.reason else remark.what, style="dim")
        )
    return Panel(table, title="what else happened", **_FRAME)


def _footer(scene: Scene, width: int) -> RenderableType:
    if scene.advice is None:
        first = Text(
            "Thirty days of invented journeys, replayed through a real Kafka and a real worker.", style="dim"
        )
        second = Text("When they are over, it is your turn." if scene.keys else "", style="dim")
        third = Text.assemble(*_key("q", "quit"))
    else:
        first = Text(scene.advice.line, style="bold cyan")
        second = Text("; ".join(scene.advice.notes), style="dim")
        keys = [part for key, (words, _) in ACTIONS.items() for part in _key(key, words)]
        third = (
            Text.assemble(*keys, *_key("q", "quit")) if scene.keys else Text("Ctrl-C ends it", style="dim")
        )
    for line in (first, second, third):
        line.truncate(width, overflow="ellipsis")
    return Group(first, second, third)


def _key(key: str, words: str) -> list[tuple[str, str]]:
    return [(f" {key} ", "reverse"), (f" {words}   ", "")]
