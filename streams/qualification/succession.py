"""One model follows another: what a lead keeps of the judgement before, and how it is judged anew.

A model takes over a partition at an instant of its stream. Each lead is carried over as of that instant, or as of when
it was judged last if that is later, whenever it is looked at first: the result does not depend on when that is.

- What was due by then under the model before happens first, by that model, where it is at hand.
- A group that keeps its half-life keeps its value exactly.
- A group whose half-life changes fades by the old one until the take-over and by the new one from then on. What is
  remembered of its contributions and bookings is restated: as the points that would have faded by the new half-life to
  what they were worth at the take-over. So a receipt still adds up, and a booking is still taken back exactly.
- A group that the model says `was` another has what that one had. So has one whose name the model before had changed:
  a model that is taken back takes its names along (`naming`).
- A group that the model no longer has is dropped with its evidence, and so are facts and frequency limits of rules.
- Whom a persona disqualified that is no longer one, is a lead again, unless sales has said never.
- Of several changes since a lead was judged none is passed over: each carries it on from the one before. A model that
  is not at hand any more, after a restart, judges nobody, but the groups go through it all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp2

import msgspec

from streams.qualification.decay import Decayed, merge, value_at
from streams.qualification.due import look_again_at, pass_time
from streams.qualification.events import Transition
from streams.qualification.interest import DAY_MS, strongest_of, take_back_owed
from streams.qualification.lead import DISQUALIFIED, LEAD, Booking, Contribution, Given, Lead
from streams.qualification.lifecycle import judge
from streams.qualification.model.values import Model, numbered
from streams.qualification.naming import Heirs, heirs_of, line_of
from streams.qualification.step import After, advance_owned
from streams.qualification.turn import Turn

#: Group -> half-life in ms.
HalfLives = Mapping[str, int]
#: A contribution that would have to be restated as more than so many times its points says nothing to a reader.
MOST_RESTATED = 16.0
#: What is older than so many half-lives is restated as made so many ago: a float holds no more.
_MOST_HALVINGS = 500


class Change(msgspec.Struct, array_like=True, frozen=True):
    """A model took over: as of `since` (ms) of the stream, at `arrival` (ms) by the wall clock, when sales could first
    know of it.

    `half_lives` (ms) and `was` (name before) are those of its groups; `older`, likewise, is what the changes before it
    tell of the names before those. A model that comes back while leads may still wait for one that was in between has
    another `number`.
    """

    model: str
    number: int
    since: int
    arrival: int
    half_lives: dict[str, int]
    was: dict[str, str]
    older: dict[str, str] = {}

    @property
    def names(self) -> dict[str, str]:
        """Name -> the one before it: see `line_of`."""
        return self.was | self.older

    @property
    def identity(self) -> str:
        """`Model.identity` of the model that judges from then on."""
        return numbered(self.model, self.number)


def change_to(model: Model, number: int, since: int, arrival: int, before: Change | None = None) -> Change:
    """The taking over of `model`, which came back `number` times, from that of the one `before`."""
    was = line_of(model.groups)
    names = was if before is None else line_of(model.groups, before.half_lives, before.names)
    older = {name: one for name, one in names.items() if name not in was}
    return Change(model.identity, number, since, arrival, half_lives_of(model), was, older)


def differences(before: Change, model: Model) -> list[str]:
    """What becomes of the groups of the model before, in words; those that stay as they are are not named."""
    groups = model.groups
    heirs = heirs_of(groups, line_of(groups), before.half_lives, before.names)
    said = []
    for name, old in before.half_lives.items():
        heir = heirs.get(name)
        if heir is None:
            said.append(f"group {name} is dropped with its points")
            continue
        if heir != name:
            said.append(f"group {name} goes on as {heir}")
        if groups[heir].half_life_ms != old:
            said.append(f"half-life of {heir}: {groups[heir].half_life_ms / DAY_MS:g} d after {old / DAY_MS:g} d")
    return said


def half_lives_of(model: Model) -> dict[str, int]:
    """Group -> its half-life in ms."""
    return {name: group.half_life_ms for name, group in model.groups.items()}


def succeed(lead: Lead, due: int | None, changes: Sequence[Change], models: Mapping[str, Model]) -> After:
    """Carry `lead` over through those of `changes`, oldest first, that came after it was judged last.

    `lead` is changed in place. `due` is when something is due for it by the model that judged it last. `models` are
    those at hand, by their identity, the one of the last change among them. Of a model that is not among `changes`
    nothing is known: its half-lives count as kept.
    """
    out: list[Transition] = []
    judged_by = [change.identity for change in changes]
    seen = judged_by.index(lead.judged_by) + 1 if lead.judged_by in judged_by else 0
    for number, change in enumerate(changes[seen:], start=seen):
        before = changes[number - 1] if number else None
        last = models.get(lead.judged_by)
        if last is not None and due is not None and due <= change.since:
            after = advance_owned(lead, change.since, last)
            out += after.transitions
            if after.lead is None:
                return After(None, out, None)
        after = _carried(lead, before, change, models.get(change.identity))
        out += after.transitions
        if after.lead is None:
            return After(None, out, None)
        due = after.due
    return After(lead, out, due)


def _carried(lead: Lead, before: Change | None, change: Change, model: Model | None) -> After:
    """The lead on the other side of one change, judged anew where `model` is at hand."""
    at = max(lead.as_of, change.since)
    if model is None:
        _carry_groups(lead, before, at, change.half_lives, change.names)
        lead.as_of, lead.judged_by = at, change.identity
        return After(lead, [], None)
    persona = lead.persona
    carry_over(lead, before, at, model.knowing(change.names))
    lead.as_of = at
    turn = Turn(lead, model)  # weighs the profile anew
    if lead.stage == DISQUALIFIED and persona is not None and lead.persona is None and not lead.barred:
        turn.change(at, "MODEL_CHANGED", to=LEAD, reason=f"no negative persona any more: {persona}")
    judge(turn, at, "MODEL_CHANGED", change.arrival)
    pass_time(turn, at)
    if turn.gone:
        return After(None, turn.out, None)
    lead.judged_by = model.identity
    return After(lead, turn.out, look_again_at(lead, model, at))


def bring_along(lead: Lead, before: HalfLives, at: int, model: Model) -> None:
    """Make what a lead that comes from elsewhere keeps that of `model`, as of `at` (ms).

    `before` are the half-lives of the model that judged it last. That may be an older one, a newer one, or one that was
    taken back here: a group that either side knows by a former name is that one, however many changes are between them.
    What is not known at all stays as it is and counts for nothing, until the next change finds a place for it, or drops
    it. That is all that becomes of a renamed group in a partition that began with the new name, such as one that was
    added since: it has heard of no change, and knows the one former name that the model's file says.
    """
    heirs = heirs_of(model.groups, model.names, before, lead.was or {})
    strange = {name: name for name in before if name not in heirs}
    _hand_down(lead, before, at, {**before, **half_lives_of(model)}, {**heirs, **strange})


def carry_over(lead: Lead, before: Change | None, at: int, model: Model) -> None:
    """Make what the lead keeps by group, fact and rule that of `model`, as of `at` (ms).

    `before` is the taking over of the model that judged it last; None: all half-lives count as kept.
    """
    _carry_groups(lead, before, at, half_lives_of(model), model.names)
    lead.facts = {name: times for name, times in lead.facts.items() if name in model.facts}
    limited = {rule.name for rules in model.rules.values() for rule in rules if rule.at_most is not None}
    lead.limits = {name: days for name, days in lead.limits.items() if name in limited}


def _carry_groups(lead: Lead, before: Change | None, at: int, half_lives: HalfLives, names: Mapping[str, str]) -> None:
    if before is None:
        _hand_down(lead, {}, at, half_lives, heirs_of(half_lives, names))
    else:
        heirs = heirs_of(half_lives, names, before.half_lives, before.names)
        _hand_down(lead, before.half_lives, at, half_lives, heirs)


def _hand_down(lead: Lead, before: HalfLives, at: int, half_lives: HalfLives, heirs: Heirs) -> None:
    changed = {
        name: before[name] for name, heir in heirs.items() if name in before and before[name] != half_lives[heir]
    }
    groups: dict[str, Decayed] = {}
    strongest: dict[str, tuple[Contribution, ...]] = {}
    for name, decayed in lead.groups.items():
        heir = heirs.get(name)
        if heir is None:
            continue
        kept, half_life = lead.strongest.get(name, ()), half_lives[heir]
        old = changed.get(name)
        if old is not None:
            decayed = value_at(*decayed, at, old), at
            kept = tuple(_restated_contributions(kept, at, old, half_life))
        total = merge(groups.get(heir), decayed, half_life)
        assert total is not None
        groups[heir] = total
        strongest[heir] = strongest_of((*strongest.get(heir, ()), *kept), half_life)
    lead.groups, lead.strongest = groups, strongest
    lead.bookings = tuple(_booking(one, at, changed, half_lives, heirs) for one in lead.bookings)
    take_back_owed(lead, half_lives)


def _restated_contributions(kept: tuple[Contribution, ...], at: int, old: int, new: int) -> list[Contribution]:
    restated = []
    for one in kept:
        points, occurred_at = restate(one.points, one.occurred_at, at, old, new)
        if 0 < abs(points) <= MOST_RESTATED * abs(one.points):
            restated.append(msgspec.structs.replace(one, points=points, occurred_at=occurred_at))
    return restated


def _booking(one: Booking, at: int, changed: HalfLives, half_lives: HalfLives, heirs: Heirs) -> Booking:
    def handed_down(entries: Sequence[Given]) -> tuple[Given, ...]:
        found = []
        for rule, name, points, occurred_at in entries:
            heir = heirs.get(name)
            if heir is None:
                continue
            if name in changed:
                points, occurred_at = restate(points, occurred_at, at, changed[name], half_lives[heir])
            found.append((rule, heir, points, occurred_at))
        return tuple(found)

    return msgspec.structs.replace(one, given=handed_down(one.given), owed=handed_down(one.owed))


def restate(points: float, occurred_at: int, at: int, old: int, new: int) -> tuple[float, int]:
    """The points, and when they were made, that are worth at `at` by the half-life `new` what `points` are by `old`.

    All times in ms. They were made when they were, if a float can say so: a sum of many half-lives ago is one of fewer.
    """
    made = max(occurred_at, at - _MOST_HALVINGS * new)
    return points * exp2((at - made) / new - (at - occurred_at) / old), made
