"""What a lead is worth and deserves at an instant, read from all that happened to it. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.qualification.events import Event
from streams.qualification.model.values import Model, SqlPath

DAY = 86_400_000


@dataclass
class Given:
    """Points that an event gave."""

    rule: str
    group: str
    points: float
    occurred_at: int
    booking_id: str | None = None


@dataclass
class Happened:
    """A LifecycleEvent, as far as the oracle speaks of it."""

    at: int
    cause: str
    from_stage: str
    to_stage: str


@dataclass
class Granted:
    """A Qualification; `event_id` is filled in by whoever compares, for feedback to name."""

    at: int
    stage: str
    path: str | None
    episode: int
    event_id: str = ""


@dataclass
class Life:
    """A lead from its first event until it is forgotten."""

    as_of: int
    stage_since: int
    stage: str = "visitor"
    last_event: int = 0
    events: list[Event] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    #: (rule, UTC day) of every time a rule gave points
    gave: list[tuple[str, int]] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    #: silences, by their beginnings, that have had their inactivity points
    silences: set[int] = field(default_factory=set)
    episode: list[Granted] | None = None
    episode_ended: int | None = None
    rest_ends: int | None = None
    breach: int | None = None
    give_up: int | None = None
    told_low_touch: bool = False
    #: nobody is told of a visitor who is not known
    line: tuple[str, str, str] = ("visitor", "D", "NONE")


class Standing:
    """The questions that may be asked of a life under `model`, at any instant (ms)."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.life: Life | None = None
        # Not to wait for the same sums again within one look: forgotten with every change.
        self._known: dict[str, Any] = {}
        self._worth: dict[int, float] = {}

    @property
    def _life(self) -> Life:
        assert self.life is not None
        return self.life

    # --- what the lead is worth ---------------------------------------------------------------------------

    def group_value(self, name: str, at: int) -> float:
        given = self.life.given if self.life else []
        mine = [(one.points, one.occurred_at) for one in given if one.group == name]
        return naive_value(mine, self.model.groups[name].half_life_ms, at)

    def interest(self, at: int) -> float:
        if at not in self._worth:
            self._worth = {at: self._interest(at)}
        return self._worth[at]

    def _interest(self, at: int) -> float:
        total = 0.0
        for name, group in self.model.groups.items():
            value = self.group_value(name, at)
            if group.cap is not None:
                value = min(value, group.cap)
            if group.floor is not None:
                value = max(value, group.floor)
            total += value
        return total

    def profile(self) -> dict[str, Any]:
        if "profile" not in self._known:
            self._known["profile"] = self._profile()
        return self._known["profile"]  # type: ignore[no-any-return]

    def _profile(self) -> dict[str, Any]:
        """Field by field what was said last."""
        known: dict[str, Any] = {}
        said = [one for one in self._life.events if one.kind == "lead_profile"]
        for one in sorted(
            said, key=lambda event: event.occurred_at
        ):  # stable: of two at one instant the later to arrive
            news = {name: value for name, value in one.fields.items() if value not in (None, "UNKNOWN")}
            attributes = {**known.get("attributes", {}), **news.get("attributes", {})}
            known |= news
            known["attributes"] = attributes
        return known

    def fit(self) -> float:
        if "fit" not in self._known:
            profile = self.profile()
            rules = self.model.fit if self.is_known() else ()
            self._known["fit"] = sum(rule.points for rule in rules if rule.when.matches(profile))
        return self._known["fit"]  # type: ignore[no-any-return]

    def is_known(self) -> bool:
        """Whether anything was ever said of who it is: else neither fit nor personas are asked."""
        said = set(self.profile()) - {"event_id", "lead_id", "occurred_at", "attributes"}
        return bool(said) or bool(self.profile().get("attributes"))

    def band(self) -> str:
        if "band" not in self._known:
            fit = self.fit()
            self._known["band"] = next((name for name, cut_off in self.model.fit_bands if fit >= cut_off), "D")
        return self._known["band"]  # type: ignore[no-any-return]

    def cell(self, at: int) -> str:
        matrix, interest = self.model.matrix, self.interest(at)
        row = matrix.high if self.fit() >= matrix.high_fit else matrix.low
        return row[(interest >= matrix.warm) + (interest >= matrix.hot)]

    def route(self, at: int) -> str:
        stage = self._life.stage
        if stage == "sql":
            return "SALES"
        if stage == "disqualified":
            return "NONE"
        cell = self.cell(at)
        if cell == "SALES" and stage in ("visitor", "lead", "mql"):
            return "NURTURE"
        return "NURTURE" if cell == "NONE" and stage == "mql" else cell

    def fact_since(self, name: str) -> int | None:
        """When the fact last became true, if it is; of demo bookings each stands by itself."""
        fact = self.model.facts[name]
        became: dict[tuple[Any, bool], int] = {}
        for one in self._life.events:
            if one.kind == fact.on:
                about = one.fields.get("booking_id")
                if fact.when.matches(one.fields):
                    became[about, True] = max(became.get((about, True), 0), one.occurred_at)
                elif fact.until is not None and fact.until.matches(one.fields):
                    became[about, False] = max(became.get((about, False), 0), one.occurred_at)
        true = [at for (about, is_true), at in became.items() if is_true and at > became.get((about, False), 0)]
        return max(true, default=None)

    def visits(self, at: int, within_ms: int) -> int:
        """Days with a page view of which any part lies in the window."""
        seen = {one.occurred_at // DAY for one in self._life.events if one.kind == "page_view"}
        return sum(day * DAY <= at and (day + 1) * DAY > at - within_ms for day in seen)

    # --- what it deserves --------------------------------------------------------------------------------

    def _would_change(self, at: int) -> bool:
        return (
            self._grantable(at) is not None
            or self._cools(at)
            or self._enters_low_touch(at)
            or self._leaves_low_touch(at)
            or self._line(at) != self._life.line
        )

    def _grantable(self, at: int) -> tuple[str, str | None] | None:
        """`(stage, path)` of the qualification that the lead deserves at `at`."""
        life, model, profile = self._life, self.model, self.profile()
        if life.stage not in ("visitor", "lead", "mql"):
            return None
        if not _holds(model.sql_blocked_by, profile):
            for path in model.sql_paths:
                if self._path_holds(path, at):
                    return "sql", path.name
        if life.stage == "mql" or life.rest_ends is not None or _holds(model.mql.blocked_by, profile):
            return None
        if self.fit() < model.mql.fit or self.interest(at) < model.mql.interest:
            return None
        known = all(profile.get(name) is not None for name in model.mql.requires)
        return ("mql", None) if known and self.cell(at) in ("NURTURE", "SALES") else None

    def _path_holds(self, path: SqlPath, at: int) -> bool:
        life, profile = self._life, self.profile()
        if path.fact is None and life.rest_ends is not None:
            return False
        if path.fact is not None:
            since = self.fact_since(path.fact)
            if since is None or (life.episode_ended is not None and since <= life.episode_ended):
                return False
            if path.within_ms is not None and since < at - path.within_ms:
                return False
        confirmed = [profile.get(name) for name in ("budget", "authority", "need", "timeline")].count("CONFIRMED")
        return (
            (path.fit is None or self.fit() >= path.fit)
            and (path.interest is None or self.interest(at) >= path.interest)
            and (path.bant is None or confirmed >= path.bant)
            and (path.visits is None or self.visits(at, path.visits.within_ms) >= path.visits.at_least)
        )

    def _cools(self, at: int) -> bool:
        mql = self.model.mql
        return self._life.stage == "mql" and self.interest(at) < mql.interest * (1 - mql.hysteresis)

    def _enters_low_touch(self, at: int) -> bool:
        life = self._life
        return not life.told_low_touch and life.stage in ("lead", "mql") and self.route(at) == "LOW_TOUCH"

    def _leaves_low_touch(self, at: int) -> bool:
        ends_below = self.model.matrix.hot * (1 - self.model.mql.hysteresis)
        cooled = self.interest(at) < ends_below and self.route(at) != "LOW_TOUCH"
        return self._life.told_low_touch and cooled

    def _line(self, at: int) -> tuple[str, str, str]:
        return self._life.stage, self.band(), self.route(at)


def _holds(condition: Any, fields: Mapping[str, Any]) -> bool:
    return condition is not None and condition.matches(fields)


def naive_value(contributions: Sequence[tuple[float, int]], half_life_ms: int, at: int) -> float:
    """The sum of `(points, occurred_at)` at `at`."""
    total = 0.0
    for points, occurred_at in contributions:
        total += points * 2.0 ** -((at - occurred_at) / half_life_ms)
    return total
