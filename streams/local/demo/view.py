"""The demo as a live picture of the terminal, from 80x24 up."""

from __future__ import annotations

from textwrap import wrap
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streams.local.demo.board import Board, Remark, Row
from streams.local.demo.scene import Scene
from streams.local.demo.words import day_of, moment_of, short_moment_of
from streams.local.demo.you import ACTIONS
from streams.topics import INPUT_TOPICS, OUTPUT_TOPICS

#: Interest at which a bar is full, in points.
_FULL = 120.0
_TOPICS_WIDTH = 33
#: A line for the moment and the name, two for the reason.
_ROWS_A_QUALIFICATION = 3
_ROWS_A_REMARK = 2
_WIDE = 120
_STAGE_STYLES = {
    "visitor": "dim",
    "lead": "default",
    "mql": "bold yellow",
    "sql": "bold red",
    "opportunity": "bold magenta",
    "customer": "bold green",
    "disqualified": "dim",
}
_SHORT_STAGES = {"opportunity": "opp.", "customer": "cust.", "disqualified": "out", "visitor": "visit"}
#: Quiet in the demo, so not worth a row.
_QUIET = ("erasures", "identity-links")
_OUTPUTS = frozenset(topic.name for topic in OUTPUT_TOPICS)
_TOPICS = [topic.name for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS) if topic.name not in _QUIET]


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
    footer = _footer(scene, width)
    free = height - 1 - len(footer)
    middle = max(len(_TOPICS) + 1, free * 6 // 10)
    rows = free - middle - 1
    layout = Layout()
    layout.split_column(
        Layout(_header(scene), size=1),
        Layout(name="middle", size=middle),
        Layout(name="happened"),
        Layout(Group(*footer), size=len(footer)),
    )
    layout["middle"].split_row(
        Layout(_topics(scene.board), size=_TOPICS_WIDTH),
        Layout(" ", size=1),
        Layout(_leads(scene, width - _TOPICS_WIDTH - 1, middle - 1)),
    )
    if width >= _WIDE:
        layout["happened"].split_row(
            Layout(_qualifications(scene, rows), ratio=3),
            Layout(" ", size=1),
            Layout(_remarks(scene.board, rows), ratio=2),
        )
    else:
        layout["happened"].update(_qualifications(scene, rows))
    return layout


def _titled(title: str, content: RenderableType) -> RenderableType:
    """A line with a title rather than a box, which would cost two rows and two columns."""
    return Group(Rule(title, align="left", style="dim"), content)


def _header(scene: Scene) -> RenderableType:
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


def _topics(board: Board) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, width=5)
    for name in _TOPICS:
        rate = board.rate(name)
        style = "" if board.counts[name] else "dim"
        if name == "dead-letters" and board.counts[name]:
            style = "red"
        elif name in _OUTPUTS and rate:
            style = "bold"
        table.add_row(
            Text(("← " if name in _OUTPUTS else "→ ") + name, style=style),
            f"{board.counts[name]:,}",
            Text(f"{rate:,.0f}/s" if rate >= 0.5 else "", style="green"),
        )
    return _titled("topics", table)


def _leads(scene: Scene, width: int, count: int) -> RenderableType:
    rows = scene.board.warmest(count, scene.at)
    if scene.you in scene.board.leads and scene.you not in {row.lead_id for row in rows}:
        rows = [*rows[: count - 1], scene.board.row(scene.you, scene.at)]
    roomy = width >= 60
    stage_width = 12 if roomy else 5
    # One for the band, five for the number, four for the gaps.
    free = width - stage_width - 1 - 5 - 4
    name_width = min(34, free * 2 // 3)
    table = Table.grid(padding=(0, 1, 0, 0))
    for column in (name_width, stage_width, 1, free - name_width, 5):
        table.add_column(width=column, no_wrap=True, overflow="ellipsis")
    for row in rows:
        style = _warmth(row, scene.board)
        arrow = " " if row.interest < 0.5 else "▲" if row.warming else "▼"
        table.add_row(
            Text(row.name if roomy else _short(row.name), style="bold cyan" if row.lead_id == scene.you else ""),
            _stage(row, stage_width),
            Text(row.band, style="dim"),
            _bar(row, free - name_width, style),
            Text(f"{arrow}{row.interest:4.0f}", style=style),
        )
    return _titled("warmest leads: stage, fit, interest", table)


def _short(name: str) -> str:
    """The role and what tells the company apart: all companies of the demo are called Example Something."""
    return name.replace(" at Example ", ", ")


def _stage(row: Row, width: int) -> Text:
    if row.resting:
        return Text("resting" if width > 7 else "rests", style="dim")
    return Text(row.stage if len(row.stage) <= width else _SHORT_STAGES[row.stage], style=_STAGE_STYLES[row.stage])


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


def _qualifications(scene: Scene, rows: int) -> RenderableType:
    """The latest MQL and SQL events, newest first; yours before all others."""
    latest = list(scene.board.qualifications)[::-1]
    yours = [remark for remark in latest if remark.lead_id == scene.you]
    others = [remark for remark in latest if remark.lead_id != scene.you]
    shown = (yours + others)[: max(1, rows // _ROWS_A_QUALIFICATION)]
    lines: list[RenderableType] = []
    for remark in shown:
        name = Text(remark.name, style="bold cyan" if remark.lead_id == scene.you else "bold")
        stage = Text(f"{remark.what} ", style=_STAGE_STYLES[remark.what.lower()])
        until = f", would cool on {day_of(remark.until)}" if remark.until else ""
        lines.append(Text.assemble(f"{short_moment_of(remark.at)} ", stage, name, (until, "dim"), no_wrap=True))
        lines.append(Text(remark.reason))
    counts = scene.board.counts
    title = f"latest of {counts['mql-events']} MQL and {counts['sql-events']} SQL events, and why"
    return _titled(title, Group(*lines))


def _remarks(board: Board, rows: int) -> RenderableType:
    """Whatever else happened to leads, newest first."""
    lines: list[RenderableType] = []
    for remark in list(board.remarks)[::-1][: max(1, rows // _ROWS_A_REMARK)]:
        lines.append(Text(f"{short_moment_of(remark.at)} {remark.name}", no_wrap=True, overflow="ellipsis"))
        what = f"  {remark.what}: {remark.reason}" if remark.reason else f"  {remark.what}"
        lines.append(Text(what, style="dim", no_wrap=True, overflow="ellipsis"))
    return _titled("what else happened", Group(*lines))


def _footer(scene: Scene, width: int) -> list[Text]:
    """Where you stand, what to know about it, and the keys: a row each, two where the notes need it."""
    if scene.advice is None:
        first = Text("Thirty days of invented journeys, through a real Kafka and a real worker.", style="dim")
        notes = [Text("When they are over, it is your turn." if scene.keys else "", style="dim")]
        keys = _key("q", "quit")
    else:
        first = Text(scene.advice.line, style="bold cyan")
        joined = "; ".join(scene.advice.notes)
        notes = [Text(line) for line in wrap(joined, width)[:2]] or [Text()]
        keys = [part for key, (words, _) in ACTIONS.items() for part in _key(key, words)] + _key("q", "quit")
    last = Text.assemble(*keys) if scene.keys else Text("Ctrl-C ends it.", style="dim")
    visit = [Text(f"Your website: {scene.website}", style="bold")] if scene.website else []
    rows = [first, *notes, *visit, last]
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return rows


def _key(key: str, words: str) -> list[tuple[str, str]]:
    return [(f" {key} ", "reverse"), (f" {words}   ", "")]
