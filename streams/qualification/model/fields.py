"""What a model's conditions may ask about: every kind of event, its fields and their types.

The record fields of `schemas/*.avsc` without ids of our own and without times: a model speaks about what
happened, and the decay speaks about when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FieldType = Literal["text", "number", "boolean", "symbol", "attributes"]

#: Before a key of the attributes map, as in `attributes.plan`.
ATTRIBUTE_PREFIX = "attributes."


@dataclass(frozen=True, slots=True)
class Field:
    """A field's type; `symbols` are an enum's values without UNKNOWN: what is not known meets no test."""

    type: FieldType
    symbols: tuple[str, ...] = ()


TEXT = Field("text")
NUMBER = Field("number")
BOOLEAN = Field("boolean")
ATTRIBUTES = Field("attributes")

_KNOWLEDGE = Field("symbol", ("CONFIRMED", "ABSENT"))

FIELDS: Mapping[str, Mapping[str, Field]] = {
    "page_view": {
        "url": TEXT,
        "duration_ms": NUMBER,
        "session_id": TEXT,
        "referrer": TEXT,
        "title": TEXT,
        "utm_source": TEXT,
        "utm_medium": TEXT,
        "utm_campaign": TEXT,
        "anonymous_id": TEXT,
        "user_agent": TEXT,
        "ip": TEXT,
    },
    "email_open": {
        "email_id": TEXT,
        "campaign": TEXT,
        "user_agent": TEXT,
        "ip": TEXT,
    },
    "download": {
        "asset_id": TEXT,
        "funnel_stage": Field("symbol", ("TOP", "MIDDLE", "BOTTOM")),
        "title": TEXT,
        "url": TEXT,
    },
    "demo_booking": {
        "booking_id": TEXT,
        "status": Field("symbol", ("BOOKED", "RESCHEDULED", "CANCELLED", "ATTENDED", "NO_SHOW")),
        "product": TEXT,
    },
    "activity": {
        "kind": TEXT,
        "subject": TEXT,
        "value": NUMBER,
        "attributes": ATTRIBUTES,
    },
    "lead_profile": {
        "email": TEXT,
        "name": TEXT,
        "phone": TEXT,
        "company": TEXT,
        "company_domain": TEXT,
        "industry": TEXT,
        "employees": NUMBER,
        "annual_revenue": NUMBER,
        "job_title": TEXT,
        "seniority": TEXT,
        "department": TEXT,
        "country": TEXT,
        "crm_id": TEXT,
        "budget": _KNOWLEDGE,
        "authority": _KNOWLEDGE,
        "need": _KNOWLEDGE,
        "timeline": _KNOWLEDGE,
        "expected_amount": NUMBER,
        "unsubscribed": BOOLEAN,
        "attributes": ATTRIBUTES,
    },
    "sales_feedback": {
        "disposition": Field("symbol", ("ACCEPTED", "REJECTED", "MEETING_HELD", "OPPORTUNITY", "WON", "LOST")),
        "qualification_id": TEXT,
        "reason": TEXT,
        "amount": NUMBER,
        "actor": TEXT,
    },
}

#: The kinds that interest rules and facts may be about: what a lead does, not what is known or said about it.
BEHAVIOUR: tuple[str, ...] = ("page_view", "email_open", "download", "demo_booking", "activity")
