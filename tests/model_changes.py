"""A lead under one model, and what becomes of it under others that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from handmade import (
    DEFAULT,
)

from streams.qualification.events import Changed, Event, Transition
from streams.qualification.lead import Lead
from streams.qualification.model.values import Group, Model
from streams.qualification.step import After, advance_owned, judged_at, step
from streams.qualification.succession import change_to, succeed


def told(events: Sequence[Event], model: Model, lead: Lead | None = None) -> Lead | None:
    stream_time = 0
    for event in events:
        at = judged_at(lead, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        lead, _ = step(lead, event, at, model)
    return lead


def known(*events: Event, model: Model = DEFAULT) -> Lead:
    lead = told(events, model)
    assert lead is not None
    return lead


def with_groups(model: Model, version: str = "next", **groups: Group | None) -> Model:
    """`model` with some groups put in place of others, or (None) without them and what gives to them."""
    kept = {name: group for name, group in {**model.groups, **groups}.items() if group is not None}
    rules = {kind: tuple(rule for rule in of_kind if rule.group in kept) for kind, of_kind in model.rules.items()}
    inactivity = model.inactivity if model.inactivity and model.inactivity.group in kept else None
    return replace(model, version=version, groups=kept, rules=rules, inactivity=inactivity)


def succeeded(lead: Lead, model: Model, since: int, before: Model = DEFAULT) -> After:
    """The lead after one change, from `before` to `model`."""
    return through(lead, (before, 0), (model, since))


def through(lead: Lead, *turns: tuple[Model, int], at_hand: Sequence[Model] | None = None, arrival: int = 0) -> After:
    """The lead, judged by the first model, after the others took over; of them those `at_hand` judge it, else all."""
    models = [model for model, _ in turns] if at_hand is None else at_hand
    changes = [change_to(model, 0, since, arrival) for model, since in turns]
    own = lead.copy()
    own.judged_by = turns[0][0].identity
    due = advance_owned(lead.copy(), 0, turns[0][0]).due
    return succeed(own, due, changes, {model.identity: model for model in models})


def causes(out: Sequence[Transition]) -> list[str]:
    return [one.record["cause"] for one in out if isinstance(one, Changed)]
