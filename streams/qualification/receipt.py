"""The receipt: a Qualification record with the evidence that a salesperson, or an auditor, can add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from streams.qualification.decay import clamp, value_at
from streams.qualification.fit import confirmed_bant, fit_points
from streams.qualification.lead import Contribution, Touch
from streams.qualification.memory import path_fact, visits_within
from streams.qualification.model.values import LOWEST_BAND, SqlPath

if TYPE_CHECKING:
    from streams.qualification.turn import Turn

#: How far the lines of a receipt may be from its totals, in points; of those so large that floats are farther apart, as
#: a share.
TOLERANCE = 1e-6
_SHARE = 1e-12
OTHER = "other"
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


def qualification(
    turn: Turn, at: int, event_id: str, previous: str, path: SqlPath | None, until: int | None
) -> dict[str, Any]:
    """The Qualification record of the turn's lead as of `at`; its stage is already the new one."""
    lead, model = turn.lead, turn.model
    interest, fit = turn.interest(at), turn.fit
    episode = lead.episode
    assert episode is not None, "a qualification belongs to an episode"
    threshold = model.mql.interest if path is None else path.interest or 0.0
    evidence = evidence_lines(turn, at)
    return {
        "event_id": event_id,
        "lead_id": lead.lead_id,
        "occurred_at": at,
        "sequence": lead.sequence,
        "stage": lead.stage.upper(),
        "previous_stage": previous,
        "episode_id": episode.episode_id,
        "route": turn.route(at),
        "path": path.name if path is not None else None,
        "reason": _reason(turn, at, path, threshold, evidence),
        "interest": interest,
        "fit": fit,
        "threshold": threshold,
        "fit_band": model.band(fit),
        "qualified_until": until,
        "respond_by": episode.respond_by or None,
        "model": model.version,
        "groups": group_lines(turn, at),
        "evidence": evidence,
        "fit_evidence": fit_lines(turn),
        "first_touch": touch_line(lead.first_touch),
        "last_touch": touch_line(lead.last_touch),
        "profile": turn.summary(),
    }


def verify_receipt(record: Mapping[str, Any]) -> list[str]:
    """What does not add up in a Qualification record, in words; empty when all of it does.

    Needs nothing but the record: each group's lines must add up to its raw value, each contribution must have faded by
    the group's half-life, the clamped values must add up to interest, the fit points to fit, and interest must reach
    the threshold that is stated (0: what held asks for no interest). No group may be stated twice. Times may be ms, as
    in Avro's bytes, aware datetimes, as Avro's readers make of them, or RFC 3339, as `leadstream tail` prints them.
    """
    wrong: list[str] = []
    groups = {line["group"]: line for line in record["groups"]}
    at = _milliseconds(record["occurred_at"])
    wrong += [f"{name} is stated {times} times" for name, times in _repeated(record["groups"])]
    threshold, interest = record["threshold"], record["interest"]
    if threshold and not interest >= threshold - max(TOLERANCE, _SHARE * abs(threshold)):
        wrong.append(f"interest: {interest!r}, but {threshold!r} is to be reached")
    for name, line in groups.items():
        lines = [one for one in record["evidence"] if one["group"] == name]
        _compare_sum(wrong, f"evidence of {name}", [one["points_now"] for one in lines], line["raw"])
        _compare(wrong, f"clamp of {name}", clamp(line["raw"], line["floor"], line["cap"]), line["clamped"])
        half_life = round(line["half_life_s"] * 1000)
        if half_life <= 0:
            wrong.append(f"half-life of {name}: {line['half_life_s']!r} seconds")
            continue
        for one in lines:
            now = value_at(one["points"], _milliseconds(one["occurred_at"]), at, half_life)
            _compare(wrong, f"decay of {one['name']} in {name}", now, one["points_now"])
    for one in record["evidence"]:
        if one["group"] not in groups:
            wrong.append(f"evidence for {one['group']}, which is not among the groups")
    _compare_sum(wrong, "groups", [line["clamped"] for line in groups.values()], record["interest"])
    _compare_sum(wrong, "fit points", [line["points"] for line in record["fit_evidence"]], record["fit"])
    return wrong


def _repeated(groups: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(name, times) for name, times in Counter(line["group"] for line in groups).items() if times > 1]


def _milliseconds(time: int | datetime | str) -> int:
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return (time - _EPOCH) // _MS if isinstance(time, datetime) else time


def _compare_sum(wrong: list[str], what: str, lines: list[float], expected: float) -> None:
    _compare(wrong, what, sum(lines), expected, sum(map(abs, lines)))


