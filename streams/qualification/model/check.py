"""What is wrong with a model that loads: cells that contradict the thresholds, and what can never happen.

The matrix cuts fit and interest into regions. A lead's fit is bounded by what the fit rules can give; a row
that no fit reaches is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from streams.qualification.interest import CANCELLED, DAY_MS
from streams.qualification.model.fields import FIELDS
from streams.qualification.model.units import UNITS, format_duration
from streams.qualification.model.value_tests import figure
from streams.qualification.model.values import Model, Route, SqlPath
from streams.qualification.model.ways import Way, ways_to_mql, ways_to_sql


@dataclass(frozen=True, slots=True)
class Report:
    """`problems` make a model unusable, `warnings` deserve a look; `ways` are the shortest to MQL and SQL."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    ways: tuple[Way, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def check_model(model: Model) -> Report:
    """All that can be said of a model without leads."""
    problems = tuple(disagreements(model))
    ways = () if problems else (*ways_to_mql(model), *ways_to_sql(model))
    return Report(problems, tuple(_warnings(model)), ways)


@dataclass(frozen=True, slots=True)
class _Region:
    """A cell's leads: fit in [fit, fit_end) and interest in [interest, interest_end)."""

    name: str
    route: Route
    fit: float
    fit_end: float
    interest: float
    interest_end: float

    def within(self, fit: float, interest: float) -> bool:
        """Whether all its leads have at least these."""
        return self.fit >= fit and self.interest >= interest

    def overlaps(self, fit: float, interest: float) -> bool:
        """Whether some of its leads can have at least these."""
        return self.fit_end > fit and self.interest_end > interest


def disagreements(model: Model) -> Iterator[str]:
    """Cells of the matrix that say something else than the `mql` and `sql` thresholds.

    A NURTURE cell must lie within the MQL thresholds, and so must a SALES cell: what is blocked there is an MQL.
    A SALES cell must also lie within a path that asks for nothing but fit and interest. No other cell may hold
    what is an MQL by the thresholds, and none but SALES what such a path takes.
    """
    mql = model.mql
    paths = [path for path in model.sql_paths if _plain(path)]
    for region in _regions(model):
        if region.route in ("NURTURE", "SALES") and not region.within(mql.fit, mql.interest):
            yield (
                f"{region.name} is {region.route}, but some of its leads are below the mql thresholds "
                f"(interest {figure(mql.interest)}, fit {figure(mql.fit)}); change the cell or the thresholds"
            )
        if region.route == "SALES" and not any(region.within(*_corner(path)) for path in paths):
            yield (
                f"{region.name} is SALES, but no path of sql takes all its leads by interest and fit alone; "
                "change the cell, or add or widen a path"
            )
        if region.route in ("NONE", "LOW_TOUCH") and region.overlaps(mql.fit, mql.interest):
            yield (
                f"{region.name} is {region.route}, but some of its leads reach the mql thresholds "
                f"(interest {figure(mql.interest)}, fit {figure(mql.fit)}); change the cell or the thresholds"
            )
        for path in paths:
            if region.route != "SALES" and region.overlaps(*_corner(path)):
                yield (
                    f"{region.name} is {region.route}, but the sql path {path.name} takes some of its leads; "
                    "change the cell or the path"
                )


def _plain(path: SqlPath) -> bool:
    return path.fact is None and path.visits is None and path.bant is None


def _corner(path: SqlPath) -> tuple[float, float]:
    """The least fit and interest that a plain path takes."""
    return -inf if path.fit is None else path.fit, -inf if path.interest is None else path.interest


def _regions(model: Model) -> Iterator[_Region]:
    """The cells that a lead can be in."""
    matrix = model.matrix
    least, most = _fit_range(model)
    columns = (("cold", -inf, matrix.warm), ("warm", matrix.warm, matrix.hot), ("hot", matrix.hot, inf))
    if most >= matrix.high_fit:
        for column, (name, low, high) in enumerate(columns):
            fit = max(least, matrix.high_fit)
            yield _Region(f"matrix.cells.high[{column}] ({name})", matrix.high[column], fit, inf, low, high)
    if least < matrix.high_fit:
        for column, (name, low, high) in enumerate(columns):
            row = f"matrix.cells.low[{column}] ({name})"
            yield _Region(row, matrix.low[column], least, matrix.high_fit, low, high)


def _fit_range(model: Model) -> tuple[float, float]:
    """Bounds of any profile's fit."""
    points = [rule.points for rule in model.fit]
    return sum(one for one in points if one < 0), sum(one for one in points if one > 0)


