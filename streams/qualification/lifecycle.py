"""Stages: when a lead becomes an MQL or SQL, cools, rests, is disqualified, and what is said about it."""

from __future__ import annotations

from streams.qualification.crossing import interest_of, next_crossing
from streams.qualification.decay import add
from streams.qualification.fit import confirmed_bant
from streams.qualification.ids import output_id
from streams.qualification.interest import parts_of
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
from streams.qualification.memory import path_fact, visits_within
from streams.qualification.model.values import Model, SqlPath
from streams.qualification.receipt import qualification
from streams.qualification.turn import QUALIFIABLE, Turn

SCORE_EVERY_MS = 6 * 3_600_000


def judge(turn: Turn, at: int, cause: str, arrival: int = 0) -> None:
    """Judge the lead as of `at`: change its stage where the model says so, and write its score when that is due.

    `cause` names what brought this about (a LifecycleEvent's cause); `arrival` is when sales could first know (ms).
    """
    lead, model = turn.lead, turn.model
    if lead.persona is not None and lead.stage in (VISITOR, LEAD, MQL, SQL):
        qualification_id = lead.episode.qualification_id if lead.episode else None
        reason = f"negative persona: {lead.persona}"
        turn.change(at, "PERSONA", to=DISQUALIFIED, reason=reason, qualification_id=qualification_id)
        lead.resting_until = 0
        end_episode(lead, at)
    if lead.stage in QUALIFIABLE:
        path = sql_path(turn, at)
        if path is not None:
            qualify(turn, at, SQL, cause, path=path, arrival=arrival)
        elif lead.stage != MQL:
            if may_be_mql(turn, at):
                qualify(turn, at, MQL, cause)
        elif turn.interest(at) < model.mql.cools_below:
            cool(turn, at, "INACTIVE" if cause == "INACTIVE" else "COOLED")
    route = turn.route(at)
    _low_touch(turn, at, route)
    _score(turn, at, route)


def sql_path(turn: Turn, at: int) -> SqlPath | None:
    """The first of the model's paths that holds at `at`, unless something blocks it.

    A resting lead has been answered by sales: only a new fact, such as another booked demo, takes it back there.
    """
    lead, model = turn.lead, turn.model
    fit, knows_facts = lead.fit, bool(lead.facts or lead.bookings)
    for path in model.sql_paths:
        # What rules out most paths for most leads, before anything is called.
        if (path.fit is not None and fit < path.fit) or (path.fact is not None and not knows_facts):
            continue
        if (path.fact is not None or not lead.resting) and _holds(turn, path, at):
            blocked_by = model.sql_blocked_by
            return None if blocked_by is not None and blocked_by.matches(lead.profile) else path
    return None


def _holds(turn: Turn, path: SqlPath, at: int) -> bool:
    """Whether what the path asks beside fit holds at `at`. Cheap conditions first."""
    lead = turn.lead
    return (
        (path.fact is None or path_fact(lead, path, at) is not None)
        and (path.interest is None or turn.interest(at) >= path.interest)
        and (path.bant is None or confirmed_bant(lead.profile) >= path.bant)
        and (path.visits is None or visits_within(lead, at, path.visits) >= path.visits.at_least)
    )


def may_be_mql(turn: Turn, at: int) -> bool:
    """Whether the matrix puts the lead into nurture, its contact facts are known, and nothing blocks it.

    `check` refuses a model whose cells disagree with its thresholds. In one that is used nonetheless both must say so,
    or an MQL would cool as soon as it is one.
    """
    lead, mql = turn.lead, turn.model.mql
    if turn.fit < mql.fit or turn.interest(at) < mql.interest:
        return False
    if lead.resting or turn.model.matrix.cell(turn.fit, turn.interest(at)) not in ("NURTURE", "SALES"):
        return False
    if any(lead.profile.get(field) is None for field in mql.requires):
        return False
    return mql.blocked_by is None or not mql.blocked_by.matches(lead.profile)


def qualify(
    turn: Turn,
    at: int,
    stage: str,
    cause: str,
    *,
    path: SqlPath | None = None,
    arrival: int = 0,
    answered: bool = False,
) -> None:
    """Make the lead an MQL or SQL: its episode begins or goes on; Qualification and LifecycleEvent are emitted."""
    lead, model = turn.lead, turn.model
    previous = lead.stage
    lead.sequence += 1
    event_id = output_id(lead.lead_id, stage, at, lead.sequence)
    episode = lead.episode or Episode(output_id(lead.lead_id, "episode", at, lead.sequence), at)
    respond_by = give_up_at = 0
    if stage == SQL and model.sla is not None and not answered:
        known_at = max(at, arrival)
        respond_by = known_at + model.sla.respond_within_ms
        give_up_at = known_at + model.sla.give_up_ms
    lead.episode = Episode(
        episode.episode_id,
        episode.started_at,
        event_id if stage == MQL else episode.mql_id,
        event_id if stage == SQL else episode.sql_id,
        respond_by,
        give_up_at,
    )
    lead.resting_until = 0
    lead.stage = stage  # the receipt shows the stage that it grants
    record = qualification(turn, at, event_id, previous, path, qualified_until(lead, model))
    lead.stage = previous
    turn.qualified(record)
    turn.change(
        at,
        cause,
        to=stage,
        reason=record["reason"],
        qualification_id=event_id,
        respond_by=respond_by or None,
    )


