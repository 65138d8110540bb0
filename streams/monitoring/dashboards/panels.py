"""What a dashboard is made of, whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: `lines` over time, `bars` stacked over time, a `number`, or `ranks`: a bar for each series, as of now.
Kind = Literal["lines", "bars", "number", "ranks"]
#: Grafana's names for units.
Unit = Literal["short", "s", "bytes", "percentunit", "reqps", "cps", "none"]
#: What Grafana puts in for windows: four scrapes or a pixel, whichever is longer; and all that is shown.
RATE, RANGE = "$__rate_interval", "$__range"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how a series of its answer is called (Grafana's `{{label}}`)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`width` is of 24 columns. `good`: for a number, from where on (or below `bad`) it is coloured well."""

    title: str
    description: str
    unit: Unit
    kind: Kind
    queries: tuple[Query, ...]
    width: int = 8
    #: of a number: (value, colour) from the lowest up; the first colour holds below
    steps: tuple[tuple[float, str], ...] = ()
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """`name` is of its file, `since` what it shows at first (`now-...`)."""

    name: str
    title: str
    description: str
    since: str
    sections: tuple[Section, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for section in self.sections for panel in section.panels)
