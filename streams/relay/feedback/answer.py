"""One answer of sales, whatever way it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from streams.wire.jsonlines import BadLine, parse_line
from streams.wire.validation import invalid

SALES_FEEDBACK = "sales-feedback"


class Answer(NamedTuple):
    """All fields of a SalesFeedback."""

    event: dict[str, Any]

    @property
    def key(self) -> bytes:
        lead_id: str = self.event["lead_id"]
        return lead_id.encode()


class Bad(NamedTuple):
    """What is no answer, and why; `original` is the part of a batch that it was."""

    reason: str
    original: bytes = b""


class NotOurs(NamedTuple):
    """A change of an entry that the relay did not write: nobody of leadstream's. `why` names no entry."""

    why: str


Found = Answer | Bad | NotOurs


def answer_of(fields: Mapping[str, Any], now: int, original: bytes = b"") -> Answer | Bad:
    """A SalesFeedback from `fields` as JSON gives them, checked as the worker will check it; `now` in ms is when it
    came, and the time of an answer without its own.
    """
    event = {"occurred_at": now, **{name: value for name, value in fields.items() if value is not None}}
    try:
        line = parse_line(msgspec.json.encode({"topic": SALES_FEEDBACK, "event": event}))
    except (TypeError, ValueError, RecursionError) as error:
        return Bad(str(error), original)
    if isinstance(line, BadLine):
        return Bad(line.reason, original)
    if line.event["disposition"] == "UNKNOWN":
        allowed = "ACCEPTED, REJECTED, MEETING_HELD, OPPORTUNITY, WON, LOST"
        return Bad(f"event.disposition: is missing; allowed are {allowed}", original)
    if not line.event["lead_id"]:
        return Bad("event.lead_id is empty", original)
    bad = invalid(SALES_FEEDBACK, line.event, now, line.event["lead_id"].encode())
    return Bad(f"event.{bad.detail}", original) if bad is not None else Answer(line.event)


def decoded(body: bytes) -> Any:
    """A JSON body. Raises ValueError."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
