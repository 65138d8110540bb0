"""Webhook targets: every event as signed JSON, by the Standard Webhooks specification.

`webhook-id` is the event's id, the same on every repeat: the subscriber's key for dropping them. Payload:
`{"type": "leadstream.sql.v1", "timestamp": ..., "data": {...}}`, where data is the record with times in RFC 3339, and
for Qualifications `handoff`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from standardwebhooks import Webhook

from streams.relay.exchange import (
    Delivered,
    Gone,
    Outcome,
    Request,
    Response,
    Retry,
    Sender,
    Skipped,
    Unanswered,
    failure,
)
from streams.relay.facts import is_qualification, time_of
from streams.relay.handoff import handoff_text
from streams.relay.lanes import Item
from streams.relay.memory import Remembered
from streams.relay.settings import WebhookTarget
from streams.relay.target import Plan
from streams.wire.cloudevents import Kind
from streams.wire.jsonlines import render_line

#: What CloudEvents and the payload's `type` call the events of each topic.
KIND_OF: dict[str, Kind] = {
    "mql-events": "mql",
    "sql-events": "sql",
    "lifecycle-events": "lifecycle",
    "lead-scores": "score",
}


class WebhookPlan(msgspec.Struct, frozen=True):
    """One event as it goes out."""

    event_id: str
    payload: bytes
    remember: Remembered | None = None


class WebhookDelivery:
    """Delivers to one subscriber."""

    batch_size = 1

    def __init__(self, settings: WebhookTarget, signer: Webhook, sender: Sender, now: Callable[[], int]) -> None:
        """`now` in ms."""
        self._settings = settings
        self._sender = sender
        self._now = now
        self._signer = signer

    def plan(self, item: Item, known: Remembered, now: int) -> Plan | Skipped:
        max_age = self._settings.max_age
        erased = item.record.get("cause") == "ERASED"
        old = max_age is not None and now - time_of(item.record) > max_age * 1000
        # Whoever holds what was known of a lead must hear that it is erased, however late.
        if old and not item.retried and not erased:
            return Skipped("too_old")
        if item.retried and time_of(item.record) <= known.erased_at:
            return Skipped("erased")
        payload = payload_of(item.source[0], item.record)
        # Subscribers keep their own order. What must be known here is whose dead letters must not go out any more.
        return WebhookPlan(item.event_id, payload, Remembered(erased_at=time_of(item.record)) if erased else None)

    async def deliver(self, plans: Sequence[Any]) -> list[Outcome]:
        return [await self._deliver(plan) for plan in plans]

    async def _deliver(self, plan: WebhookPlan) -> Outcome:
        second = self._now() // 1000
        at = datetime.fromtimestamp(second, UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": plan.event_id,
            "webhook-timestamp": str(second),
            "webhook-signature": self._signer.sign(plan.event_id, at, plan.payload.decode()),
        }
        try:
            response = await self._sender.send(Request("POST", self._settings.url, raw=plan.payload, headers=headers))
        except Unanswered as error:
            return Retry(str(error), error.wait_s)
        if 200 <= response.status < 300:
            return Delivered()
        if response.status == 410:
            return Gone("HTTP 410: the subscriber wants no more")
        return failure(response)


def payload_of(topic: str, record: dict[str, Any]) -> bytes:
    """The body of an event, the same on every repeat."""
    line = msgspec.json.decode(render_line(topic, record))
    data = line["event"]
    if is_qualification(record):
        data["handoff"] = handoff_text(record)
    kind = f"leadstream.{KIND_OF[topic]}.v1"
    return msgspec.json.encode({"type": kind, "timestamp": data.get("occurred_at") or data["as_of"], "data": data})


def pretend(request: Request) -> Response:
    """What a dry run takes for the subscriber's answer."""
    return Response(204, {}, b"")
