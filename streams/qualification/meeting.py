"""A past comes to an id: it is added to the lead there, goes on where an alias points, or begins a life."""

from __future__ import annotations

import msgspec

from streams.qualification.aliases import forget_aliases, with_alias
from streams.qualification.due import look_again_at, pass_time
from streams.qualification.events import Ignored, Transition
from streams.qualification.forgetting import covers, swallowed
from streams.qualification.lead import LEAD, VISITOR, Lead
from streams.qualification.lifecycle import judge
from streams.qualification.memory import event_digest, is_duplicate, remember_event
from streams.qualification.merge import join
from streams.qualification.messages import MOST_PASSED, Merge
from streams.qualification.model.values import Model
from streams.qualification.outcome import Outcome, of_alias
from streams.qualification.state import Alias, State
from streams.qualification.succession import bring_along, half_lives_of
from streams.qualification.turn import Turn

_changed = msgspec.structs.replace


def meet(id_: str, state: State | None, merge: Merge, at: int, model: Model, due: int | None) -> Outcome:
    """A merge for the id, as of `at` (ms) or later. A lead in `state` is changed in place."""
    if state is not None and covers(state, merge.occurred_at, at):
        return swallowed(id_, state, merge, due)
    alias: Alias | None = None
    if isinstance(state, Alias):
        if state.to is not None and goes_on(id_, merge.passed):
            since = max(merge.occurred_at, state.pointing_since)
            onward = _changed(merge, lead_id=state.to, passed=(*merge.passed, id_), occurred_at=since)
            aliases, left_out = _aliases_with(id_, state.aliases, merge)
            return of_alias(_changed(state, aliases=aliases), *left_out, onward)
        alias, state = state, None
    theirs, digest = merge.lead, event_digest(merge.event_id)
    if state is not None:
        state.aliases, left_out = _aliases_with(id_, state.aliases, merge)
        if theirs is not None and is_duplicate(state, digest):
            # State is built anew, and what was said then is still on its way.
            return Outcome(state, [Ignored("duplicate"), *left_out], due)
        if theirs is None and state.stage != VISITOR:
            return Outcome(state, left_out, due)  # it knows who it is: no news to be judged
    at = max([at, *(lead.as_of for lead in (state, theirs) if lead is not None)])
    turn = _turn_at(id_, state, alias, merge.occurred_at, at, model, due)
    lead = turn.lead
    lead.as_of = at
    lead.last_event = max(lead.last_event, at)
    if theirs is not None:
        if theirs.judged_by != model.identity:
            bring_along(theirs, merge.half_lives, at, model)
        join(turn, theirs, at, {**merge.half_lives, **half_lives_of(model)})
        remember_event(lead, digest)
    lead.aliases, left_out = _aliases_with(id_, lead.aliases, merge)
    turn.out += left_out
    if lead.stage == VISITOR:
        turn.change(at, "IDENTIFIED", to=LEAD)
        lead.stage_since = merge.occurred_at  # an import's feedback may be older than its handling
    judge(turn, at, "MERGED", merge.arrival)
    pass_time(turn, at)  # what only the two together make due
    lead.judged_by = model.identity
    return Outcome(lead, turn.out, look_again_at(lead, model, at))


def _turn_at(
    id_: str, lead: Lead | None, alias: Alias | None, since: int, at: int, model: Model, due: int | None
) -> Turn:
    """The lead under the id, of which all that was due by `at` has happened; a new one where there is none by then."""
    new = Lead(id_, at, stage_since=since) if alias is None else lead_again(id_, alias, at, since)
    out: list[Transition] = []
    if lead is not None:
        turn = Turn(lead, model)
        until(turn, at, due)
        if not turn.gone:
            return turn
        out, new.erased = turn.out, lead.erased
    turn = Turn(new, model)
    turn.out = out
    return turn


def _aliases_with(id_: str, known: tuple[str, ...], merge: Merge) -> tuple[tuple[str, ...], list[Transition]]:
    """The aliases of the id, with the one that the merge came from; what that is told when there is no room for it."""
    alias = merge.passed[-1]
    aliases = with_alias(known, alias)
    if aliases is not None:
        return aliases, []
    since = merge.occurred_at
    return known, forget_aliases(id_, (alias,), merge.event_id, since, since, merge.arrival, erased=False)


def lead_again(id_: str, alias: Alias, at: int, since: int) -> Lead:
    """A lead under what was an alias: it knows which links are old, and goes on with the numbers of what was said."""
    lead = Lead(id_, at, stage_since=since, sequence=alias.sequence, aliases=alias.aliases, unlinked_at=alias.since)
    lead.erased = alias.erased
    return lead


def goes_on(id_: str, passed: tuple[str, ...]) -> bool:
    return id_ not in passed and len(passed) < MOST_PASSED


def until(turn: Turn, at: int, due: int | None) -> None:
    """Let time pass until `at`, if anything may be due by then."""
    if due is not None and due <= at:
        pass_time(turn, at)