def _warnings(model: Model) -> Iterator[str]:
    yield from _unused(model)
    yield from _unreachable_fit(model)
    yield from _unreachable_interest(model)
    yield from _cut_off_points(model)
    yield from _short_times(model)
    yield from _rewarded_cancellations(model)
    for path in model.sql_paths:
        visits = path.visits
        if visits is not None and (visits.at_least - 1) * DAY_MS > visits.within_ms:
            yield f"sql path {path.name}: {visits.at_least} visits, one a day, don't fit into the time given"
    if model.sla is not None and model.rest.default_ms is None:
        yield "rest.default is never: an SQL that nobody answers in time is disqualified for good"
    if model.mql.hysteresis == 0:
        yield "mql.hysteresis is 0: leads near the threshold will become MQLs again and again"


def _unused(model: Model) -> Iterator[str]:
    used = {rule.group for rules in model.rules.values() for rule in rules}
    if model.inactivity is not None:
        used.add(model.inactivity.group)
    for name in model.groups:
        if name not in used:
            yield f"group {name}: no rule gives it points"
    needed = {path.fact for path in model.sql_paths}
    for name in model.facts:
        if name not in needed:
            yield f"fact {name}: no sql path asks for it"


def _unreachable_fit(model: Model) -> Iterator[str]:
    _, most = _fit_range(model)
    given = f"fit rules give at most {figure(most)}"
    if most < model.matrix.high_fit:
        yield f"no profile can have high fit ({figure(model.matrix.high_fit)}): {given}"
    for name, cut_off in model.fit_bands:
        if model.fit and most < cut_off:
            yield f"no profile can be in band {name} ({figure(cut_off)}): {given}"
    for path in model.sql_paths:
        if path.fit is not None and most < path.fit:
            yield f"sql path {path.name}: fit {figure(path.fit)} is out of reach, {given}"


def _unreachable_interest(model: Model) -> Iterator[str]:
    most = _most_interest(model)
    allowed = f"the groups' caps add up to {figure(most)}"
    for name, threshold in (("warm", model.matrix.warm), ("hot", model.matrix.hot)):
        if most < threshold:
            yield f"no lead can be {name} ({figure(threshold)}): {allowed}"
    for path in model.sql_paths:
        if path.interest is not None and most < path.interest:
            yield f"sql path {path.name}: interest {figure(path.interest)} is out of reach, {allowed}"


def _cut_off_points(model: Model) -> Iterator[str]:
    """Rules that give more at once than their group lets through."""
    for rule in (rule for rules in model.rules.values() for rule in rules):
        group, points = model.groups[rule.group], rule.points or 0.0
        if group.cap is not None and points > group.cap:
            what, bound = "cap", group.cap
        elif group.floor is not None and points < group.floor:
            what, bound = "floor", group.floor
        else:
            continue
        left = f"the {what} of {group.name} leaves {figure(bound)}"
        yield f"rule {rule.name}: of its {figure(points)} points {left}"


def _short_times(model: Model) -> Iterator[str]:
    """Times that make events without end of a single lead."""
    sla, rest = model.sla, model.rest
    times = {f"groups.{group.name}.half_life": group.half_life_ms for group in model.groups.values()}
    times |= {"visitor_ttl": model.visitor_ttl_ms}
    if model.inactivity is not None:
        times |= {"inactivity.after": model.inactivity.after_ms}
    if sla is not None:
        times |= {"sla.respond_within": sla.respond_within_ms, "sla.give_up": sla.give_up_ms}
    rests = {"rest.default": rest.default_ms} | {f"rest.reasons.{name}": ms for name, ms in rest.reasons.items()}
    times |= {name: ms for name, ms in rests.items() if ms is not None}
    for name, ms in times.items():
        if ms < UNITS["m"]:
            yield f"{name} is {format_duration(ms)}: for trials only, as leads change and are told of all the time"
    if sla is not None and rest.default_ms is not None and sla.give_up_ms + rest.default_ms < UNITS["h"]:
        back = format_duration(sla.give_up_ms + rest.default_ms)
        yield f"an SQL that nobody answers is given up and back with sales after {back}, again and again"


def _rewarded_cancellations(model: Model) -> Iterator[str]:
    """Rules that give points when a demo is called off: what the booking gave is taken back, and given again."""
    for rule in model.rules.get("demo_booking", ()):
        given = rule.points_per.points if rule.points_per is not None else rule.points or 0.0
        booked = dict.fromkeys(FIELDS["demo_booking"])
        called_off = [{**booked, "status": status} for status in CANCELLED]
        if given > 0 and any(rule.when.matches(one) or rule.when.undecided(one) for one in called_off):
            yield f"rule {rule.name}: gives points for demos that are called off, too: say when, by their status"


def _most_interest(model: Model) -> float:
    """What the caps allow all groups with positive points together."""
    earning = {
        rule.group
        for rules in model.rules.values()
        for rule in rules
        if (rule.points_per.points if rule.points_per is not None else rule.points or 0.0) > 0
    }
    caps = [model.groups[name].cap for name in earning]
    return sum(inf if cap is None else cap for cap in caps)
