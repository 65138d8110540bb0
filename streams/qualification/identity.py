"""Whose an id is: links, merges, what aliases pass on, and what is forgotten with a lead.

An id has a lead, an alias that is left of one, or nothing. A link takes the lead out, leaves an alias, and sends what
was known to the lead that it turned out to be. All of it is pure: what goes to another id is one of the transitions.
"""

from __future__ import annotations

import msgspec

from streams.qualification.aliases import add_alias
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
from streams.qualification.step import UNKNOWN_DUE, judged_at, step_owned
from streams.qualification.succession import carry_over, half_lives_of
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
    if isinstance(state, Alias):
        return _event_at_alias(id_, state, event, passed, stream_time, model)
    at = judged_at(state, event, stream_time, model)
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
    if isinstance(message, Merge):
        return _merge(id_, state, message, stream_time, model, due)
    if isinstance(message, Forget):
        return Outcome(None if _is_meant(state, message) else state, [], due)
    if message.to == id_:
        return _ignored(state, "self_link", due)
    if isinstance(state, Alias):
        return _link_again(state, message, model)
    if message.revoked:
        return _ignored(state, "no_such_link", due)
    if state is None:
        told = [] if message.known else [_merge_of(message, None, model)]
        return Outcome(Alias(message.to, message.occurred_at), list[Transition](told))
    if message.occurred_at <= state.unlinked_at:
        return _ignored(state, "older_link", due)
    return _take_out(state, message, stream_time, model, due)


def _is_meant(state: State | None, forget: Forget) -> bool:
    """Whether the state is the alias that is to be forgotten: not one that has been made since."""
    return isinstance(state, Alias) and state.to == forget.target and state.since <= forget.occurred_at


def _ignored(state: State | None, reason: str, due: int | None) -> Outcome:
    return Outcome(state, [Ignored(reason)], due)


def _merge_of(link: Link, lead: Lead | None, model: Model) -> Merge:
    event_id = message_id(link.to, "merge", link.event_id)
    return Merge(link.to, event_id, link.occurred_at, link.arrival, (link.lead_id,), lead, half_lives_of(model))


def _link_again(alias: Alias, link: Link, model: Model) -> Outcome:
    """A link from what is an alias already, or was one: what is older, or known, changes nothing."""
    at = link.occurred_at
    if link.revoked:
        if alias.to != link.to or at < alias.since:
            return _ignored(alias, "no_such_link", None)
        return Outcome(Alias(None, at, alias.sequence), [])
    if alias.to == link.to:
        return _ignored(Alias(link.to, max(at, alias.since), alias.sequence), "known_link", None)
    if at <= alias.since:
        return _ignored(alias, "older_link", None)
    return Outcome(Alias(link.to, at, alias.sequence), [] if link.known else [_merge_of(link, None, model)])


def _take_out(lead: Lead, link: Link, stream_time: int, model: Model, due: int | None) -> Outcome:
    """What was known of the lead goes to `link.to`; here its life ends."""
    at = max(link.occurred_at, stream_time - model.grace_ms, lead.as_of)
    turn = Turn(lead, model)
    _until(turn, at, due)
    moved: Lead | None = None
    sequence = 0
    if not turn.gone:
        moved = lead.copy()
        moved.as_of = lead.as_of = at
        if lead.sequence:
            turn.forget(at, "MERGED", f"this is {link.to}")
            sequence = lead.sequence
        else:
            turn.withdraw_score()
    if moved is not None or not link.known:
        turn.out.append(_merge_of(link, moved, model))
    return Outcome(Alias(link.to, link.occurred_at, sequence), turn.out)


def _until(turn: Turn, at: int, due: int | None) -> None:
    """Let time pass until `at`, if anything may be due by then."""
    if due is not None and due <= at:
        pass_time(turn, at)


def _event_at_alias(
    id_: str, alias: Alias, event: Event, passed: tuple[str, ...], stream_time: int, model: Model
) -> Outcome:
    """An event under an alias goes on to the lead. One that has been here, or has come too far, ends the alias."""
    erased = event.kind == "erasure"
    if alias.to is not None and _goes_on(id_, passed):
        return Outcome(None if erased else alias, [Forward(alias.to, (*passed, id_))])
    at = judged_at(None, event, stream_time, model)
    fresh = _lead_again(id_, alias, at, event.occurred_at)
    after = step_owned(None, event, at, model, fresh=fresh)
    if after.lead is None:
        return Outcome(None if erased else Alias(None, alias.since, alias.sequence), after.transitions)
    return Outcome(after.lead, after.transitions, after.due)


def _lead_again(id_: str, alias: Alias, at: int, since: int) -> Lead:
    """A lead under what was an alias: it knows which links are old, and goes on with the numbers of what was said."""
    return Lead(id_, at, stage_since=since, sequence=alias.sequence, unlinked_at=alias.since)


def _goes_on(id_: str, passed: tuple[str, ...]) -> bool:
    return id_ not in passed and len(passed) < MOST_PASSED


def _merge(
    id_: str,
    state: State | None,
    merge: Merge,
    stream_time: int,
    model: Model,
    due: int | None,
) -> Outcome:
    alias: Alias | None = None
    if isinstance(state, Alias):
        if state.to is not None and _goes_on(id_, merge.passed):
            onward = msgspec.structs.replace(merge, lead_id=state.to, passed=(*merge.passed, id_))
            return Outcome(state, [onward])
        alias, state = state, None
    theirs, digest = merge.lead, event_digest(merge.event_id)
    if theirs is not None and state is not None and is_duplicate(state, digest):
        return _ignored(state, "duplicate", due)  # state is built anew, and what was said then is still on its way
    if theirs is None and state is not None and state.stage != VISITOR:
        return Outcome(state, _remember_aliases(state, merge), due)  # it knows who it is: no news to be judged
    known_until = [lead.as_of for lead in (state, theirs) if lead is not None]
    at = max(merge.occurred_at, stream_time - model.grace_ms, *known_until)
    turn = _turn_at(id_, state, alias, merge.occurred_at, at, model, due)
    lead = turn.lead
    lead.as_of = at
    lead.last_event = max(lead.last_event, at)
    if theirs is not None:
        if theirs.judged_by != model.identity:
            carry_over(theirs, merge.half_lives, at, model)
        join(turn, theirs, at)
        remember_event(lead, digest)
    turn.out += _remember_aliases(lead, merge)
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


def _remember_aliases(lead: Lead, merge: Merge) -> list[Transition]:
    """Remember what is an alias of the lead now. Returns the messages to those that there is no room for."""
    alias = merge.passed[0]
    pointing = {alias: merge.passed[1] if len(merge.passed) > 1 else merge.lead_id}
    if merge.lead is not None:
        pointing = {one: to or alias for one, to in merge.lead.aliases.items()} | pointing
    left_out: list[Transition] = []
    for one, to in pointing.items():
        if not add_alias(lead, one, to):
            source = message_id(one, "forget", merge.event_id)
            left_out.append(Forget(one, source, merge.occurred_at, to))
    return left_out
