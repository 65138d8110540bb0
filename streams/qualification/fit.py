"""Fit: static points of a profile, summed and banded; personas that disqualify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.qualification.model.values import FitRule, Model, Persona

BANT_FIELDS = ("budget", "authority", "need", "timeline")
#: Attributes kept per lead: a source that makes up a key per event must not make a lead grow without end.
MOST_ATTRIBUTES = 64


def fit_of(profile: Mapping[str, Any], model: Model) -> float:
    """The fit of a profile in points. Unknown facts give nothing."""
    return sum((rule.points for rule in model.fit if rule.when.matches(profile)), 0.0) if profile else 0.0


def fit_points(profile: Mapping[str, Any], model: Model) -> list[FitRule]:
    """The fit rules that give points, in file order: `fit_of` line by line."""
    return [rule for rule in model.fit if rule.when.matches(profile)] if profile else []


def persona_of(profile: Mapping[str, Any], model: Model) -> Persona | None:
    """The first negative persona that the profile matches."""
    for persona in model.negative_personas:
        if persona.when.matches(profile):
            return persona
    return None


def confirmed_bant(profile: Mapping[str, Any]) -> int:
    """How many of budget, authority, need and timeline are CONFIRMED, 0 to 4."""
    return sum(profile.get(field) == "CONFIRMED" for field in BANT_FIELDS)


def update_profile(profile: dict[str, Any], said: dict[str, int], fields: Mapping[str, Any], occurred_at: int) -> bool:
    """Take what is news from a LeadProfile into `profile`, value by value the newest. True when a value changed.

    Null, and UNKNOWN of an enum, mean "no news". Of two values said at the same instant the later to arrive stays.
    Of the attributes the 64 keys said last are kept, of those said at the same instant the last by name: which they
    are does not depend on the order of arrival.
    """
    changed = False
    for field, value in fields.items():
        if field in _NOT_PROFILE or value is None or value == "UNKNOWN":
            continue
        if field == "attributes":
            changed |= _update_attributes(profile, said, value, occurred_at)
        elif said.get(field, 0) <= occurred_at:
            said[field] = occurred_at
            if profile.get(field) != value:
                profile[field] = value
                changed = True
    return changed


def _update_attributes(
    profile: dict[str, Any], said: dict[str, int], news: Mapping[str, str], occurred_at: int
) -> bool:
    known = profile.get("attributes", {})
    latest = dict(known)
    for key, text in news.items():
        if said.get(name := f"attributes.{key}", 0) <= occurred_at:
            said[name] = occurred_at
            latest[key] = text
    if len(latest) > MOST_ATTRIBUTES:
        oldest_first = sorted(latest, key=lambda key: (said[f"attributes.{key}"], key))
        for key in oldest_first[:-MOST_ATTRIBUTES]:
            del latest[key], said[f"attributes.{key}"]
    if latest == known:
        return False
    profile["attributes"] = latest
    return True


_NOT_PROFILE = frozenset(("event_id", "lead_id", "occurred_at"))
