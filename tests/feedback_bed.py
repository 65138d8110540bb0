"""The ways that sales' answers come in by, served without a broker, and requests as the vendors make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from aiohttp import web
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook

from streams.monitoring.relay import RelayMetrics
from streams.relay.exchange import Request, Response
from streams.relay.feedback.server import feedback_app
from streams.relay.hubspot.delivery import HubspotDelivery
from streams.relay.outbox import BrokerRefused, Outbox
from streams.relay.settings import HubspotTarget
from streams.relay.surroundings import Membership, Surroundings
from streams.relay.targets import load_targets
from tests.hubspot_server import HubSpot
from tests.kafka_topics import CODEC
from tests.relay_bed import SECRETS
from tests.servers import Heard, serving_app

PUBLIC_URL = "https://relay.example/v1/feedback/hubspot"
ORGANIZATION = "00D000000000001EAA"
FEEDBACK = {
    "secret": {"env": "FEEDBACK_SECRET"},
    "hubspot": {
        "target": "crm",
        "client_secret": {"env": "HUBSPOT_SECRET"},
        "public_url": PUBLIC_URL,
        "dispositions": {"BAD_FIT": "REJECTED", "CONNECTED": "ACCEPTED"},
        "reason_property": "lost_reason",
    },
    "salesforce": {
        "token": {"env": "SALESFORCE_TOKEN"},
        "organization_id": ORGANIZATION,
        "dispositions": {"Unqualified": "REJECTED", "Working": "ACCEPTED"},
        "reason_field": "Rejection_Reason__c",
    },
}


class Recorder(Outbox):
    """Takes what would go to Kafka; `away` when the broker is."""

    def __init__(self) -> None:
        self.written: list[tuple[str, dict[str, Any]]] = []
        self.away = False

    async def write(self, topic: str, key: bytes | None, value: bytes, partition: int = -1) -> None:
        if self.away:
            raise BrokerRefused("no answer")
        record = CODEC.decode(topic, value)
        assert isinstance(record, dict), record
        self.written.append((topic, record))

    def answers(self) -> list[dict[str, Any]]:
        return [record for topic, record in self.written if topic == "sales-feedback"]

    def letters(self) -> list[dict[str, Any]]:
        return [record for topic, record in self.written if topic == "dead-letters"]


class Direct:
    """A sender to a HubSpot that is no network away."""

    def __init__(self, crm: HubSpot) -> None:
        self._crm = crm

    async def send(self, request: Request) -> Response:
        path = request.url.removeprefix("https://api.hubapi.com")
        heard = Heard(request.method, path, {}, {"Authorization": f"Bearer {self._crm.token}"}, b"", request.body, 0.0)
        answer = self._crm.misbehaviour.popleft() if self._crm.misbehaviour else None
        answer = answer or self._crm.respond(heard)
        return Response(answer.status, answer.headers, json.dumps(answer.body).encode())


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]


class Door(NamedTuple):
    """The server, what it wrote, and the CRM that it asks."""

    port: int
    outbox: Recorder
    crm: HubSpot
    metrics: RelayMetrics

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def generic(self, body: bytes, message_id: str = "msg_1") -> Reply:
        return self.post("/v1/sales-feedback", body, signed(body, message_id))

    def hubspot(self, changes: Any) -> Reply:
        body = changes if isinstance(changes, bytes) else json.dumps(changes).encode()
        return self.post("/v1/feedback/hubspot", body, hubspot_headers(body))

    def salesforce(self, body: bytes) -> Reply:
        return self.post(f"/v1/feedback/salesforce/{SECRETS['SALESFORCE_TOKEN']}", body, {"Content-Type": "text/xml"})

    def count(self, source: str, outcome: str) -> float:
        labels = {"source": source, "outcome": outcome}
        return self.metrics.registry.get_sample_value("leads_relay_feedback_total", labels) or 0.0


@contextmanager
def open_door() -> Iterator[Door]:
    """All ways in; the secrets must be in the environment."""
    file = {"targets": {"crm": {"type": "hubspot", "token": {"env": "HUBSPOT_TOKEN"}}}, "feedback": FEEDBACK}
    loaded = load_targets(json.dumps(file), "t")
    target = loaded.targets["crm"]
    assert isinstance(target, HubspotTarget)
    assert loaded.feedback is not None
    feedback, crm, outbox, metrics = loaded.feedback, HubSpot(), Recorder(), RelayMetrics(CollectorRegistry())
    shared = Surroundings("", Membership(""), "", "", CODEC, outbox, metrics)

    def make() -> web.Application:
        return feedback_app(feedback, {"crm": HubspotDelivery(target, Direct(crm))}, shared)

    with serving_app(make) as port:
        yield Door(port, outbox, crm, metrics)
    assert not crm.faults, crm.faults


def signed(body: bytes, message_id: str) -> dict[str, str]:
    """A Standard Webhook's headers, by its library."""
    now = datetime.now(UTC)
    signature = Webhook(SECRETS["FEEDBACK_SECRET"]).sign(message_id, now, body.decode())
    stamp = str(int(now.timestamp()))
    return {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}


def hubspot_headers(body: bytes, at_ms: int | None = None, secret: str | None = None) -> dict[str, str]:
    """HubSpot's signature v3, as its guide on validating requests says."""
    stamp = str(at_ms or time.time_ns() // 1_000_000)
    text = f"POST{PUBLIC_URL}".encode() + body + stamp.encode()
    digest = hmac.new((secret or SECRETS["HUBSPOT_SECRET"]).encode(), text, hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return {"X-HubSpot-Request-Timestamp": stamp, "X-HubSpot-Signature-v3": signature}


def change(contact: int, value: str, event_id: int = 1, **fields: Any) -> dict[str, Any]:
    """A subscription's notification, as HubSpot's webhooks guide shows it."""
    return {
        "eventId": event_id,
        "subscriptionId": 3_581_222,
        "portalId": 62_515,
        "appId": 1_160_452,
        "occurredAt": time.time_ns() // 1_000_000,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": contact,
        "propertyName": "hs_lead_status",
        "propertyValue": value,
        "changeSource": "CRM_UI",
        "sourceId": "userId:4711",
        **fields,
    }


def outbound(leads: Sequence[Mapping[str, str]], organization: str = ORGANIZATION) -> bytes:
    """An outbound message about Leads, as Salesforce's guide shows it. `_id` is the notification's own."""
    entries = ""
    for number, lead in enumerate(leads):
        fields = "".join(f"<sf:{name}>{escape(value)}</sf:{name}>" for name, value in lead.items() if name != "_id")
        entries += (
            f"<Notification><Id>{lead.get('_id', f'04l00000000000{number}AAA')}</Id>"
            f'<sObject xsi:type="sf:Lead" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">{fields}</sObject>'
            "</Notification>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organization}</OrganizationId><ActionId>04k000000000001AAA</ActionId>"
        '<SessionId xsi:nil="true"/><EnterpriseUrl>https://x.example/c</EnterpriseUrl>'
        f"<PartnerUrl>https://x.example/u</PartnerUrl>{entries}</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()
