"""What is forgotten with an id: the aliases that point to it, and what is on its way to it.

An erasure ends each id that it comes to, and leaves a mark there. What is older than the mark and comes to it later is
forgotten as it would have been had it come in time: by the same rules, so that the order of arrival is no matter.
"""

from __future__ import annotations

import msgspec

from streams.qualification.aliases import forget_aliases
from streams.qualification.erasure import erased, followed_until
from streams.qualification.events import Ignored, Transition
from streams.qualification.ids import message_id
from streams.qualification.lead import Lead
from streams.qualification.messages import Forget, Link, Merge
from streams.qualification.model.values import Model
from streams.qualification.outcome import Outcome, ignored, left_of, marked, of_alias
from streams.qualification.state import Alias, State
from streams.qualification.turn import Turn

_changed = msgspec.structs.replace


def covers(state: State, occurred_at: int, at: int) -> bool:
    """Whether what happened at `occurred_at` and is heard of at `at` was erased with the id before it came."""
    return state.erased is not None and state.erased.covers(occurred_at, at)


def forget(id_: str, state: State | None, forget: Forget, at: int, model: Model, due: int | None) -> Outcome:
    """What the alias points to is gone, so is the alias, and so are those that point to it.

    An alias by a newer link stays. The target has forgotten it with everything else, so it says again what it is. An
    erasure leaves its mark also there, as it would have had it come before that link.
    """
    if not isinstance(state, Alias):
        return Outcome(state, [], due)
    if state.since <= forget.until and state.to == forget.target:
        return ended(state, forget, at, model)
    was_elsewhere = state.pointing_since > forget.until
    if forget.erased and was_elsewhere == (state.to != forget.target) and not covers(state, forget.occurred_at, at):
        mark = erased(forget.occurred_at, forget.until, forget.until, forget.arrival)
        state = _changed(state, erased=mark)
    if state.to != forget.target:
        return of_alias(state)
    event_id = message_id(forget.target, f"merge of {id_}", forget.event_id)
    return of_alias(state, Merge(forget.target, event_id, state.since, state.since, (id_,)))


def ended(alias: Alias, end: Forget, at: int, model: Model, *further: Transition) -> Outcome:
    """The alias is none any more, as of `at`. Whoever was told of it as a lead hears that its numbers end here.

    An erasure that is on its way along the aliases (`further`) is to go where older links lead, too; one that comes
    from what an alias points to is of that one alone.
    """
    turn = Turn(Lead(end.lead_id, at, sequence=alias.sequence), model)
    if alias.sequence:
        turn.forget(at, "ERASED" if end.erased else "EXPIRED", None)
    told = forget_aliases(
        end.lead_id, alias.aliases, end.event_id, end.occurred_at, end.until, end.arrival, erased=end.erased
    )
    if not end.erased:
        return left_of(alias.erased, at, *turn.out, *told, *further)
    followed = followed_until(alias.since, alias.erased) if further else end.until
    return marked(erased(end.occurred_at, end.until, followed, end.arrival), *turn.out, *told, *further)


def link_of_before(state: State, link: Link, due: int | None) -> Outcome:
    """A link that is older than the erasure of the id: had it come in time, the erasure would have gone that way."""
    erased = state.erased
    assert erased is not None
    if link.revoked:
        return ignored(state, "no_such_link", due)
    if link.occurred_at <= erased.linked_at:
        return ignored(state, "older_link", due)
    followed = _changed(erased, linked_at=link.occurred_at)
    if isinstance(state, Alias):
        state = _changed(state, erased=followed)
    else:
        state.erased = followed
    event_id = message_id(link.to, f"erasure of {link.lead_id}", link.event_id)
    asked = Forget(link.to, event_id, erased.asked_at, link.to, erased.until, erased=True, arrival=link.arrival)
    return Outcome(state, [Ignored("erased"), asked], due)


def swallowed(id_: str, state: State, merge: Merge, due: int | None) -> Outcome:
    """A past that was on its way when the id was erased goes with it, and so does the alias that it came from."""
    assert state.erased is not None
    asked_at, until = state.erased.asked_at, state.erased.until
    told = forget_aliases(id_, merge.passed[-1:], merge.event_id, asked_at, until, merge.arrival, erased=True)
    return Outcome(state, [Ignored("erased"), *told], due)
