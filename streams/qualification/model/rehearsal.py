"""Made-up leads played through the core itself, to see what a model makes of them.

Conditions can't be run backwards, so a rehearsed event says by itself which rules and facts it meets, and the
rehearsed model is the real one with conditions that look for their own mark. Decay, limits, caps, inactivity,
the matrix and the paths are the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streams.qualification.events import Qualified, event_of
from streams.qualification.fit import BANT_FIELDS
from streams.qualification.lead import Lead
from streams.qualification.model.conditions import Condition
from streams.qualification.model.fields import FIELDS
from streams.qualification.model.values import Fact, FitRule, Model, Rule, SqlPath
from streams.qualification.step import step

DAY_MS = 86_400_000
#: Any day far enough from the epoch for facts of limited age.
_TODAY = 20_000 * DAY_MS
_KNOWN_SINCE = _TODAY - 400 * DAY_MS
_MARKS = "rehearsed"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a lead does: an event of kind `on` that meets the rules and facts in `marks`.

    `worth` are the points it can give, by group.
    """

    name: str
    on: str
    marks: frozenset[str]
    fields: tuple[tuple[str, Any], ...] = ()
    worth: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Qualification:
    """The lead became `stage` at event number `events` (from 1); `lasts_ms` is None when it can't cool."""

    stage: str
    path: str | None
    events: int
    lasts_ms: int | None


def happening(rule: Rule, model: Model) -> Happening:
    """The least event that meets `rule`: it also meets what asks nothing of its kind, or just the same."""
    rules = model.rules[rule.on]
    met = [one for one in rules if one is rule or (one.also and _implied(one.when, rule.when))]
    if rule.also:  # whatever meets nothing else meets the rule that takes everything
        met += [one for one in rules if one.when.always and not one.also]
    facts = [fact for fact in model.facts_on.get(rule.on, ()) if _implied(fact.when, rule.when)]
    fields: dict[str, Any] = {}
    worth = [(one.group, one.points) for one in met if one.points is not None]
    if (per := rule.points_per) is not None:
        units = per.at_most or 1
        fields[per.field] = per.each * units
        worth.append((rule.group, per.points * units))
    marks = frozenset([*map(_mark, met), *map(_mark, facts)])
    return Happening(rule.name, rule.on, marks, tuple(fields.items()), tuple(worth))


def fact_happening(fact: Fact) -> Happening:
    """An event that makes `fact` true and earns nothing."""
    return Happening(fact.name, fact.on, frozenset((_mark(fact),)))


VISIT = Happening("page view", "page_view", frozenset())


class Stage:
    """A place to rehearse on: `model` for a lead whose fit is `fit`, and who can take no way but `paths`."""

    def __init__(self, model: Model, fit: float, paths: Sequence[SqlPath], bant: int = 0) -> None:
        self._model = replace(
            model,
            rules={kind: tuple(_by_mark(rule) for rule in rules) for kind, rules in model.rules.items()},
            facts={name: _fact_by_mark(fact) for name, fact in model.facts.items()},
            facts_on={kind: tuple(map(_fact_by_mark, facts)) for kind, facts in model.facts_on.items()},
            fit=(FitRule("rehearsed", Condition("always", frozenset(), lambda fields: True, None), fit),),
            negative_personas=(),
            mql=replace(model.mql, requires=(), blocked_by=None),
            sql_paths=tuple(paths),
            sql_blocked_by=None,
            noise=replace(model.noise, scanner_window_ms=0, internal=(), bots=False),
        )
        self._lead = self._known_lead(bant)

    def play(self, acts: Iterable[tuple[int, Happening]]) -> Iterator[Qualification]:
        """What a lead becomes who does these things in order, each with the number of its day."""
        lead = self._lead
        for count, (day, act) in enumerate(acts, start=1):
            at = _TODAY + day * DAY_MS
            lead, out = step(lead, event_of(act.on, _fields(act, at, count), at), at, self._model)
            for transition in out:
                if isinstance(transition, Qualified):
                    record = transition.record
                    until = record["qualified_until"]
                    lasts = None if until is None else until - at
                    yield Qualification(record["stage"], record["path"], count, lasts)

    def _known_lead(self, bant: int) -> Lead | None:
        known = dict.fromkeys(BANT_FIELDS[:bant], "CONFIRMED")
        fields = {**dict.fromkeys(FIELDS["lead_profile"]), "company": "Rehearsed", **known}
        fields |= {"event_id": "0", "lead_id": "rehearsed", "occurred_at": _KNOWN_SINCE}
        lead, _ = step(None, event_of("lead_profile", fields, _KNOWN_SINCE), _KNOWN_SINCE, self._model)
        return lead


def _fields(act: Happening, at: int, count: int) -> dict[str, Any]:
    fields: dict[str, Any] = dict.fromkeys(FIELDS[act.on])
    if act.on == "demo_booking":
        fields |= {"status": "BOOKED", "booking_id": str(count)}
    fields |= {"event_id": str(count), "lead_id": "rehearsed", "occurred_at": at, _MARKS: act.marks}
    return {**fields, **dict(act.fields)}


def _implied(wanted: Condition, given: Condition) -> bool:
    return wanted.always or wanted == given


def _mark(one: Rule | Fact) -> str:
    return f"{'rule' if isinstance(one, Rule) else 'fact'} {one.name}"


def _marked(mark: str) -> Condition:
    return Condition(mark, frozenset((_MARKS,)), lambda fields: mark in fields.get(_MARKS, ()), mark)


def _by_mark(rule: Rule) -> Rule:
    return replace(rule, when=_marked(_mark(rule)))


def _fact_by_mark(fact: Fact) -> Fact:
    return replace(fact, when=_marked(_mark(fact)), until=None)
