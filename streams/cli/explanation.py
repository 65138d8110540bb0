"""An explanation in the words of whoever lives on the leads. All times are UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import floor
from typing import Any

from streams.cli.summary import printable
from streams.explaining import Explained, Told
from streams.qualification.explain import Explanation, Step
from streams.qualification.lead import DISQUALIFIED
from streams.qualification.missing import Missing
from streams.qualification.model.units import format_duration
from streams.qualification.model.ways import in_words
from streams.qualification.unknown import Unknown
from streams.relay.handoff import touches, who
from streams.wire.times import LATEST

_ROUTES = {
    "SALES": "a matter for sales",
    "NURTURE": "to be nurtured",
    "LOW_TOUCH": "for a self-serve offer, no sales time",
    "NONE": "not to be approached yet",
}
#: Of the other stages it is plain.
_ROUTED = ("visitor", "lead", "mql", "sql")
_CAUSES = {
    "QUALIFIED": "by what the lead did",
    "COOLED": "interest has faded",
    "ROSE": "what counted against the lead has faded",
    "FEEDBACK": "sales said so",
    "PROFILE": "by what became known of the lead",
    "PERSONA": "nobody to sell to",
    "IDENTIFIED": "the visitor has said who it is",
    "MERGED": "two ids are one lead",
    "LOW_TOUCH": "hot, but a poor fit: a self-serve offer",
    "SLA_BREACHED": "sales did not answer in time",
    "GAVE_UP": "sales did not answer",
    "REST_ENDED": "its rest is over",
    "INACTIVE": "nothing happened for long",
    "ERASED": "erased on request",
    "EXPIRED": "forgotten, as a visitor who does nothing",
    "MODEL_CHANGED": "the model has changed",
}
_ENDS = ("ERASED", "EXPIRED")
#: Texts in columns, in characters: an address says little at its end.
_WIDEST = 60
_MOST_ALIASES = 5


def page(explained: Explained, told: Told) -> Iterator[str]:
    """The lines, each of them fit for a terminal."""
    yield from map(printable, _lines(explained, told))


def _lines(explained: Explained, told: Told) -> Iterator[str]:
    found = explained.explanation
    for place, passed in enumerate(explained.passed):
        is_of = [*(one.id for one in explained.passed[place + 1 :]), found.lead_id][0]
        yield f"{passed.id} is an alias of {is_of} since {_time(passed.since)}."
    yield from _head(found)
    if explained.workers_model is not None:
        yield (
            f"Attention: the workers judge by another model, {explained.workers_model}. This is how it would stand "
            f"if {found.model} took over now."
        )
    yield from _section("Since the workers' last look, without news of the lead:", _steps(found.meanwhile))
    if told.qualification is not None:
        yield from _qualification(told.qualification)
    yield from ("", f"Interest {found.interest:.1f}", *_interest(found))
    yield from ("", f"Fit {_number(found.fit)}{_band(found.fit_band)}", *_fit(found))
    yield from _section("Not known, and would matter:", _aligned(map(_unknown, found.unknown)))
    yield from _lacking(found)
    yield from _section("Next, if nothing more happens:", _steps(found.ahead))
    yield from _section("What happened, newest first:", _lifecycle(told.lifecycle))


def _head(found: Explanation) -> Iterator[str]:
    name = who(found.profile or {}, found.lead_id)
    yield f"{found.lead_id}: {name}" if name != found.lead_id else name
    if found.aliases:
        more = f" and {len(found.aliases) - _MOST_ALIASES} more" if len(found.aliases) > _MOST_ALIASES else ""
        yield f"Has been known as: {', '.join(found.aliases[:_MOST_ALIASES])}{more}"
    yield from touches(found.first_touch, found.last_touch)
    standing = f"{_stage(found.stage)} since {_time(found.since)}"
    if found.stage in _ROUTED:
        standing += f", {_ROUTES[found.route]}"
    if found.persona is not None:
        standing += f"; matches the negative persona {found.persona}"
    if found.resting_until is not None:
        standing += f"; sales has sent it to rest until {_time(found.resting_until)}"
    if found.qualified_until is not None:
        standing += f"; stays one until {_time(found.qualified_until)} if nothing more happens"
    if found.respond_by is not None:
        standing += f"; sales is to answer by {_time(found.respond_by)}"
    yield f"{standing}."
    yield f"As of {_time(found.as_of)} UTC, by model {found.model}."


def _qualification(record: Mapping[str, Any]) -> Iterator[str]:
    given = [
        (f"{one['points_now']:+.1f}", one["name"], one["subject"] or "", _contributed(one))
        for one in sorted(record["evidence"], key=lambda one: -one["points_now"])
        if one["kind"] != "other"
    ]
    when, scores = _time(record["occurred_at"]), f"interest {record['interest']:.1f}, fit {_number(record['fit'])}"
    by = f" by {record['path']}" if record["path"] else ""
    yield from _section(
        f"Qualified last: {record['stage']}{by} on {when}, with {scores}{_band(record['fit_band'])}",
        [f"  {record['reason']}", *_aligned(given)],
    )


def _interest(found: Explanation) -> Iterator[str]:
    width = max((len(group["group"]) for group in found.groups), default=0)
    for group in found.groups:
        bounds = [
            f"{words} {_number(group[bound])}"
            for bound, words in (("cap", "at most"), ("floor", "no less than"))
            if group[bound] is not None
        ]
        cut = f"cut from {group['raw']:.1f}" if group["raw"] != group["clamped"] else ""
        halves = f"halves in {in_words(round(group['half_life_s'] * 1000))}"
        says = ", ".join(part for part in (cut, halves, *bounds) if part)
        yield f"  {group['group']:<{width}}  {group['clamped']:6.1f}  {says}"
        mine = [one for one in found.evidence if one["group"] == group["group"]]
        yield from (f"  {line}" for line in _aligned([_contribution(one) for one in mine]))


def _contribution(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["kind"] == "other":
        return f"{one['points_now']:+.1f}", "all others", "", ""
    return f"{one['points_now']:+.1f}", one["name"], one["subject"] or "", _contributed(one)


def _contributed(one: Mapping[str, Any]) -> str:
    return f"{_number(one['points'])} points on {_time(one['occurred_at'])}"


def _fit(found: Explanation) -> Iterator[str]:
    return _aligned((f"{line['points']:+g}", line["name"]) for line in found.fit_evidence)


def _unknown(one: Unknown) -> tuple[str, str]:
    facts = ", ".join(map(_words, one.facts))
    if one.decides == "fit":
        return facts, f"{one.points:+g} fit {'unless' if one.holds else 'if'} {one.asks}"
    when = "as long as" if one.holds else "if"
    if one.decides == "persona":
        return facts, f"nobody to sell to ({one.name}) {when} {one.asks}"
    if one.decides == "mql_requires":
        return facts, "must be known of an MQL"
    if one.decides == "sql_path":
        return facts, f"SQL by {one.name} takes {one.asks}"
    stage = "an MQL" if one.decides == "mql_blocked" else "an SQL"
    return facts, f"can't become {stage} {when} {one.asks}"


def _lacking(found: Explanation) -> Iterator[str]:
    if found.stage == DISQUALIFIED:
        yield from _section("Missing to MQL and SQL:", ["  it is disqualified, and stays so unless sales sells to it"])
        return
    if found.to_mql is not None:
        yield from _section("Missing to MQL:", (f"  {_missing(one)}" for one in found.to_mql))
    paths = [(path.name, "; ".join(map(_missing, path.missing))) for path in found.to_sql]
    yield from _section("Missing to SQL, by whichever comes first:", _aligned(paths))


def _missing(one: Missing) -> str:
    within = f" within {format_duration(one.within_ms)}" if one.within_ms is not None else ""
    if one.what == "interest":
        assert one.has is not None
        assert one.needs is not None
        shown = round(one.has, 1) if round(one.has, 1) < one.needs else floor(one.has * 10) / 10
        return f"interest {one.needs:g} (is {shown:.1f})"
    if one.what == "fit":
        return f"fit {one.needs:g} (is {one.has:g})"
    if one.what == "contact":
        return f"to be known: {', '.join(map(_words, one.names))}"
    if one.what == "visits":
        return f"visits on {one.needs:g} days{within} (are {one.has:g})"
    if one.what == "bant":
        return f"{one.needs:g} of budget, authority, need and timeline confirmed (are {one.has:g})"
    if one.what == "rest":
        return f"the end of its rest on {_time(one.until or 0)}"
    name = ", ".join(one.names)
    if one.what == "fact":
        return f"{_words(name)}{within}" + (f", after {_time(one.after)}" if one.after is not None else "")
    if one.what == "blocked":
        return f"blocked, as {name}"
    return f"another place in the matrix than {name}"


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    return _aligned(_step(one.at, one.from_stage, one.to_stage, one.cause, one.reason) for one in steps)


def _lifecycle(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    return _aligned(
        _step(one["occurred_at"], one["from_stage"], one["to_stage"], one["cause"], one["reason"])
        for one in reversed(records)
    )


def _step(at: int, before: str, after: str, cause: str, reason: str | None) -> tuple[str, str, str]:
    if cause in _ENDS:
        change = f"{_stage(before)} -> nothing"
    else:
        change = f"{_stage(before)} -> {_stage(after)}" if before != after else f"still {_stage(after)}"
    words = _CAUSES.get(cause, cause)
    return _time(at), change, f"{words}: {reason}" if reason and reason != words else words


def _stage(stage: str) -> str:
    return stage.upper() if stage in ("mql", "sql") else stage


def _band(band: str) -> str:
    return f" ({band})" if band else ""


def _words(name: str) -> str:
    return name.removeprefix("attributes.").replace("_", " ")


def _number(points: float) -> str:
    return f"{round(points, 1):g}"


def _time(at: int) -> str:
    if at > LATEST:
        return "after the year 9999"
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines under a title; nothing where there are none."""
    kept = list(lines)
    if kept:
        yield ""
        yield title
        yield from kept


def _aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows of texts in columns; the last one is as long as it is."""
    kept = [(*map(_cut, row[:-1]), row[-1]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    for row in kept:
        cells = (f"{text:<{width}}" for text, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
