"""Whose an id is: links, merges, what aliases pass on, and what is forgotten with a lead.

An id has a lead, an alias that is left of one, or nothing. A link takes the lead out, leaves an alias, and sends what
was known to the lead that it turned out to be. All of it is pure: what goes to another id is one of the transitions.

Once nothing is on its way, whatever an alias points to knows of it: as a lead, or as an alias itself. So an erasure
finds all ids of a lead. Whoever makes, moves or ends an alias keeps to that. What is on its way meets the mark that an
erasure leaves under each id, and ends there (`erasure`, `forgetting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from streams.qualification.erasure import Erased, erased, followed_until
from streams.qualification.events import Event, Ignored, Transition
from streams.qualification.forgetting import covers, ended, forget, link_of_before
from streams.qualification.ids import message_id
from streams.qualification.lead import Lead
from streams.qualification.meeting import goes_on, lead_again, meet, until
from streams.qualification.messages import Forget, Forward, Link, Merge, Message
from streams.qualification.model.values import Model
from streams.qualification.outcome import Outcome, ignored, left_of, marked, of_alias
from streams.qualification.state import Alias, State
from streams.qualification.step import UNKNOWN_DUE, After, advance_owned, judged_at, step_owned
from streams.qualification.succession import Change, half_lives_of, succeed
from streams.qualification.turn import Turn

#: Why a link may say nothing new, for metrics that want a bounded set.
REASONS = ("self_link", "known_link", "older_link", "no_such_link", "erased")


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
    if isinstance(state, Alias) and _has_ended(state, at):
        gone = let_time_pass(id_, state, at, model)
        return _after(gone, receive_event(id_, gone.state, event, passed, stream_time, model))
    if event.kind == "erasure":
        return _erase(id_, state, event, at, model, due)
    if isinstance(state, Alias):
        return _event_at_alias(id_, state, event, passed, at, model)
    if state is not None and covers(state, event.occurred_at, at):
        return ignored(state, "erased", due)
    before = None if state is None else state.erased
    return _of_lead(step_owned(state, event, at, model, due), before, at)


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
            gone = let_time_pass(id_, state, at, model)
            return _after(gone, receive(id_, gone.state, message, stream_time, model))
        due = state.ends_at or None
    if isinstance(message, Merge):
        return meet(id_, state, message, at, model, due)
    if isinstance(message, Forget):
        if message.target == id_:
            return _asked_on(id_, state, message, stream_time, model, due)
        return forget(id_, state, message, at, model, due)
    if message.to == id_:
        return ignored(state, "self_link", due)
    if state is not None and covers(state, message.occurred_at, at):
        return link_of_before(state, message, due)
    if isinstance(state, Alias):
        return _link_again(state, message, at, model)
    if message.revoked:
        return ignored(state, "no_such_link", due)
    if state is None:
        told = [] if message.known else [_merge_of(message, None, model)]
        return Outcome(Alias(message.to, message.occurred_at), list[Transition](told))
    if message.occurred_at <= state.unlinked_at:
        return ignored(state, "older_link", due)
    return _take_out(state, message, max(at, state.as_of), model, due)


def let_time_pass(id_: str, state: State, at: int, model: Model) -> Outcome:
    """Something is due by `at` (ms). A lead in `state` is changed in place.

    Of an alias it is the end: of one that has been revoked nothing is left after a visitor's time.
    """
    if isinstance(state, Alias):
        if not _has_ended(state, at):
            return of_alias(state)
        at = state.ends_at
        end = Forget(id_, message_id(id_, "end", str(at)), at, id_, at, erased=False, arrival=at)
        return ended(state, end, at, model)
    return _of_lead(advance_owned(state, at, model), state.erased, at)


def carried_over(lead: Lead, due: int | None, changes: Sequence[Change], models: Mapping[str, Model]) -> Outcome:
    """A lead that another model judged last, as the model of the last of `changes` has it: see `succeed`."""
    return _of_lead(succeed(lead, due, changes, models), lead.erased, changes[-1].since)


def _of_lead(after: After, before: Erased | None, at: int) -> Outcome:
    """What became of a lead, as of `at`: its id outlives it where it remembers an erasure of `before` it."""
    if after.lead is None:
        return left_of(before, at, *after.transitions)
    if before is not None and at >= before.kept_until:
        after.lead.erased = None
    return Outcome(after.lead, after.transitions, after.due)


def _has_ended(alias: Alias, at: int) -> bool:
    return 0 < alias.ends_at <= at


def _after(first: Outcome, then: Outcome) -> Outcome:
    return Outcome(then.state, [*first.transitions, *then.transitions], then.due)


def _merge_of(link: Link, lead: Lead | None, model: Model) -> Merge:
    """Links of several visitors may share an event id, so the id of a merge names the visitor."""
    event_id = message_id(link.to, f"merge of {link.lead_id}", link.event_id)
    return Merge(link.to, event_id, link.occurred_at, link.arrival, (link.lead_id,), lead, half_lives_of(model))


def _link_again(alias: Alias, link: Link, now: int, model: Model) -> Outcome:
    """A link from what is an alias already, or was one: what is older, or known, changes nothing."""
    at = link.occurred_at
    if link.revoked:
        if alias.to != link.to or at < alias.since:
            return of_alias(alias, Ignored("no_such_link"))
        return of_alias(_changed(alias, to=None, since=at, ends_at=now + model.visitor_ttl_ms, began=0))
    if alias.to == link.to:
        since, began = max(at, alias.since), min(at, alias.pointing_since)
        return of_alias(_changed(alias, since=since, began=0 if began == since else began), Ignored("known_link"))
    if at <= alias.since:
        return of_alias(alias, Ignored("older_link"))
    told = [] if link.known else [_merge_of(link, None, model)]
    return of_alias(_changed(alias, to=link.to, since=at, ends_at=0, began=0), *told)


_changed = msgspec.structs.replace


def _take_out(lead: Lead, link: Link, at: int, model: Model, due: int | None) -> Outcome:
    """What was known of the lead as of `at` goes to `link.to`; here its life ends. Its aliases follow this id."""
    turn = Turn(lead, model)
    until(turn, at, due)
    moved: Lead | None = None
    alias = Alias(link.to, link.occurred_at, erased=lead.erased)
    if not turn.gone:
        moved = lead.copy()
        moved.as_of = lead.as_of = at
        moved.aliases = ()
        moved.was = dict(model.names) or None
        if lead.sequence:
            turn.forget(at, "MERGED", f"this is {link.to}")
        else:
            turn.withdraw_score()
        alias = _changed(alias, sequence=lead.sequence, aliases=lead.aliases)
    if moved is not None or not link.known:
        turn.out.append(_merge_of(link, moved, model))
    return Outcome(alias, turn.out)


def _event_at_alias(id_: str, alias: Alias, event: Event, passed: tuple[str, ...], at: int, model: Model) -> Outcome:
    """An event under an alias goes on to the lead. One that has been here, or has come too far, ends the alias."""
    if covers(alias, event.occurred_at, at):
        return of_alias(alias, Ignored("erased"))
    if alias.to is not None and goes_on(id_, passed):
        return of_alias(alias, Forward(alias.to, (*passed, id_)))
    after = step_owned(None, event, at, model, fresh=lead_again(id_, alias, at, event.occurred_at))
    if after.lead is not None:
        return Outcome(after.lead, after.transitions, after.due)
    ends_at = alias.ends_at or at + model.visitor_ttl_ms
    return of_alias(_changed(alias, to=None, ends_at=ends_at), *after.transitions)


def _erase(
    id_: str, state: State | None, event: Event, at: int, model: Model, due: int | None, onward: Message | None = None
) -> Outcome:
    """An erasure as of `at`. It ends each alias that it passes, so it comes to the end of the way, however long it is.

    `onward` goes there, or else the event does.
    """
    if isinstance(state, Alias):
        if state.is_mark and covers(state, event.occurred_at, at):
            return of_alias(state, Ignored("erased"))
        if state.to is not None:
            end = Forget(id_, event.event_id, event.occurred_at, state.to, at, erased=True, arrival=event.arrival)
            return ended(state, end, at, model, onward or Forward(state.to, ()))
        since = state.since
        after = step_owned(None, event, at, model, fresh=lead_again(id_, state, at, event.occurred_at))
    else:
        since = 0 if state is None else state.unlinked_at
        after = step_owned(state, event, at, model, due)
    followed = followed_until(since, None if state is None else state.erased)
    return marked(erased(event.occurred_at, at, followed, event.arrival), *after.transitions)


def _asked_on(id_: str, state: State | None, asked: Forget, stream_time: int, model: Model, due: int | None) -> Outcome:
    """The erasure of an id that turned out to be this one when the event had gone by."""
    event = Event("erasure", id_, asked.event_id, asked.occurred_at, asked.arrival, {})
    at = judged_at(state if isinstance(state, Lead) else None, event, stream_time, model)
    onward: Forget | None = None
    if isinstance(state, Alias) and state.to is not None:
        event_id = message_id(state.to, f"erasure of {id_}", asked.event_id)
        onward = _changed(asked, lead_id=state.to, target=state.to, event_id=event_id)
    return _erase(id_, state, event, at, model, due, onward)
