"""What goes into a lead (an event) and what comes out of it (transitions). Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from streams.qualification.messages import Forget, Forward, Link, Merge

Kind = Literal[
    "page_view",
    "email_open",
    "download",
    "demo_booking",
    "activity",
    "lead_profile",
    "sales_feedback",
    "identity_link",
    "erasure",
]


class Event(msgspec.Struct, frozen=True):
    """One input record. `occurred_at` is when it happened, `arrival` when Kafka got it; both ms.

    `fields` are the record's fields by their schema names, times as ms. An `occurred_at` later than arrival is a
    clock that runs ahead: :func:`event_of` clamps it.
    """

    kind: str
    lead_id: str
    event_id: str
    occurred_at: int
    arrival: int
    fields: Mapping[str, Any]


def event_of(kind: str, fields: Mapping[str, Any], arrival: int) -> Event:
    """The event in a decoded record of `kind` that arrived at `arrival` (ms), below 0 where its producer left that out:
    then it arrived when it happened.
    """
    occurred_at: int = fields["occurred_at"]
    if arrival < 0:
        arrival = occurred_at
    return Event(kind, fields["lead_id"], fields["event_id"], min(occurred_at, arrival), arrival, fields)


def event_for(lead_id: str, event: Event) -> Event:
    """The event as one of `lead_id`. A link stays as it is: it is not about the id that it is keyed by."""
    return event if event.kind == "identity_link" else msgspec.structs.replace(event, lead_id=lead_id)


class Qualified(msgspec.Struct, frozen=True):
    """A lead became an MQL or SQL: `record` has the fields of Qualification."""

    record: dict[str, Any]


class Changed(msgspec.Struct, frozen=True):
    """A lifecycle event: `record` has the fields of LifecycleEvent.

    For reports: `stayed` is the time in the stage that was left (ms, None when none was), `rested` the model's reason
    for which the lead rests from now on (`other` for one that the model does not name), `answered` the time from the
    SQL to sales' first answer, when this is it (ms).
    """

    record: dict[str, Any]
    stayed: int | None = None
    rested: str | None = None
    answered: int | None = None


class Scored(msgspec.Struct, frozen=True):
    """The lead's score was written anew: `record` has the fields of LeadScore, or is None when the lead is gone."""

    lead_id: str
    record: dict[str, Any] | None


class Ignored(msgspec.Struct, frozen=True):
    """The event was counted and nothing else, for `reason` (one of a bounded set)."""

    reason: str


#: What is said to subscribers, to nobody, and to other ids.
Transition = Qualified | Changed | Scored | Ignored | Link | Merge | Forget | Forward
