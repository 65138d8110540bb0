"""Answers as Standard Webhooks: `{"lead_id": ..., "disposition": "REJECTED", ...}`, or the same under `data`."""

from __future__ import annotations

from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError

from streams.relay.feedback.answer import Answer, Bad, answer_of, decoded
from streams.relay.secrets import Secret


class Signed:
    """Verifies and reads. The webhook's id is the `event_id` of an answer without its own: a repeat is the same one."""

    def __init__(self, secret: Secret) -> None:
        """Raises ValueError or RuntimeError for a secret that is none."""
        self._webhook = Webhook(secret.reveal())

    def verified(self, body: bytes, headers: Mapping[str, str]) -> bool:
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: signatures that are no base64, bodies no text
            return False
        return True

    def answers(self, body: bytes, headers: Mapping[str, str], now: int) -> list[Answer] | Bad:
        try:
            payload = decoded(body)
        except ValueError as error:
            return Bad(f"not JSON: {error}")
        fields = payload.get("data", payload) if isinstance(payload, dict) else None
        if not isinstance(fields, dict):
            return Bad("expected an object with lead_id and disposition")
        event_id = fields.get("event_id")
        event_id = headers["webhook-id"] if event_id is None else event_id
        found = answer_of({**fields, "event_id": event_id}, now)
        return found if isinstance(found, Bad) else [found]