def cool(turn: Turn, at: int, cause: str) -> None:
    """An MQL goes back to lead; its episode ends."""
    episode = turn.lead.episode
    reason = f"interest fell below {turn.model.mql.cools_below:g}"
    turn.change(at, cause, to=LEAD, reason=reason, qualification_id=episode.qualification_id if episode else None)
    end_episode(turn.lead, at)


def end_episode(lead: Lead, at: int) -> None:
    lead.episode = None
    lead.episode_ended = at


def rest(turn: Turn, at: int, cause: str, reason: str | None, said: str | None, answered: int | None = None) -> None:
    """Sales is through with the lead for now: it rests as long as `reason` says, or is disqualified.

    The LifecycleEvent, with `said` in words, belongs to the episode that it ends. `answered`: see `Changed`.
    """
    lead, rules = turn.lead, turn.model.rest
    lasts = rules.lasts(reason)
    qualification_id = lead.episode.qualification_id if lead.episode else None
    if lasts is None:
        turn.change(at, cause, to=DISQUALIFIED, reason=said, qualification_id=qualification_id, answered=answered)
        lead.resting_until = 0
        lead.barred = True
    else:
        lead.resting_until = at + lasts
        turn.change(
            at,
            cause,
            to=LEAD,
            reason=said,
            qualification_id=qualification_id,
            rested=rules.named(reason),
            answered=answered,
        )
    end_episode(lead, at)


def qualified_until(lead: Lead, model: Model) -> int | None:
    """When an MQL will cool if nothing more happens, inactivity points included (ms); None for other stages.

    The lead's groups already hold everything up to `lead.as_of`.
    """
    if lead.stage != MQL:
        return None
    groups = {group.name: (group, decayed) for group, decayed in parts_of(lead, model)}
    threshold = model.mql.cools_below
    inactive_at = inactive_due(lead, model)
    after = lead.as_of
    while True:
        crossing = next_crossing(list(groups.values()), threshold, after)
        if inactive_at is None or (crossing is not None and crossing <= inactive_at):
            return crossing
        assert model.inactivity is not None
        group = model.groups[model.inactivity.group]
        held = groups[group.name][1] if group.name in groups else None
        groups[group.name] = group, add(held, model.inactivity.points, inactive_at, group.half_life_ms)
        if interest_of(groups.values(), inactive_at) < threshold:
            return inactive_at
        after, inactive_at = inactive_at, None


def inactive_due(lead: Lead, model: Model) -> int | None:
    """When the current silence will have lasted long enough for inactivity points, never before `lead.as_of`."""
    if model.inactivity is None or lead.inactive or not lead.last_scored:
        return None
    return max(lead.last_scored + model.inactivity.after_ms, lead.as_of)


def _low_touch(turn: Turn, at: int, route: str) -> None:
    """Tell once that a known lead of low fit is hot, until it has cooled."""
    lead, model = turn.lead, turn.model
    routed = route == "LOW_TOUCH"
    if lead.low_touch:
        if not routed and turn.interest(at) < model.low_touch_ends_below:
            lead.low_touch = False
    elif routed and lead.stage in (LEAD, MQL):
        lead.low_touch = True
        turn.change(at, "LOW_TOUCH", reason=f"interest {turn.interest(at):.1f} with fit {turn.fit:g}")


def _score(turn: Turn, at: int, route: str) -> None:
    """Write the score on a change of stage, band or route, and from MQL up now and then while it changes."""
    lead, model = turn.lead, turn.model
    written = lead.written
    if written is None:
        new = lead.stage != VISITOR or route != "NONE" or model.band(lead.fit) != model.band(0.0)
    elif written.stage != lead.stage or written.route != route or written.band != model.band(lead.fit):
        new = True
    else:
        new = (
            lead.stage in (MQL, SQL, OPPORTUNITY, CUSTOMER)
            and at - written.at >= SCORE_EVERY_MS
            and (written.interest, written.fit) != (turn.interest(at), turn.fit)
        )
    if new:
        turn.write_score(at, qualified_until(lead, model))
