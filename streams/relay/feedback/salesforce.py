"""Answers as Salesforce outbound messages: SOAP with the Lead's fields, repeated until they are acknowledged.

They are not signed; the address they go to carries a secret, and the organization must be the right one.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from streams.relay.feedback.answer import Bad, Found, NotOurs, answer_of
from streams.relay.secrets import Secret
from streams.relay.settings import SalesforceFeedback
from streams.wire.times import milliseconds

_OUT: Final = "{http://soap.sforce.com/2005/09/outbound}"
_SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
_ID: Final = 15

ACKNOWLEDGED: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)


class OutboundMessages:
    """Verifies and reads."""

    def __init__(self, settings: SalesforceFeedback, token: Secret) -> None:
        self._settings = settings
        self._token = token

    def verified(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), self._token.reveal().encode())

    def answers(self, body: bytes, now: int) -> list[Found] | Bad:
        """The leads whose field says something; others say nothing."""
        try:
            root = fromstring(body)
        except (ParseError, DefusedXmlException, ValueError, LookupError):
            return Bad("not the XML of an outbound message")
        notifications = root.find(f"{_SOAP}Body/{_OUT}notifications")
        if notifications is None:
            return Bad("no outbound message: expected soapenv:Body with notifications")
        organization = notifications.findtext(f"{_OUT}OrganizationId") or ""
        # Ids come with 15 characters or, for systems that ignore case, 18; the first 15 are the same.
        if organization[:_ID] != self._settings.organization_id[:_ID]:
            return Bad("OrganizationId: another organization's")
        try:
            return list(self._read(notifications, now))
        except RecursionError:
            return Bad("nested too deeply for an outbound message")

    def _read(self, notifications: Element, now: int) -> Iterator[Found]:
        for notification in notifications.iter(f"{_OUT}Notification"):
            lead = notification.find(f"{_OUT}sObject")
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in (lead if lead is not None else ())}
            disposition = self._settings.dispositions.get(fields.get(self._settings.field, ""))
            if disposition is not None:
                yield self._answer(notification, fields, disposition, now)

    def _answer(self, notification: Element, fields: Mapping[str, str], disposition: str, now: int) -> Found:
        settings, original = self._settings, tostring(notification)
        message_id = notification.findtext(f"{_OUT}Id")
        if not message_id:
            return Bad("Notification: has no Id", original)
        if not fields.get(settings.external_id):
            return NotOurs(f"a Lead without {settings.external_id}, unless the message leaves it out")
        event: dict[str, Any] = {
            "event_id": f"salesforce:{message_id}",
            "lead_id": fields[settings.external_id],
            "occurred_at": _modified(fields, now),
            "disposition": disposition,
            "qualification_id": fields.get(settings.qualification_field) or None,
            "reason": fields.get(settings.reason_field or "") or None,
            "actor": f"salesforce {fields['LastModifiedById']}" if fields.get("LastModifiedById") else "salesforce",
        }
        return answer_of(event, now, original)


def _modified(fields: Mapping[str, str], now: int) -> int:
    """When the lead was changed, where the message says so."""
    text = fields.get("LastModifiedDate") or fields.get("SystemModstamp")
    if text:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return now
        if at.tzinfo is not None:
            return milliseconds(at)
    return now
