"""The model: what earns points, what fits, when a lead qualifies. Frozen values, loaded by `loading`.

Durations are int milliseconds; points, thresholds and fits are floats in points. Conditions are compiled by
`conditions`: a predicate over an event's (or a profile's) fields.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

from streams.qualification.model.conditions import Condition
from streams.qualification.model.matching import Matcher

Route = Literal["SALES", "NURTURE", "LOW_TOUCH", "NONE"]


@dataclass(frozen=True, slots=True)
class Group:
    """A decaying sum of contributions; floor and cap (points) apply when it is read.

    `was` is the name that the group had in an earlier model.
    """

    name: str
    half_life_ms: int
    floor: float | None = None
    cap: float | None = None
    was: str | None = None


@dataclass(frozen=True, slots=True)
class PointsPer:
    """`points` for each whole `each` of a numeric event field, for at most `at_most` of them."""

    field: str
    each: float
    points: float
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What an event of kind `on` gives to `group`. `at_most` counts per UTC day of `occurred_at`."""

    name: str
    on: str
    when: Condition
    group: str
    points: float | None = None
    points_per: PointsPer | None = None
    at_most: int | None = None
    also: bool = False


@dataclass(frozen=True, slots=True)
class Inactivity:
    """`points` to `group` once per silence of `after_ms`."""

    after_ms: int
    group: str
    points: float


@dataclass(frozen=True, slots=True)
class Fact:
    """Something remembered with the time it last became true; `until` makes it false again."""

    name: str
    on: str
    when: Condition
    until: Condition | None = None


@dataclass(frozen=True, slots=True)
class FitRule:
    """Points for a profile that meets `when`; `fields` in `when.fields` are what `explain` may ask for."""

    name: str
    when: Condition
    points: float


@dataclass(frozen=True, slots=True)
class Persona:
    """A profile that disqualifies outright."""

    name: str
    when: Condition


@dataclass(frozen=True, slots=True)
class Matrix:
    """Fit x interest: `cells[row][column]`, rows high and low fit, columns cold, warm and hot interest."""

    high_fit: float
    warm: float
    hot: float
    high: tuple[Route, Route, Route]
    low: tuple[Route, Route, Route]

    def cell(self, fit: float, interest: float) -> Route:
        row = self.high if fit >= self.high_fit else self.low
        return row[2] if interest >= self.hot else row[1] if interest >= self.warm else row[0]


@dataclass(frozen=True, slots=True)
class MqlRule:
    """Entry into the MQL stage, and by how much interest must fall again before it cools."""

    interest: float
    fit: float
    hysteresis: float
    requires: tuple[str, ...] = ()
    blocked_by: Condition | None = None

    @property
    def cools_below(self) -> float:
        return self.interest * (1.0 - self.hysteresis)


@dataclass(frozen=True, slots=True)
class Visits:
    """At least `at_least` visits (UTC days with a page view) within `within_ms`."""

    at_least: int
    within_ms: int


@dataclass(frozen=True, slots=True)
class SqlPath:
    """One way to become an SQL: every condition that is set must hold. `within_ms` is the age limit of `fact`."""

    name: str
    fact: str | None = None
    within_ms: int | None = None
    visits: Visits | None = None
    interest: float | None = None
    fit: float | None = None
    bant: int | None = None


@dataclass(frozen=True, slots=True)
class Sla:
    """How long sales may take to answer an SQL, and when the lead is taken back."""

    respond_within_ms: int
    give_up_ms: int


@dataclass(frozen=True, slots=True)
class Rest:
    """How long a rejected or lost lead rests, by reason; None means never again (disqualified)."""

    default_ms: int | None
    reasons: Mapping[str, int | None]

    def lasts(self, reason: str | None) -> int | None:
        return self.reasons.get(reason, self.default_ms) if reason else self.default_ms

    def named(self, reason: str | None) -> str:
        """The reason if the model names it, else `other`: what people write is not bounded."""
        return reason if reason is not None and reason in self.reasons else "other"


@dataclass(frozen=True, slots=True)
class Noise:
    """What is never scored: opens within `scanner_window_ms` of sending, internal networks, bots by user agent."""

    scanner_window_ms: int
    internal: tuple[IPv4Network | IPv6Network, ...]
    bots: bool


def numbered(identity: str, number: int) -> str:
    """The identity of a model that came back `number` times while others were in force."""
    return f"{identity} {number}" if number else identity


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model file. `version` is carried in every output event."""

    version: str
    groups: Mapping[str, Group]
    rules: Mapping[str, tuple[Rule, ...]]  # by event kind, in file order
    inactivity: Inactivity | None
    facts: Mapping[str, Fact]  # by name
    facts_on: Mapping[str, tuple[Fact, ...]]  # by event kind
    fit: tuple[FitRule, ...]
    fit_bands: tuple[tuple[str, float], ...]  # highest cut-off first
    negative_personas: tuple[Persona, ...]
    matrix: Matrix
    mql: MqlRule
    sql_paths: tuple[SqlPath, ...]
    sql_blocked_by: Condition | None
    sla: Sla | None
    rest: Rest
    visitor_ttl_ms: int
    grace_ms: int
    noise: Noise
    #: of the file's text: two files may claim the same version
    digest: str = field(default="", compare=False)
    identity: str = field(init=False, compare=False, repr=False)
    #: name -> the one before it, of groups and of their former names: what the file says, and what is known besides
    names: Mapping[str, str] = field(init=False, compare=False, repr=False)
    _matchers: dict[str, Matcher] = field(init=False, default_factory=dict, compare=False, repr=False)
    #: what `due.watched` found, by (stage, low touch, fit); there are as many fits as sums of the fit rules
    watched: dict[tuple[str, bool, float], tuple[float, ...]] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", f"{self.version} {self.digest}")
        said = {name: group.was for name, group in self.groups.items() if group.was is not None}
        object.__setattr__(self, "names", said)

    def knowing(self, names: Mapping[str, str]) -> Model:
        """The same model, which knows these former names of groups."""
        if names == self.names:
            return self
        twin = copy.copy(self)
        object.__setattr__(twin, "names", names)
        return twin

    def again(self, number: int) -> Model:
        """The same model, that came back `number` times: leads tell by its identity which time judged them."""
        if not number:
            return self
        twin = copy.copy(self)
        object.__setattr__(twin, "identity", numbered(self.identity, number))
        return twin

    def matching(self, kind: str, fields: Mapping[str, Any]) -> tuple[Rule, ...]:
        """The rules that give for an event of `kind`: the first that matches, and every matching one marked `also`."""
        matcher = self._matchers.get(kind)
        if matcher is None:
            matcher = self._matchers[kind] = Matcher(self.rules.get(kind, ()))
        return matcher.matching(fields)

    def band(self, fit: float) -> str:
        for name, cut_off in self.fit_bands:
            if fit >= cut_off:
                return name
        return LOWEST_BAND

    @property
    def low_touch_ends_below(self) -> float:
        return self.matrix.hot * (1.0 - self.mql.hysteresis)


#: The band of a fit below every cut-off.
LOWEST_BAND = "D"
