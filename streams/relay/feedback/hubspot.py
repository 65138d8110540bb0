"""Answers as changes of a HubSpot contact's property, by HubSpot's webhooks and their signature v3.

A change names the contact alone; whose it is says `leadstream_lead_id`, which the relay wrote there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from streams.relay.crm import Refused
from streams.relay.feedback.answer import Answer, Bad, answer_of
from streams.relay.hubspot import HubspotDelivery
from streams.relay.secrets import Secret
from streams.relay.targets import HubspotFeedback

_LEAD, _QUALIFICATION = "leadstream_lead_id", "leadstream_qualification_id"
_OLDEST_MS = 300_000


class CrmAway(Exception):
    """HubSpot can't be asked whose contact it is: it is to send the changes again."""


class HubspotChanges:
    """Verifies and reads."""

    def __init__(self, settings: HubspotFeedback, secret: Secret, account: HubspotDelivery) -> None:
        self._settings = settings
        self._secret = secret
        self._account = account

    def verified(self, method: str, body: bytes, headers: Mapping[str, str], now: int) -> bool:
        """HMAC-SHA256 of method, address, body and timestamp; not older than five minutes."""
        stamp, signature = headers.get("X-HubSpot-Request-Timestamp", ""), headers.get("X-HubSpot-Signature-v3", "")
        if not (stamp.isascii() and stamp.isdigit()) or abs(now - int(stamp)) > _OLDEST_MS:
            return False
        signed = f"{method}{self._settings.public_url}".encode() + body + stamp.encode()
        digest = hmac.new(self._secret.reveal().encode(), signed, hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest), signature.encode())

    async def answers(self, body: bytes, now: int) -> list[Answer | Bad] | Bad:
        """The changes that are answers; those of other properties and values say nothing. Raises CrmAway."""
        try:
            changes: Any = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return Bad(f"not JSON: {error}")
        if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
            return Bad("expected a list of changes")
        return [await self._answer(change, now) for change in changes if self._says_something(change)]

    def _says_something(self, change: Mapping[str, Any]) -> bool:
        return (
            change.get("subscriptionType") in ("contact.propertyChange", "object.propertyChange")
            and change.get("propertyName") == self._settings.property
            and change.get("propertyValue") in self._settings.dispositions
        )

    async def _answer(self, change: Mapping[str, Any], now: int) -> Answer | Bad:
        contact_id = change.get("objectId")
        if not isinstance(contact_id, int):
            return Bad("objectId: expected a number")
        reason = self._settings.reason_property
        try:
            contact = await self._account.contact(
                str(contact_id), [_LEAD, _QUALIFICATION, *([reason] if reason else [])]
            )
        except Refused as refused:
            raise CrmAway(str(refused)) from None
        if contact is None or not contact.get(_LEAD):
            return Bad(f"contact {contact_id} has no {_LEAD}: the relay never wrote it")
        return answer_of(
            {
                "event_id": f"hubspot:{change.get('portalId')}:{change.get('subscriptionId')}:{change.get('eventId')}",
                "lead_id": contact[_LEAD],
                "occurred_at": change.get("occurredAt"),
                "disposition": self._settings.dispositions[change["propertyValue"]],
                "qualification_id": contact.get(_QUALIFICATION) or None,
                "reason": (contact.get(reason) or None) if reason else None,
                "actor": f"hubspot {change['sourceId']}" if isinstance(change.get("sourceId"), str) else "hubspot",
            },
            now,
        )
