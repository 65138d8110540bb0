"""The shortest ways to MQL and SQL that a model offers, and how long each lasts.

Found by trying: the same thing again and again on one day or day after day, and two things on one day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations

from streams.qualification.decay import clamp
from streams.qualification.model.rehearsal import VISIT, Happening, Qualification, Stage, fact_happening, happening
from streams.qualification.model.units import format_duration
from streams.qualification.model.values import Model, Rule, SqlPath

#: How often one thing is tried on one day, and on how many days.
MOST_EVENTS = 24
MOST_DAYS = 30
#: How many things two kinds of things may take together.
MOST_TOGETHER = 6
#: How many ways of a kind are worth a line.
MOST_SINGLE = 6
MOST_COMBINED = 3
#: How many rules are tried, those that give most: every pair of them is.
MOST_TRIED = 40


@dataclass(frozen=True, slots=True)
class Way:
    """`steps` (how often, what) on `days` days make a lead of `fit` points (None: of any) an MQL or SQL (`stage`).

    `path` is an SQL's, `needs` what must hold besides. `lasts_ms` is how long an MQL stays one when nothing
    more happens, inactivity included; None for an SQL, which does not cool.
    """

    stage: str
    steps: tuple[tuple[int, str], ...]
    days: int
    fit: float | None
    path: str | None
    needs: tuple[str, ...]
    lasts_ms: int | None

    @property
    def text(self) -> str:
        """As a sentence: `2 × pricing page on one day: MQL for 30 days`."""
        events = sum(count for count, _ in self.steps)
        what = " and ".join(f"{count} × {name}" for count, name in self.steps)
        when = "" if events == 1 else " on one day" if self.days == 1 else f" on {self.days} days"
        given = f", given {' and '.join(self.needs)}" if self.needs else ""
        if self.lasts_ms is not None:
            return f"{what}{when}{given}: {self.stage} for {in_words(self.lasts_ms)}"
        at_once = " at once" if events <= 1 and not self.needs else ""
        by = f" (path {self.path})" if self.path else ""
        return f"{what}{when}{given}: {self.stage}{at_once}{by}"


def in_words(length_ms: int) -> str:
    """A length of time rounded down to what matters: `11 days`, `5 hours`."""
    for name, unit in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if length_ms >= 2 * unit or (length_ms >= unit and name != "day"):
            count = length_ms // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "less than a minute"


def ways_to_mql(model: Model) -> list[Way]:
    """The shortest ways to MQL for a lead whose fit is just high."""
    fit = max(model.matrix.high_fit, model.mql.fit)
    stage = Stage(model, fit, model.sql_paths)
    return _Search(model, "MQL", stage, fit, min(model.matrix.warm, model.mql.interest)).ways()


def ways_to_sql(model: Model) -> list[Way]:
    """The shortest ways to SQL by each path, for a lead whose fit is just high enough for it."""
    return [way for path in model.sql_paths for way in _by_path(model, path)]


def _by_path(model: Model, path: SqlPath) -> list[Way]:
    fit = None if path.fit is None else max(model.matrix.high_fit, path.fit)
    stage = Stage(model, model.matrix.high_fit if fit is None else fit, (path,), path.bant or 0)
    needs: list[str] = []
    before: list[tuple[int, Happening]] = []
    if path.visits is not None:
        if path.visits.at_least * 86_400_000 > path.visits.within_ms + 86_400_000:
            return []  # more days than there are: `check` says so
        needs.append(f"page views on {path.visits.at_least} days within {format_duration(path.visits.within_ms)}")
        before += [(day, VISIT) for day in range(1 - path.visits.at_least, 1)]
    if path.bant is not None:
        needs.append(f"{path.bant} of budget, authority, need and timeline confirmed")
    if path.fact is not None:
        fact = fact_happening(model.facts[path.fact])
        if path.interest is None:
            lasting = f" within {format_duration(path.within_ms)}" if path.within_ms is not None else ""
            return _if_reached(stage, [*before, (0, fact)], ((1, fact.name + lasting),), fit, path, needs)
        needs.append(f"{fact.name}")
        before.append((0, fact))
    if path.interest is None:
        steps = ((path.visits.at_least, VISIT.name),) if path.visits is not None else ()
        return _if_reached(stage, before or [(0, VISIT)], steps, fit, path, needs)
    return _Search(model, "SQL", stage, fit, path.interest, tuple(needs), tuple(before)).ways()


def _if_reached(
    stage: Stage,
    acts: list[tuple[int, Happening]],
    steps: tuple[tuple[int, str], ...],
    fit: float | None,
    path: SqlPath,
    needs: list[str],
) -> list[Way]:
    reached = any(found.stage == "SQL" for found in stage.play(acts))
    return [Way("SQL", steps, 1, fit, path.name, tuple(needs), None)] if reached else []


@dataclass(frozen=True, slots=True)
class _Search:
    """What is searched for: `goal` on `stage`, by things that come after `before` and earn `interest`."""

    model: Model
    goal: str
    stage: Stage
    fit: float | None
    interest: float
    needs: tuple[str, ...] = ()
    before: tuple[tuple[int, Happening], ...] = ()

    def ways(self) -> list[Way]:
        """All kinds of ways, the shortest of each first."""
        earning = _strongest(rule for rules in self.model.rules.values() for rule in rules if _earns(rule))
        single = sorted((way for rule in earning for way in self._single(rule)), key=_length)
        alone: dict[str, int] = {}
        for way in single:
            alone.setdefault(way.steps[0][1], way.steps[0][0])
        combined = []
        for first, second in combinations(earning, 2):
            fewest = min(alone.get(rule.name, MOST_TOGETHER + 1) for rule in (first, second))
            best = self._together(first, second, fewest - 1)
            if best is not None:
                combined.append(best)
        return single[:MOST_SINGLE] + sorted(combined, key=_length)[:MOST_COMBINED]

    def _single(self, rule: Rule) -> Iterator[Way]:
        """The same thing on one day, and on several: once a day, or as often as it counts."""
        act = happening(rule, self.model)
        if self._worth({act: MOST_EVENTS * MOST_DAYS}) < self.interest:
            return
        at_once = self._reach((0, act) for _ in range(min(rule.at_most or MOST_EVENTS, MOST_EVENTS)))
        if at_once is not None:
            count = at_once.events - len(self.before)
            yield self._way(at_once, ((count, rule.name),), 1)
            if count == 1:
                return
        for pace in (1,) if at_once is not None or not rule.at_most else sorted({1, min(rule.at_most, MOST_EVENTS)}):
            found = self._reach((day, act) for day in range(MOST_DAYS) for _ in range(pace))
            if found is not None:
                count = found.events - len(self.before)
                yield self._way(found, ((count, rule.name),), -(-count // pace))

    def _together(self, first: Rule, second: Rule, most: int) -> Way | None:
        """The fewest of both on one day, at most `most`; of those the one that lasts longest."""
        one, other = happening(first, self.model), happening(second, self.model)
        for total in range(2, most + 1):
            found = []
            for count in range(max(1, total - (second.at_most or total)), min(total - 1, first.at_most or total) + 1):
                if self._worth({one: count, other: total - count}) < self.interest:
                    continue
                reached = self._reach([(0, one)] * count + [(0, other)] * (total - count))
                if reached is not None and reached.events - len(self.before) == total:
                    found.append(self._way(reached, ((count, first.name), (total - count, second.name)), 1))
            if found:
                return min(found, key=_length)
        return None

    def _reach(self, acts: Iterable[tuple[int, Happening]]) -> Qualification | None:
        for found in self.stage.play(chain(self.before, acts)):
            if found.stage == self.goal:
                return found if found.events > len(self.before) else None
            if found.stage == "SQL":
                return None  # straight past MQL
        return None

    def _way(self, found: Qualification, steps: tuple[tuple[int, str], ...], days: int) -> Way:
        return Way(self.goal, steps, days, self.fit, found.path, self.needs, found.lasts_ms)

    def _worth(self, acts: Mapping[Happening, int]) -> float:
        """More interest than these things can give: spares the playing of what can't succeed."""
        by_group: dict[str, float] = {}
        for act, count in acts.items():
            for group, points in act.worth:
                by_group[group] = by_group.get(group, 0.0) + points * count
        groups = self.model.groups
        return sum(clamp(points, None, groups[name].cap) for name, points in by_group.items() if points > 0)


def _strongest(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that give most at once, in the order of the file."""
    given = list(rules)
    kept = {rule.name for rule in sorted(given, key=_at_once, reverse=True)[:MOST_TRIED]}
    return [rule for rule in given if rule.name in kept]


def _at_once(rule: Rule) -> float:
    """What one event can give by the rule, in points."""
    per = rule.points_per
    return rule.points or 0.0 if per is None else per.points * (per.at_most or 1)


def _earns(rule: Rule) -> bool:
    return _at_once(rule) > 0


def _length(way: Way) -> tuple[int, int, int]:
    """Short before long; of the equally short, those that last longest."""
    return sum(count for count, _ in way.steps), way.days, -(way.lasts_ms or 0)
