"""Models and events made by hand, field by field, for tests that must not depend on how files are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import count
from typing import Any

from streams.qualification.events import Event, event_of
from streams.qualification.model.conditions import Condition, compile_condition
from streams.qualification.model.fields import FIELDS
from streams.qualification.model.values import (
    Fact,
    FitRule,
    Group,
    Inactivity,
    Matrix,
    Model,
    MqlRule,
    Noise,
    Persona,
    PointsPer,
    Rest,
    Rule,
    Sla,
    SqlPath,
    Visits,
)

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
#: Monday 2026-06-01 00:00 UTC: where handmade histories begin.
START = 1_780_272_000_000
LEAD_ID = "lead-1"

_numbers = count(1)


def days(number: float) -> int:
    """The instant (ms) that lies `number` days after the start of handmade histories."""
    return START + round(number * DAY)


def event(kind: str, at: int, /, *, arrival: int | None = None, event_id: str | None = None, **fields: Any) -> Event:
    """An event of `kind` that happened at `at` (ms), with all fields of its record, None by default."""
    record: dict[str, Any] = dict.fromkeys(FIELDS.get(kind, {}))
    record |= {"event_id": event_id or f"event-{next(_numbers)}", "lead_id": LEAD_ID, "occurred_at": at}
    return event_of(kind, record | fields, at if arrival is None else arrival)


def page_view(at: int, url: str = "https://example.com/", **fields: Any) -> Event:
    return event("page_view", at, url=url, **fields)


def pricing(at: int, **fields: Any) -> Event:
    return page_view(at, "https://example.com/pricing", **fields)


def download(at: int, funnel_stage: str = "TOP", **fields: Any) -> Event:
    return event("download", at, **{"asset_id": "paper", "funnel_stage": funnel_stage, **fields})


def booking(at: int, status: str = "BOOKED", booking_id: str = "demo-1", **fields: Any) -> Event:
    return event("demo_booking", at, booking_id=booking_id, status=status, **fields)


def activity(at: int, kind: str, **fields: Any) -> Event:
    return event("activity", at, **{"kind": kind, "attributes": {}, **fields})


def profile(at: int, **fields: Any) -> Event:
    return event("lead_profile", at, **{"attributes": {}, **fields})


def feedback(at: int, disposition: str, qualification_id: str | None = None, **fields: Any) -> Event:
    return event("sales_feedback", at, disposition=disposition, qualification_id=qualification_id, **fields)


def erasure(at: int) -> Event:
    return event("erasure", at)


#: A profile of fit 70, A, that may be written to.
BUYER: Mapping[str, Any] = {
    "email": "vera@example.com",
    "employees": 500,
    "industry": "software",
    "job_title": "Director of Sales",
}


def buyer(at: int, **fields: Any) -> Event:
    return profile(at, **{**BUYER, **fields})


def when(kind: str, /, **spec: Any) -> Condition:
    return compile_condition(spec, FIELDS[kind])


def _rule(
    name: str,
    on: str,
    group: str,
    points: float | PointsPer,
    spec: Mapping[str, Any] | None = None,
    **more: Any,
) -> Rule:
    flat = {"points_per": points} if isinstance(points, PointsPer) else {"points": float(points)}
    return Rule(name, on, when(on, **(spec or {})), group, **flat, **more)


def by_kind(rules: Iterable[Rule]) -> dict[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in rules:
        found[rule.on] = (*found.get(rule.on, ()), rule)
    return found


def facts_by_kind(facts: Iterable[Fact]) -> dict[str, tuple[Fact, ...]]:
    found: dict[str, tuple[Fact, ...]] = {}
    for fact in facts:
        found[fact.on] = (*found.get(fact.on, ()), fact)
    return found


_RULES = (
    _rule("pricing page", "page_view", "web", 10, {"url": "*/pricing*"}, at_most=2),
    _rule("case study", "page_view", "content", 6, {"url": "*/case-studies/*"}),
    _rule("page", "page_view", "web", 1, at_most=10),
    _rule("time on page", "page_view", "web", PointsPer("duration_ms", 60_000, 1.0, 5), also=True),
    _rule("open", "email_open", "email", 2, at_most=1),
    _rule("buyer's content", "download", "content", 20, {"funnel_stage": "BOTTOM"}),
    _rule("content", "download", "content", 8),
    _rule("demo", "demo_booking", "intent", 60, {"status": ["BOOKED", "ATTENDED"]}),
    _rule("reply", "activity", "email", 12, {"kind": "email_reply"}),
    _rule("webinar", "activity", "content", 12, {"kind": "webinar_attended"}),
    _rule("unsubscribe", "activity", "disengagement", -50, {"kind": "unsubscribe"}),
)
_FACTS = (
    Fact(
        "demo_booked",
        "demo_booking",
        when("demo_booking", status=["BOOKED", "RESCHEDULED"]),
        when("demo_booking", status=["CANCELLED", "NO_SHOW"]),
    ),
    Fact("buyers_content", "download", when("download", funnel_stage="BOTTOM")),
)

#: The default model file, field by field.
DEFAULT = Model(
    version="default-2026-11",
    groups={
        group.name: group
        for group in (
            Group("web", 30 * DAY, cap=40),
            Group("email", 21 * DAY, cap=20),
            Group("content", 60 * DAY, cap=40),
            Group("intent", 45 * DAY, cap=100),
            Group("disengagement", 45 * DAY, floor=-60),
        )
    },
    rules=by_kind(_RULES),
    inactivity=Inactivity(30 * DAY, "disengagement", -10.0),
    facts={fact.name: fact for fact in _FACTS},
    facts_on=facts_by_kind(_FACTS),
    fit=(
        FitRule("company size", when("lead_profile", employees={"at_least": 200}), 25.0),
        FitRule("industry", when("lead_profile", industry=["software", "finance"]), 20.0),
        FitRule("job title", when("lead_profile", job_title="*director*|*head of*|*vp*|*chief*"), 25.0),
    ),
    fit_bands=(("A", 60), ("B", 40), ("C", 20)),
    negative_personas=(Persona("student", when("lead_profile", job_title="student")),),
    matrix=Matrix(40, 20, 60, ("NONE", "NURTURE", "SALES"), ("NONE", "NONE", "LOW_TOUCH")),
    mql=MqlRule(20, 40, 0.5, ("email",), when("lead_profile", unsubscribed=True)),
    sql_paths=(
        SqlPath("demo", fact="demo_booked"),
        SqlPath("hot", interest=60, fit=40),
        SqlPath("returning", fact="buyers_content", within_ms=30 * DAY, visits=Visits(3, 14 * DAY), fit=40),
        SqlPath("bant", interest=30, fit=40, bant=3),
    ),
    sql_blocked_by=when("lead_profile", budget="ABSENT"),
    sla=Sla(24 * HOUR, 14 * DAY),
    rest=Rest(30 * DAY, {"no_budget": 90 * DAY, "competitor": None}),
    visitor_ttl_ms=180 * DAY,
    grace_ms=2 * MINUTE,
    noise=Noise(10_000, (ip_network("10.0.0.0/8"),), True),
)

#: The default model without what depends on the order of arrival by its nature.
UNLIMITED = replace(
    DEFAULT,
    rules={kind: tuple(replace(rule, at_most=None) for rule in rules) for kind, rules in DEFAULT.rules.items()},
    inactivity=None,
)