def _compare(wrong: list[str], what: str, found: float, expected: float, size: float = 0.0) -> None:
    if not abs(found - expected) <= max(TOLERANCE, _SHARE * max(size, abs(expected))):
        wrong.append(f"{what}: {found!r}, but {expected!r} is stated")


def group_lines(turn: Turn, at: int) -> list[dict[str, Any]]:
    """What each group is worth at `at`: clamped, these add up to the interest."""
    lines = []
    for name, group in turn.model.groups.items():
        decayed = turn.lead.groups.get(name)
        if decayed is not None:
            raw = value_at(*decayed, at, group.half_life_ms)
            lines.append(
                {
                    "group": name,
                    "raw": raw,
                    "half_life_s": group.half_life_ms / 1000,
                    "floor": group.floor,
                    "cap": group.cap,
                    "clamped": clamp(raw, group.floor, group.cap),
                }
            )
    return lines


def evidence_lines(turn: Turn, at: int) -> list[dict[str, Any]]:
    """Per group its strongest contributions, strongest first, and one line for all others together."""
    lines = []
    for name, group in turn.model.groups.items():
        decayed = turn.lead.groups.get(name)
        if decayed is None:
            continue
        rest = value_at(*decayed, at, group.half_life_ms)
        strongest = turn.lead.strongest.get(name, ())
        for one in strongest:
            now = value_at(one.points, one.occurred_at, at, group.half_life_ms)
            rest -= now
            lines.append(_contribution(one, name, now))
        if not strongest or abs(rest) > TOLERANCE / 10:
            # What the others were worth when given is not kept; their line states what they are worth now.
            other = Contribution(OTHER, OTHER, None, rest, at)
            lines.append(_contribution(other, name, rest))
    return lines


def fit_lines(turn: Turn) -> list[dict[str, Any]]:
    """The fit rules that give points: these add up to the fit."""
    return [{"name": rule.name, "points": rule.points} for rule in fit_points(turn.lead.profile, turn.model)]


def _contribution(one: Contribution, group: str, now: float) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "subject": one.subject,
        "group": group,
        "points": one.points,
        "points_now": now,
        "occurred_at": one.occurred_at,
    }


def touch_line(touch: Touch | None) -> dict[str, Any] | None:
    if touch is None:
        return None
    return {
        "source": touch.source,
        "medium": touch.medium,
        "campaign": touch.campaign,
        "referrer": touch.referrer,
        "url": touch.url,
        "occurred_at": touch.occurred_at,
    }


def _reason(turn: Turn, at: int, path: SqlPath | None, threshold: float, evidence: list[dict[str, Any]]) -> str:
    """One sentence: what held, and what counted most."""
    lead = turn.lead
    interest = f"interest {turn.interest(at):.1f}"
    # A band cut-off may not name fit at all; D is the absence of one.
    band = turn.model.band(turn.fit)
    fit = f"fit {turn.fit:g}" + (f" ({band})" if band != LOWEST_BAND else "")
    if path is None:
        held = [f"{interest} reached {threshold:g}", f"{fit} reached {turn.model.mql.fit:g}"]
    else:
        held = []
        if path.fact is not None:
            since = path_fact(lead, path, at)
            held.append(f"{path.fact.replace('_', ' ')} {_age(at - (since or at))}")
        if path.visits is not None:
            days = path.visits.within_ms // 86_400_000
            held.append(f"{visits_within(lead, at, path.visits)} visits within {days} days")
        if path.interest is not None:
            held.append(f"{interest} reached {path.interest:g}")
        if path.fit is not None:
            held.append(f"{fit} reached {path.fit:g}")
        if path.bant is not None:
            held.append(f"{confirmed_bant(lead.profile)} of budget, authority, need and timeline confirmed")
    if not held:  # no path of the model's: sales said so
        return f"Taken on by sales with {interest} and {fit}."
    counted = _counted_most(evidence)
    sentence = " and ".join(held)
    return sentence[0].upper() + sentence[1:] + (f"; most of it from {counted}." if counted else ".")


def _counted_most(evidence: list[dict[str, Any]]) -> str:
    """The rules that count most now, with how often each is among the evidence: "pricing page (2x), demo"."""
    totals: dict[str, tuple[float, int]] = {}
    for one in evidence:
        if one["points_now"] > 0 and one["kind"] != OTHER:  # a rule may have that name, an event never that kind
            points, times = totals.get(one["name"], (0.0, 0))
            totals[one["name"]] = points + one["points_now"], times + 1
    strongest = sorted(totals.items(), key=lambda item: -item[1][0])[:3]
    return ", ".join(name + (f" ({times}x)" if times > 1 else "") for name, (_, times) in strongest)


def _age(age_ms: int) -> str:
    days = age_ms // 86_400_000
    return "today" if days < 1 else "yesterday" if days < 2 else f"{days} days ago"
