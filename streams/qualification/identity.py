"""Whose an id is: links, merges, what aliases pass on, and what is forgotten with a lead.

An id has a lead, an alias that is left of one, or nothing. A link takes the lead out, leaves an alias, and sends what
was known to the lead that it turned out to be. All of it is pure: what goes to another id is one of the transitions.

Once nothing is on its way, whatever an alias points to knows of it: as a lead, or as an alias itself. So an erasure
finds all ids of a lead. Whoever makes, moves or ends an alias keeps to that.
"""

from __future__ import annotations

import msgspec

from streams.qualification.aliases import forget_aliases, with_alias
from streams.qualification.due import look_again_at, pass_time
from streams.qualification.events import Event, Ignored, Transition
from streams.qualification.ids import message_id
from streams.qualification.lead import LEAD, VISITOR, Lead
from streams.qualification.lifecycle import judge
from streams.qualification.memory import event_digest, is_duplicate, remember_event
from streams.qualification.merge import join
from streams.qualification.messages import MOST_PASSED, Forget, Forward, Link, Merge, Message
from streams.qualification.model.values import Model
from streams.qualification.state import Alias, State
from streams.qualification.step import UNKNOWN_DUE, advance_owned, judged_at, step_owned
from streams.qualification.succession import bring_along, half_lives_of
from streams.qualification.turn import Turn

#: Why a link may say nothing new, for metrics that want a bounded set.
REASONS = ("self_link", "known_link", "older_link", "no_such_link")


class Outcome(msgspec.Struct, frozen=True):
    """What came of a message: the id's new state, None for nothing. `due`: as in `step.After`."""

    state: State | None
    transitions: list[Transition]
    due: int | None = None


def receive_event(
    id_: str,
    state: State | None,
    event: Event,
    passed: tuple[str, ...],
    stream_time: int,
    model: Model,
    due: int | None = UNKNOWN_DUE,
) -> Outcome:
    """An event for `id_`, which came through the aliases `passed`. A lead in `state` is changed in place.

    `stream_time` and `due` are those of `judged_at` and `step_owned`.
    """
    if event.kind == "identity_link":
        revoked = event.fields["revoked"]
        link = Link(id_, event.lead_id, event.event_id, event.occurred_at, event.arrival, revoked)
        return receive(id_, state, link, stream_time, model, due)
    at = judged_at(state if isinstance(state, Lead) else None, event, stream_time, model)
    if isinstance(state, Alias):
        if _has_ended(state, at):
            gone = let_time_pass(id_, state, at, model)
            return _after(gone, receive_event(id_, None, event, passed, stream_time, model))
        return _event_at_alias(id_, state, event, passed, at, model)
    after = step_owned(state, event, at, model, due)
    return Outcome(after.lead, after.transitions, after.due)


def receive(
    id_: str,
    state: State | None,
    message: Message,
    stream_time: int,
    model: Model,
    due: int | None = UNKNOWN_DUE,
) -> Outcome:
    """A message of another id for `id_`. A lead in `state` is changed in place."""
    at = max(message.occurred_at, stream_time - model.grace_ms)
    if isinstance(state, Alias):
        if _has_ended(state, at):
            return _after(let_time_pass(id_, state, at, model), receive(id_, None, message, stream_time, model))
        due = state.ends_at or None
    if isinstance(message, Merge):
        return _merge(id_, state, message, at, model, due)
    if isinstance(message, Forget):
        return _forget(id_, state, message, at, model, due)
    if message.to == id_:
        return _ignored(state, "self_link", due)
    if isinstance(state, Alias):
        return _link_again(state, message, at, model)
    if message.revoked:
        return _ignored(state, "no_such_link", due)
    if state is None:
        told = [] if message.known else [_merge_of(message, None, model)]
        return Outcome(Alias(message.to, message.occurred_at), list[Transition](told))
    if message.occurred_at <= state.unlinked_at:
        return _ignored(state, "older_link", due)
    return _take_out(state, message, max(at, state.as_of), model, due)


def let_time_pass(id_: str, state: State, at: int, model: Model) -> Outcome:
    """Something is due by `at` (ms). A lead in `state` is changed in place.

    Of an alias it is the end: of one that has been revoked nothing is left after a visitor's time.
    """
    if isinstance(state, Alias):
        if not _has_ended(state, at):
            return _alias(state)
        at = state.ends_at
        end = Forget(id_, message_id(id_, "end", str(at)), at, id_, at, erased=False)
        return _ended(state, end, at, model)
    after = advance_owned(state, at, model)
    return Outcome(after.lead, after.transitions, after.due)


def _has_ended(alias: Alias, at: int) -> bool:
    return 0 < alias.ends_at <= at


def _after(first: Outcome, then: Outcome) -> Outcome:
    return Outcome(then.state, [*first.transitions, *then.transitions], then.due)


def _alias(alias: Alias, *transitions: Transition) -> Outcome:
    return Outcome(alias, list(transitions), alias.ends_at or None)


def _ignored(state: State | None, reason: str, due: int | None) -> Outcome:
    return Outcome(state, [Ignored(reason)], due)


def _merge_of(link: Link, lead: Lead | None, model: Model) -> Merge:
    """Links of several visitors may share an event id, so the id of a merge names the visitor."""
    event_id = message_id(link.to, f"merge of {link.lead_id}", link.event_id)
    return Merge(link.to, event_id, link.occurred_at, link.arrival, (link.lead_id,), lead, half_lives_of(model))


