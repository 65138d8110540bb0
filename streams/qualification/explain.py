"""Why a lead is what it is, what it lacks, and what comes next: all of it by what decides, nothing counted anew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from streams.qualification.due import INACTIVITY, pass_time, pass_to_next
from streams.qualification.events import Changed, Transition
from streams.qualification.lead import CUSTOMER, MQL, OPPORTUNITY, SQL, Lead
from streams.qualification.lifecycle import qualified_until
from streams.qualification.missing import Missing, ToPath, missing_to_mql, missing_to_paths
from streams.qualification.model.values import Model
from streams.qualification.receipt import evidence_lines, fit_lines, group_lines, touch_line
from streams.qualification.turn import QUALIFIABLE, Turn
from streams.qualification.unknown import Unknown, unknown_facts

#: How far ahead time is let pass, how many changes are told, and at how many instants is looked: where an SQL is given
#: up and comes back for ever, there is always a next thing.
AHEAD_MS = 800 * 86_400_000
MOST_AHEAD = 4
_MOST_LOOKS = 100


class Step(msgspec.Struct, frozen=True):
    """What time alone brings about: as in a LifecycleEvent. `at` is ms. Points for inactivity may change no stage."""

    at: int
    cause: str
    from_stage: str
    to_stage: str
    reason: str | None
    interest: float


class Explanation(msgspec.Struct, frozen=True):
    """A lead as of `as_of`. All times are ms.

    `groups`, `evidence`, `fit_evidence` and the touches are the lines of a Qualification record: the groups' `clamped`
    add up to `interest`, the fit points to `fit`. `unknown` has what matters in its stage. `to_mql` is None for who is
    an MQL, or further; `to_sql` has a line a path, none for who is an SQL, or further. `meanwhile` is what time alone
    has brought about since the lead's state was written, `ahead` what it will if nothing more happens, the next few
    things.
    """

    lead_id: str
    as_of: int
    stage: str
    since: int
    route: str
    resting_until: int | None
    respond_by: int | None
    qualified_until: int | None
    qualification_id: str | None
    interest: float
    groups: tuple[dict[str, Any], ...]
    evidence: tuple[dict[str, Any], ...]
    fit: float
    fit_band: str
    fit_evidence: tuple[dict[str, Any], ...]
    persona: str | None
    unknown: tuple[Unknown, ...]
    to_mql: tuple[Missing, ...] | None
    to_sql: tuple[ToPath, ...]
    meanwhile: tuple[Step, ...]
    ahead: tuple[Step, ...]
    first_touch: dict[str, Any] | None
    last_touch: dict[str, Any] | None
    profile: dict[str, Any] | None
    aliases: tuple[str, ...]
    sequence: int
    model: str


def explain(lead: Lead, at: int, model: Model) -> Explanation | None:
    """The lead as of `at` (ms), not before `lead.as_of`, judged by the model that judged it last.

    None when nothing is known of it any more by then. The lead is not changed.
    """
    turn = Turn(lead.copy(), model)
    pass_time(turn, at)
    if turn.gone:
        return None
    now, episode = turn.lead, turn.lead.episode
    further = now.stage in (SQL, OPPORTUNITY, CUSTOMER)
    return Explanation(
        lead_id=now.lead_id,
        as_of=at,
        stage=now.stage,
        since=now.stage_since,
        route=turn.route(at),
        resting_until=now.resting_until or None,
        respond_by=(episode.respond_by or None) if episode is not None else None,
        qualified_until=qualified_until(now, model),
        qualification_id=(episode.qualification_id or None) if episode is not None else None,
        interest=turn.interest(at),
        groups=tuple(group_lines(turn, at)),
        evidence=tuple(evidence_lines(turn, at)),
        fit=turn.fit,
        fit_band=model.band(turn.fit),
        fit_evidence=tuple(fit_lines(turn)),
        persona=now.persona,
        unknown=tuple(one for one in unknown_facts(now.profile, model) if _matters(one, now.stage)),
        to_mql=None if further or now.stage == MQL else missing_to_mql(turn, at),
        to_sql=() if further else missing_to_paths(turn, at),
        meanwhile=steps_of(turn.out),
        ahead=_ahead(now, at, model),
        first_touch=touch_line(now.first_touch),
        last_touch=touch_line(now.last_touch),
        profile=turn.summary(),
        aliases=now.aliases,
        sequence=now.sequence,
        model=model.version,
    )


def _matters(one: Unknown, stage: str) -> bool:
    """Whether what would decide something decides it for a lead in this stage."""
    if one.decides == "fit":
        return True
    if one.decides == "persona":
        return stage in (*QUALIFIABLE, SQL)
    if one.decides in ("mql_requires", "mql_blocked"):
        return stage in QUALIFIABLE and stage != MQL
    return stage in QUALIFIABLE


def steps_of(transitions: Iterable[Transition]) -> tuple[Step, ...]:
    """The lifecycle events among transitions."""
    records = [one.record for one in transitions if isinstance(one, Changed)]
    return tuple(
        Step(
            record["occurred_at"],
            record["cause"],
            record["from_stage"],
            record["to_stage"],
            record["reason"],
            record["interest"],
        )
        for record in records
    )


def _ahead(lead: Lead, at: int, model: Model) -> tuple[Step, ...]:
    """What time will bring about after `at`, up to which it has passed."""
    turn = Turn(lead.copy(), model)
    found: list[Step] = []
    for _ in range(_MOST_LOOKS):
        before, told = turn.lead.stage, len(turn.out)
        due = pass_to_next(turn, at + AHEAD_MS)
        if due is None:
            break
        steps = steps_of(turn.out[told:])
        if due[1] == INACTIVITY and not steps:
            rule = model.inactivity
            assert rule is not None
            reason = f"{rule.points:g} points to {rule.group}"
            steps = (Step(due[0], "INACTIVE", before, before, reason, turn.interest(due[0])),)
        found += steps
        if turn.gone or len(found) >= MOST_AHEAD:
            break
    return tuple(found)
