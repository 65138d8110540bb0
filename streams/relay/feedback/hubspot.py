"""Answers as changes of a HubSpot contact's property, by HubSpot's webhooks and their signature v3.

A change names the contact alone; whose it is says the property that the relay wrote the lead's id to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from streams.relay.crm import Refused
from streams.relay.feedback.answer import Bad, Found, NotOurs, answer_of, decoded
from streams.relay.hubspot.delivery import HubspotDelivery
from streams.relay.secrets import Secret
from streams.relay.settings import HubspotFeedback

_OLDEST_MS: Final = 300_000
_MOST_READ: Final = 100

Contacts = Mapping[str, Mapping[str, str | None]]


class CrmAway(Exception):
    """HubSpot can't be asked whose contact it is: it is to send the changes again."""


class HubspotChanges:
    """Verifies and reads."""

    def __init__(self, settings: HubspotFeedback, secret: Secret, target: HubspotDelivery) -> None:
        self._settings = settings
        self._secret = secret
        self._account = target.account
        names = {fact: name for name, fact in target.fields.items()}
        self._lead = names["lead_id"]
        self._qualification = names.get("qualification_id")

    def verified(self, method: str, body: bytes, headers: Mapping[str, str], now: int) -> bool:
        """HMAC-SHA256 of method, address, body and timestamp; not older than five minutes."""
        stamp, signature = headers.get("X-HubSpot-Request-Timestamp", ""), headers.get("X-HubSpot-Signature-v3", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 20) or abs(now - int(stamp)) > _OLDEST_MS:
            return False
        signed = f"{method}{self._settings.public_url}".encode() + body + stamp.encode()
        digest = hmac.new(self._secret.reveal().encode(), signed, hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest), signature.encode("utf-8", "replace"))

    async def answers(self, body: bytes, now: int) -> list[Found] | Bad:
        """The changes that are answers; those of other properties and values say nothing. Raises CrmAway."""
        try:
            changes = decoded(body)
        except ValueError as error:
            return Bad(f"not JSON: {error}")
        if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
            return Bad("expected a list of changes")
        telling = [change for change in changes if self._says_something(change)]
        contacts = await self._contacts({number for one in telling if (number := _contact_id(one)) is not None})
        return [self._answer(change, contacts, now) for change in telling]

    def _says_something(self, change: Mapping[str, Any]) -> bool:
        value = change.get("propertyValue")
        return (
            change.get("subscriptionType") in ("contact.propertyChange", "object.propertyChange")
            and change.get("propertyName") == self._settings.property
            and isinstance(value, str)
            and value in self._settings.dispositions
        )

    async def _contacts(self, numbers: set[str]) -> Contacts:
        """What the relay wrote to contacts, by their ids; absent where there is no such contact."""
        names = [self._lead, self._qualification, self._settings.reason_property]
        wanted: Sequence[str] = [name for name in names if name is not None]
        asked, found = sorted(numbers), dict[str, Mapping[str, str | None]]()
        for first in range(0, len(asked), _MOST_READ):
            try:
                results = await self._account.read(asked[first : first + _MOST_READ], wanted)
            except Refused as refused:
                raise CrmAway(str(refused)) from None
            found |= {result.id: result.properties for result in results}
        return found

    def _answer(self, change: Mapping[str, Any], contacts: Contacts, now: int) -> Found:
        original, number = msgspec.json.encode(change), _contact_id(change)
        if number is None:
            return Bad("objectId: expected a number", original)
        contact = contacts.get(number, {})
        lead_id = contact.get(self._lead)
        if not lead_id:
            return NotOurs(f"a contact without {self._lead}")
        reason = contact.get(self._settings.reason_property or "")
        # HubSpot does not promise that an eventId is unique by itself.
        change_id = f"{change.get('portalId')}:{number}:{change.get('eventId')}:{change.get('occurredAt')}"
        answer: dict[str, Any] = {
            "event_id": f"hubspot:{change_id}",
            "lead_id": lead_id,
            "occurred_at": change.get("occurredAt"),
            "disposition": self._settings.dispositions[change["propertyValue"]],
            "qualification_id": contact.get(self._qualification or "") or None,
            "reason": reason or None,
            "actor": f"hubspot {change['sourceId']}" if isinstance(change.get("sourceId"), str) else "hubspot",
        }
        return answer_of(answer, now, original)


def _contact_id(change: Mapping[str, Any]) -> str | None:
    number = change.get("objectId")
    if isinstance(number, str):
        return number if number.isascii() and number.isdigit() else None
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else None
