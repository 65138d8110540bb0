"""Sales' answers: what each disposition does to a lead of each stage."""

from __future__ import annotations

from streams.qualification.events import Event
from streams.qualification.lead import (
    CUSTOMER,
    DISQUALIFIED,
    LEAD,
    MQL,
    OPPORTUNITY,
    SQL,
    VISITOR,
    Episode,
    Lead,
)
from streams.qualification.lifecycle import end_episode, qualify, rest
from streams.qualification.model.values import Model, SqlPath
from streams.qualification.turn import Turn

#: The path of an SQL that sales took on by itself.
SALES_PATH = SqlPath("sales")

#: The dispositions that say something; an event with any other is ignored.
DISPOSITIONS = ("ACCEPTED", "MEETING_HELD", "OPPORTUNITY", "WON", "LOST", "REJECTED")
_REFUSALS = ("LOST", "REJECTED")
_STAYS = ""
_EARLY = (SQL, SQL, OPPORTUNITY, CUSTOMER, LEAD, LEAD)
#: stage -> the new stage per disposition, in the order above
_TABLE = {
    VISITOR: _EARLY,
    LEAD: _EARLY,
    MQL: _EARLY,
    SQL: (_STAYS, _STAYS, OPPORTUNITY, CUSTOMER, LEAD, LEAD),
    OPPORTUNITY: (_STAYS, _STAYS, _STAYS, CUSTOMER, LEAD, LEAD),
    CUSTOMER: (_STAYS,) * 6,
    DISQUALIFIED: (_STAYS, _STAYS, OPPORTUNITY, CUSTOMER, _STAYS, _STAYS),
}


def take_feedback(turn: Turn, event: Event, at: int) -> None:
    """Apply a SalesFeedback with one of `DISPOSITIONS`. Each leaves a LifecycleEvent, changed stage or not."""
    lead, fields = turn.lead, event.fields
    disposition = fields["disposition"]
    said = _in_words(disposition, fields["reason"], fields["actor"])
    answers = fields["qualification_id"]
    if answers is not None and not _current(lead, answers):
        turn.change(at, "FEEDBACK", reason=f"{said}, about an earlier episode", qualification_id=answers)
        return
    if event.occurred_at < lead.stage_since:
        turn.change(at, "FEEDBACK", reason=f"{said}, older than the stage", qualification_id=answers)
        return
    target = _TABLE[lead.stage][DISPOSITIONS.index(disposition)]
    qualification_id = answers or (lead.episode.qualification_id if lead.episode else None)
    took = _response(turn, event, bool(target))
    if target == LEAD:
        rest(turn, at, "FEEDBACK", fields["reason"], said, took)
    elif target == SQL:
        qualify(turn, at, SQL, "FEEDBACK", path=SALES_PATH, answered=True)
    else:
        if lead.stage == SQL:
            _answered(lead)
        _bar(lead, turn.model, target, disposition, fields["reason"])
        lead.resting_until = 0 if target else lead.resting_until
        turn.change(at, "FEEDBACK", to=target or None, reason=said, qualification_id=qualification_id, answered=took)
        if target == CUSTOMER:
            end_episode(lead, at)
    if target:
        # The answer's own time, not when it was handled: of two that come late together both count. An answer that
        # leaves a lead a lead, but resting, counts as well: an older one must not overrule it.
        lead.stage_since = event.occurred_at


def _current(lead: Lead, qualification_id: str) -> bool:
    return lead.episode is not None and qualification_id in (lead.episode.mql_id, lead.episode.sql_id)


def _response(turn: Turn, event: Event, leaves: bool) -> int | None:
    """How long (ms) sales took for its first answer to an SQL; None when this is not it.

    Without an SLA nothing is kept of answers that leave the lead an SQL; then the one counts by which it `leaves`.
    """
    lead = turn.lead
    waited_for = leaves if turn.model.sla is None else lead.episode is not None and lead.episode.give_up_at > 0
    return max(0, event.occurred_at - lead.stage_since) if lead.stage == SQL and waited_for else None


def _answered(lead: Lead) -> None:
    """Any answer to an SQL meets its SLA."""
    episode = lead.episode
    if episode is not None:
        lead.episode = Episode(episode.episode_id, episode.started_at, episode.mql_id, episode.sql_id)


def _bar(lead: Lead, model: Model, target: str, disposition: str, reason: str | None) -> None:
    """Whom a persona has disqualified sales may refuse for ever, too; whom it takes on it no longer does."""
    if target:
        lead.barred = False
    elif lead.stage == DISQUALIFIED and disposition in _REFUSALS and model.rest.lasts(reason) is None:
        lead.barred = True


def _in_words(disposition: str, reason: str | None, actor: str | None) -> str:
    words = disposition.replace("_", " ").lower()
    return words + (f": {reason}" if reason else "") + (f" (by {actor})" if actor else "")
