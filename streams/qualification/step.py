"""The one pure function that decides, in its two forms: an event arrives, or time passes."""

from __future__ import annotations

import msgspec

from streams.qualification.aliases import forget_aliases, link_address
from streams.qualification.due import look_again_at, pass_time
from streams.qualification.events import Event, Transition
from streams.qualification.feedback import DISPOSITIONS, take_feedback
from streams.qualification.fit import update_profile
from streams.qualification.interest import CANCELLED, retract_booking, score_event
from streams.qualification.lead import LEAD, VISITOR, Lead
from streams.qualification.lifecycle import judge
from streams.qualification.memory import event_digest, is_duplicate, note_facts, remember_event, remember_visit
from streams.qualification.model.values import Model
from streams.qualification.noise import noise_reason
from streams.qualification.turn import Turn


def judged_at(lead: Lead | None, event: Event, stream_time: int, model: Model) -> int:
    """The instant (ms) as of which an event is judged: an import replays history, a late event is judged as of now.

    `stream_time` is the largest `occurred_at` applied in the partition so far, 0 before the first.
    """
    at = max(event.occurred_at, stream_time - model.grace_ms)
    return at if lead is None else max(at, lead.as_of)


def step(lead: Lead | None, event: Event, at: int, model: Model) -> tuple[Lead | None, list[Transition]]:
    """An event arrives: `(lead', transitions)`. `lead` is None when nothing is known, and stays untouched.

    `at` comes from :func:`judged_at`. First everything that was due before `at` happens, each at its own time; then the
    event's points are added as of `event.occurred_at`; then the lead is judged as of `at`. The lead' is None when the
    lead is (still or from now on) unknown.
    """
    after = step_owned(lead.copy() if lead is not None else None, event, at, model)
    return after.lead, after.transitions


def advance(lead: Lead, at: int, model: Model) -> tuple[Lead | None, list[Transition]]:
    """Time passes until `at`: everything that is due by then happens, each at its own time.

    `lead'.as_of` moves no further than the last thing that was due. The lead' is None when it has been forgotten.
    """
    after = advance_owned(lead.copy(), at, model)
    return after.lead, after.transitions


class After(msgspec.Struct, frozen=True):
    """What came of a step. `due` is when to call `advance` next (ms), None for never.

    Nothing is due before that instant. Something may be due at it: with a crossing, it may be just the time to look.
    """

    lead: Lead | None
    transitions: list[Transition]
    due: int | None


#: For `due` of `step_owned`: not known, so it is looked for.
UNKNOWN_DUE = 0


def step_owned(
    lead: Lead | None,
    event: Event,
    at: int,
    model: Model,
    due: int | None = UNKNOWN_DUE,
    fresh: Lead | None = None,
) -> After:
    """:func:`step` for a caller that lets `lead` be changed in place, and knows when something will be `due` for it.

    A lead that another model judged is to be carried over first (`succession.succeed`). `fresh` is what an unknown lead
    begins as.
    """
    turn = Turn(lead or fresh or _unknown(event, at), model)
    if lead is not None and due is not None and due <= at:
        pass_time(turn, at)
        if turn.gone:
            gone, lead = turn, None
            turn = Turn(_unknown(event, at), model)
            turn.lead.erased, turn.out = gone.lead.erased, gone.out
    taken = _take(turn, event, at)
    if turn.gone or (lead is None and not taken):
        return After(None, turn.out, None)
    return _after(turn, at)


def advance_owned(lead: Lead, at: int, model: Model) -> After:
    """:func:`advance` for a caller that lets `lead` be changed in place."""
    turn = Turn(lead, model)
    pass_time(turn, at)
    return After(None, turn.out, None) if turn.gone else _after(turn, at)


def _unknown(event: Event, at: int) -> Lead:
    return Lead(event.lead_id, at, stage_since=event.occurred_at)


def _after(turn: Turn, at: int) -> After:
    lead = turn.lead
    lead.judged_by = turn.model.identity
    return After(lead, turn.out, look_again_at(lead, turn.model, at))


def _take(turn: Turn, event: Event, at: int) -> bool:
    """Take the event into the lead. False when it says nothing: an unknown lead keeps nothing of it."""
    lead, model = turn.lead, turn.model
    if event.kind == "erasure":  # whatever its id: a lead that was erased before remembers none
        lead.as_of = at
        turn.forget(at, "ERASED", None)
        asked_at, arrival = event.occurred_at, event.arrival
        turn.out += forget_aliases(lead.lead_id, lead.aliases, event.event_id, asked_at, at, arrival, erased=True)
        return True
    digest = event_digest(event.event_id)
    if is_duplicate(lead, digest):
        turn.ignore("duplicate")
        return False
    lead.as_of = at
    noise = noise_reason(event.kind, event.fields, event.occurred_at, model)
    if noise is None and event.kind == "sales_feedback" and event.fields["disposition"] not in DISPOSITIONS:
        noise = "unknown_disposition"
    if noise is not None:
        turn.ignore(noise)
        return False
    remember_event(lead, digest)
    lead.last_event = at
    cause = _remember(turn, event, at)
    cancelled = event.kind == "demo_booking" and event.fields["status"] in CANCELLED
    if cancelled:
        retract_booking(lead, event.fields["booking_id"], event.occurred_at, model)
    ignored = score_event(lead, event, model)
    if ignored is None:
        if event.occurred_at > lead.last_scored:
            lead.last_scored = event.occurred_at
            lead.inactive = False
    elif event.kind in _BEHAVIOUR and not cancelled:
        turn.ignore(ignored)
    turn.groups_changed()
    judge(turn, at, cause, event.arrival)
    return True


def _remember(turn: Turn, event: Event, at: int) -> str:
    """Note what the event says beside its points. Returns the cause of what the judgement will change."""
    lead, model = turn.lead, turn.model
    if event.kind == "page_view":
        remember_visit(lead, event)
    elif event.kind == "lead_profile":
        address = lead.profile.get("email")
        if update_profile(lead.profile, lead.said, event.fields, event.occurred_at):
            turn.profile_changed()
            link_address(turn, address, event)
        if lead.stage == VISITOR:
            turn.groups_changed()
            turn.change(at, "IDENTIFIED", to=LEAD)
            lead.stage_since = event.occurred_at  # an import's feedback may be older than its handling
        note_facts(lead, event, model)
        return "PROFILE"
    elif event.kind == "sales_feedback":
        take_feedback(turn, event, at)
        return "FEEDBACK"
    note_facts(lead, event, model)
    return "QUALIFIED"


_BEHAVIOUR = frozenset(("page_view", "email_open", "download", "demo_booking", "activity"))
