"""What a record says, by the names that a field mapping may use.

Three kinds of facts, since each is fresh or stale by itself: the lead's *state* (newest record of any kind), its
*profile* (fills what the CRM doesn't know; never corrects sales), and its *qualification* (newest Qualification alone).
A fact that a record doesn't speak of is absent; one that it denies is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.relay.handoff import handoff_text

Facts = dict[str, Any]
Record = Mapping[str, Any]

#: Facts that are instants, in ms since the epoch.
TIMES: Final = frozenset({"qualified_until", "respond_by", "qualified_at", "as_of"})

STATE: Final = (
    "lead_id",
    "sequence",
    "stage",
    "route",
    "score",
    "interest",
    "fit",
    "fit_band",
    "qualified_until",
    "as_of",
    "model",
)
PROFILE: Final = (
    "email",
    "name",
    "first_name",
    "last_name",
    "phone",
    "company",
    "company_domain",
    "job_title",
    "country",
    "budget",
    "authority",
    "need",
    "timeline",
    "expected_amount",
    "unsubscribed",
)
QUALIFICATION: Final = (
    "qualification_id",
    "qualified_at",
    "reason",
    "path",
    "respond_by",
    "threshold",
    "handoff",
    "first_touch_source",
    "first_touch_medium",
    "first_touch_campaign",
    "last_touch_source",
    "last_touch_medium",
    "last_touch_campaign",
)
FACTS: Final = (*STATE, *PROFILE, *QUALIFICATION)

_STATE_FIELDS: Final = ("lead_id", "sequence", "route", "interest", "fit", "fit_band", "qualified_until", "model")


def state_facts(record: Record) -> Facts:
    """The state facts of a Qualification, LifecycleEvent or LeadScore."""
    facts = {name: record[name] for name in _STATE_FIELDS if name in record}
    facts["stage"] = stage_of(record)
    facts["as_of"] = time_of(record)
    facts["score"] = record["interest"] + record["fit"]
    return facts


def profile_facts(record: Record) -> Facts:
    """What is known of who the lead is; unknown facts are absent: null means "no news"."""
    profile = record.get("profile") or {}
    facts = {name: value for name, value in profile.items() if value is not None and value != "UNKNOWN"}
    if name := facts.get("name"):
        first, _, last = name.strip().rpartition(" ")
        facts |= {"last_name": last} | ({"first_name": first.strip()} if first.strip() else {})
    return {name: value for name, value in facts.items() if name in PROFILE}


def qualification_facts(record: Record) -> Facts:
    """The facts of a Qualification."""
    facts: Facts = {
        "qualification_id": record["event_id"],
        "qualified_at": record["occurred_at"],
        "reason": record["reason"],
        "path": record["path"],
        "respond_by": record["respond_by"],
        "threshold": record["threshold"],
        "handoff": handoff_text(record),
    }
    for touch in ("first_touch", "last_touch"):
        for field in ("source", "medium", "campaign"):
            facts[f"{touch}_{field}"] = (record[touch] or {}).get(field)
    return facts


def is_qualification(record: Record) -> bool:
    return "fit_evidence" in record


def is_score(record: Record) -> bool:
    return "as_of" in record


def stage_of(record: Record) -> str:
    """The lead's stage after the record: one of the Stage symbols."""
    if is_qualification(record):
        return str(record["stage"]).lower()
    return str(record["to_stage"] if "to_stage" in record else record["stage"])


def time_of(record: Record) -> int:
    """The moment that the record is of, in ms since the epoch."""
    at: int = record["as_of"] if "as_of" in record else record["occurred_at"]
    return at


def merged_fields(defaults: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The mapping in force: the defaults, with the file's entries instead of or beside them; null takes one out."""
    merged = {**defaults, **changes}
    return {name: fact for name, fact in merged.items() if fact is not None}