def _link_again(alias: Alias, link: Link, now: int, model: Model) -> Outcome:
    """A link from what is an alias already, or was one: what is older, or known, changes nothing."""
    at = link.occurred_at
    if link.revoked:
        if alias.to != link.to or at < alias.since:
            return _alias(alias, Ignored("no_such_link"))
        return _alias(_changed(alias, to=None, since=at, ends_at=now + model.visitor_ttl_ms))
    if alias.to == link.to:
        return _alias(_changed(alias, since=max(at, alias.since)), Ignored("known_link"))
    if at <= alias.since:
        return _alias(alias, Ignored("older_link"))
    told = [] if link.known else [_merge_of(link, None, model)]
    return _alias(_changed(alias, to=link.to, since=at, ends_at=0), *told)


_changed = msgspec.structs.replace


def _take_out(lead: Lead, link: Link, at: int, model: Model, due: int | None) -> Outcome:
    """What was known of the lead as of `at` goes to `link.to`; here its life ends. Its aliases follow this id."""
    turn = Turn(lead, model)
    _until(turn, at, due)
    moved: Lead | None = None
    alias = Alias(link.to, link.occurred_at)
    if not turn.gone:
        moved = lead.copy()
        moved.as_of = lead.as_of = at
        moved.aliases = ()
        if lead.sequence:
            turn.forget(at, "MERGED", f"this is {link.to}")
        else:
            turn.withdraw_score()
        alias = Alias(link.to, link.occurred_at, lead.sequence, lead.aliases)
    if moved is not None or not link.known:
        turn.out.append(_merge_of(link, moved, model))
    return Outcome(alias, turn.out)


def _until(turn: Turn, at: int, due: int | None) -> None:
    """Let time pass until `at`, if anything may be due by then."""
    if due is not None and due <= at:
        pass_time(turn, at)


def _forget(id_: str, state: State | None, forget: Forget, at: int, model: Model, due: int | None) -> Outcome:
    """What the alias points to is gone, so is the alias, and so are those that point to it.

    An alias by a newer link stays. The target has forgotten it with everything else, so it says again what it is.
    """
    if not isinstance(state, Alias) or state.to != forget.target:
        return Outcome(state, [], due)
    if state.since > forget.until:
        event_id = message_id(state.to, f"merge of {id_}", forget.event_id)
        return _alias(state, Merge(state.to, event_id, state.since, state.since, (id_,)))
    return _ended(state, forget, at, model)


def _ended(alias: Alias, end: Forget, at: int, model: Model, *further: Transition) -> Outcome:
    """Nothing is left of the alias, as of `at`. Whoever was told of it as a lead hears that its numbers end here."""
    turn = Turn(Lead(end.lead_id, at, sequence=alias.sequence), model)
    if alias.sequence:
        turn.forget(at, "ERASED" if end.erased else "EXPIRED", None)
    told = forget_aliases(end.lead_id, alias.aliases, end.event_id, end.occurred_at, end.until, erased=end.erased)
    return Outcome(None, [*turn.out, *told, *further])


def _event_at_alias(id_: str, alias: Alias, event: Event, passed: tuple[str, ...], at: int, model: Model) -> Outcome:
    """An event under an alias goes on to the lead. One that has been here, or has come too far, ends the alias.

    An erasure ends each alias that it passes, so it comes to the end of the way, however long that is.
    """
    erased = event.kind == "erasure"
    if erased and alias.to is not None:
        end = Forget(id_, event.event_id, event.occurred_at, alias.to, at, erased=True)
        return _ended(alias, end, at, model, Forward(alias.to, ()))
    if alias.to is not None and _goes_on(id_, passed):
        return _alias(alias, Forward(alias.to, (*passed, id_)))
    after = step_owned(None, event, at, model, fresh=_lead_again(id_, alias, at, event.occurred_at))
    if after.lead is not None:
        return Outcome(after.lead, after.transitions, after.due)
    if erased:
        return Outcome(None, after.transitions)
    ends_at = alias.ends_at or at + model.visitor_ttl_ms
    return _alias(_changed(alias, to=None, ends_at=ends_at), *after.transitions)


def _lead_again(id_: str, alias: Alias, at: int, since: int) -> Lead:
    """A lead under what was an alias: it knows which links are old, and goes on with the numbers of what was said."""
    return Lead(id_, at, stage_since=since, sequence=alias.sequence, aliases=alias.aliases, unlinked_at=alias.since)


def _goes_on(id_: str, passed: tuple[str, ...]) -> bool:
    return id_ not in passed and len(passed) < MOST_PASSED


def _merge(id_: str, state: State | None, merge: Merge, at: int, model: Model, due: int | None) -> Outcome:
    alias: Alias | None = None
    if isinstance(state, Alias):
        if state.to is not None and _goes_on(id_, merge.passed):
            onward = _changed(merge, lead_id=state.to, passed=(*merge.passed, id_))
            aliases, left_out = _aliases_with(id_, state.aliases, merge)
            return _alias(_changed(state, aliases=aliases), *left_out, onward)
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
    out: list[Transition] = []
    if lead is not None:
        turn = Turn(lead, model)
        _until(turn, at, due)
        if not turn.gone:
            return turn
        out = turn.out
    turn = Turn(Lead(id_, at, stage_since=since) if alias is None else _lead_again(id_, alias, at, since), model)
    turn.out = out
    return turn


def _aliases_with(id_: str, known: tuple[str, ...], merge: Merge) -> tuple[tuple[str, ...], list[Transition]]:
    """The aliases of the id, with the one that the merge came from; what that is told when there is no room for it."""
    alias = merge.passed[-1]
    aliases = with_alias(known, alias)
    if aliases is not None:
        return aliases, []
    since = merge.occurred_at
    return known, forget_aliases(id_, (alias,), merge.event_id, since, since, erased=False)
