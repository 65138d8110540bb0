"""What a payload turns out to hold: events for the input topics, and refusals with their reasons, as values."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from streams.topics import TOPICS
from streams.wire.bad import BadRecord
from streams.wire.schemas import shipped
from streams.wire.validation import invalid


class Visit(NamedTuple):
    """What is known of a request beside its payload. `received_at` in ms; `ip` and `user_agent` are those of a person's
    browser, None for a server's; `visitor` is the id in our own cookie.
    """

    received_at: int
    ip: str | None = None
    user_agent: str | None = None
    visitor: str | None = None


class Accepted(NamedTuple):
    """An event of an input topic, all its fields there and within their limits."""

    topic: str
    event: dict[str, Any]


class Refused(NamedTuple):
    """A part of a payload that is no event: `original` are its bytes as they came, `topic` is where it would have gone,
    or the protocol where that can't be told.
    """

    topic: str
    bad: BadRecord
    original: bytes
    lead_id: str | None = None


class Implied(NamedTuple):
    """A link that an event says by the way, naming both ids: trackers repeat it with everything that they send. It
    becomes an event only where it is news, which a payload can't tell.
    """

    event_id: str
    anonymous_id: str
    lead_id: str
    occurred_at: int
    received_at: int
    original: bytes

    def told(self) -> Accepted | Refused:
        """The IdentityLink."""
        event = link(self.event_id, self.anonymous_id, self.lead_id, self.occurred_at)
        return judged("identity-links", event, self.received_at, self.original)


Outcome = Accepted | Refused | Implied


class BadBody(Exception):
    """A body that is no message or batch at all; the text says why."""


class Unusable(Exception):
    """Within this package: why one part of a payload is no event."""


@cache
def _blank(topic: str) -> dict[str, Any]:
    """Every field of the topic's record, at its default, None where it has none."""
    return {field["name"]: field.get("default") for field in shipped().of_topic(topic).declaration["fields"]}


def event_of(topic: str, event_id: str, lead_id: str, occurred_at: int, **fields: Any) -> dict[str, Any]:
    """An event with all of its topic's fields; what isn't given is at its default."""
    event = _blank(topic).copy()
    if "attributes" in event:
        event["attributes"] = copy.copy(event["attributes"])
    event["event_id"] = event_id
    event["lead_id"] = lead_id
    event["occurred_at"] = occurred_at
    event.update(fields)
    return event


def judged(topic: str, event: dict[str, Any], received_at: int, original: bytes) -> Accepted | Refused:
    """The event if the worker will take it, else a refusal that says why not."""
    bad = invalid(topic, event, received_at, event[TOPICS[topic].key_field].encode())
    return Accepted(topic, event) if bad is None else Refused(topic, bad, original, event["lead_id"])


def link(event_id: str, anonymous_id: str, lead_id: str, occurred_at: int) -> dict[str, Any]:
    """The IdentityLink that says that `anonymous_id` is `lead_id`."""
    return event_of("identity-links", f"{event_id}:link", lead_id, occurred_at, anonymous_id=anonymous_id)


def key_of(topic: str, event: Mapping[str, Any]) -> bytes:
    """The record's key."""
    key: str = event[TOPICS[topic].key_field]
    return key.encode()
