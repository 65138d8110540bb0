"""Facts of a profile that are not known, and what they would decide: what is worth asking for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from streams.qualification.fit import BANT_FIELDS, confirmed_bant
from streams.qualification.model.conditions import Condition
from streams.qualification.model.values import Model

#: What unknown facts may decide: fit points; a negative persona; whether an MQL's contact facts are known; what keeps a
#: lead from being an MQL, or an SQL; a path that asks for budget, authority, need and timeline.
Decides = Literal["fit", "persona", "mql_requires", "mql_blocked", "sql_blocked", "sql_path"]


class Unknown(msgspec.Struct, frozen=True):
    """It depends on the unknown `facts`, all of one rule, whether the rule holds; what is known does not settle it.

    `name` is the rule's, persona's or path's, empty for what has none; `asks` says what it asks for, in the model's
    words. `holds` is how it stands as long as nothing more is known. `points` is by how much fit changes if that
    changes, 0 where it is not about fit.
    """

    facts: tuple[str, ...]
    decides: Decides
    name: str
    asks: str
    holds: bool = False
    points: float = 0.0


def unknown_facts(profile: Mapping[str, Any], model: Model) -> tuple[Unknown, ...]:
    """The facts that are not known of a profile and would matter to the model, in the order of its file."""
    return tuple(_all_of(profile, model))


def _all_of(profile: Mapping[str, Any], model: Model) -> Iterator[Unknown]:
    for rule in model.fit:
        for facts, holds in _undecided(rule.when, profile):
            if rule.points:
                yield Unknown(facts, "fit", rule.name, rule.when.text, holds, -rule.points if holds else rule.points)
    for persona in model.negative_personas:
        for facts, holds in _undecided(persona.when, profile):
            yield Unknown(facts, "persona", persona.name, persona.when.text, holds)
    for field in model.mql.requires:
        if profile.get(field) is None:
            yield Unknown((field,), "mql_requires", "", f"{field} is known")
    for facts, holds in _undecided(model.mql.blocked_by, profile):
        assert model.mql.blocked_by is not None
        yield Unknown(facts, "mql_blocked", "", model.mql.blocked_by.text, holds)
    unsaid = tuple(field for field in BANT_FIELDS if profile.get(field) is None)
    for path in model.sql_paths:
        if path.bant is not None and 0 < path.bant - confirmed_bant(profile) <= len(unsaid):
            yield Unknown(unsaid, "sql_path", path.name, f"{path.bant} of {', '.join(BANT_FIELDS)} confirmed")
    for facts, holds in _undecided(model.sql_blocked_by, profile):
        assert model.sql_blocked_by is not None
        yield Unknown(facts, "sql_blocked", "", model.sql_blocked_by.text, holds)


def _undecided(condition: Condition | None, profile: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The facts on which it depends whether the condition holds, if any, and whether it does as things stand.

    Of whom nothing is known no condition is asked (`fit_of`), not even one that what is unknown would meet.
    """
    facts = condition.undecided(profile) if condition is not None else ()
    if condition is not None and facts:
        yield facts, bool(profile) and condition.matches(profile)
