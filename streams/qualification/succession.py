"""One model follows another: what a lead keeps of the judgement before, and how it is judged anew.

A model takes over a partition at an instant of its stream. Each lead is carried over as of that instant, or as of when
it was judged last if that is later, whenever it is looked at first: the result does not depend on when that is.

- A group that keeps its half-life keeps its value exactly.
- A group whose half-life changes fades by the old one until the take-over and by the new one from then on. What is
  remembered of its contributions and bookings is restated: as the points that would have faded by the new half-life to
  what they were worth at the take-over. So a receipt still adds up, and a booking is still taken back exactly.
- A group that the model says `was` another has what that one had.
- A group that the model no longer has is dropped with its evidence, and so are facts and frequency limits of rules.
- Whom a persona disqualified that is no longer one, is a lead again, unless sales has said never.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp2

import msgspec

from streams.qualification.decay import Decayed, merge, value_at
from streams.qualification.due import look_again_at, pass_time
from streams.qualification.interest import DAY_MS, strongest_of
from streams.qualification.lead import DISQUALIFIED, LEAD, Booking, Contribution, Lead
from streams.qualification.lifecycle import judge
from streams.qualification.model.values import Group, Model
from streams.qualification.step import After
from streams.qualification.turn import Turn

#: Group -> half-life in ms.
HalfLives = Mapping[str, int]
#: A contribution that would have to be restated as more than so many times its points says nothing to a reader.
MOST_RESTATED = 16.0


def changes(before: HalfLives, model: Model) -> list[str]:
    """What becomes of the groups of the model before, in words; those that stay as they are are not named."""
    heirs = _heirs(model)
    said = []
    for name, old in before.items():
        group = heirs.get(name)
        if group is None:
            said.append(f"group {name} is dropped with its points")
            continue
        if group.name != name:
            said.append(f"group {name} goes on as {group.name}")
        if group.half_life_ms != old:
            said.append(f"half-life of {group.name}: {group.half_life_ms / DAY_MS:g} d after {old / DAY_MS:g} d")
    return said


def half_lives_of(model: Model) -> dict[str, int]:
    return {name: group.half_life_ms for name, group in model.groups.items()}


def succeed(lead: Lead, before: HalfLives | None, since: int, model: Model) -> After:
    """Carry `lead` over from the model that judged it last, of which `before` are the half-lives, as of `since` (ms).

    `lead` is changed in place. Without `before` nothing is known of that model: all half-lives count as kept.
    """
    at = max(lead.as_of, since)
    persona = lead.persona
    carry_over(lead, before, at, model)
    lead.as_of = at
    turn = Turn(lead, model)  # weighs the profile anew
    if lead.stage == DISQUALIFIED and persona is not None and lead.persona is None and not lead.barred:
        turn.change(at, "MODEL_CHANGED", to=LEAD, reason=f"no negative persona any more: {persona}")
    judge(turn, at, "MODEL_CHANGED")
    pass_time(turn, at)
    if turn.gone:
        return After(None, turn.out, None)
    lead.judged_by = model.identity
    return After(lead, turn.out, look_again_at(lead, model, at))


def carry_over(lead: Lead, before: HalfLives | None, at: int, model: Model) -> None:
    """Make what the lead keeps by group, fact and rule that of `model`, as of `at` (ms)."""
    known = before or {}
    heirs = _heirs(model)
    changed = {name: known[name] for name in heirs if name in known and known[name] != heirs[name].half_life_ms}
    groups: dict[str, Decayed] = {}
    strongest: dict[str, tuple[Contribution, ...]] = {}
    for name, decayed in lead.groups.items():
        group = heirs.get(name)
        if group is None:
            continue
        kept = lead.strongest.get(name, ())
        old = changed.get(name)
        if old is not None:
            decayed = value_at(*decayed, at, old), at
            kept = tuple(_restated_contributions(kept, at, old, group.half_life_ms))
        total = merge(groups.get(group.name), decayed, group.half_life_ms)
        assert total is not None
        groups[group.name] = total
        strongest[group.name] = strongest_of((*strongest.get(group.name, ()), *kept), group.half_life_ms)
    lead.groups, lead.strongest = groups, strongest
    lead.bookings = tuple(_booking(one, at, changed, heirs) for one in lead.bookings)
    lead.facts = {name: times for name, times in lead.facts.items() if name in model.facts}
    limited = {rule.name for rules in model.rules.values() for rule in rules if rule.at_most is not None}
    lead.limits = {name: days for name, days in lead.limits.items() if name in limited}


def _heirs(model: Model) -> dict[str, Group]:
    """Name of a group, now or before -> the group that has its points."""
    return {group.was: group for group in model.groups.values() if group.was is not None} | dict(model.groups)


def _restated_contributions(kept: tuple[Contribution, ...], at: int, old: int, new: int) -> list[Contribution]:
    restated = []
    for one in kept:
        points = restate(one.points, one.occurred_at, at, old, new)
        if 0 < abs(points) <= MOST_RESTATED * abs(one.points):
            restated.append(msgspec.structs.replace(one, points=points))
    return restated


def _booking(one: Booking, at: int, changed: Mapping[str, int], heirs: Mapping[str, Group]) -> Booking:
    given = []
    for rule, name, points, occurred_at in one.given:
        group = heirs.get(name)
        if group is None:
            continue
        if name in changed:
            points = restate(points, occurred_at, at, changed[name], group.half_life_ms)
        given.append((rule, group.name, points, occurred_at))
    return msgspec.structs.replace(one, given=tuple(given))


def restate(points: float, occurred_at: int, at: int, old: int, new: int) -> float:
    """The points that, made at `occurred_at`, are worth at `at` by the half-life `new` what `points` are by `old`.

    All times in ms. What has faded beyond what a float can say is nothing.
    """
    age = at - occurred_at
    try:
        return points * exp2(age / new - age / old)
    except OverflowError:
        return 0.0
