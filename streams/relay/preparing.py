"""What an administrator must have in a CRM before the relay writes to it: shown, or made where the CRM lets us."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from streams.errors import LeadstreamError
from streams.relay.building import build
from streams.relay.crm import Refused
from streams.relay.facts import TIMES, merged_fields
from streams.relay.hubspot.delivery import HubspotDelivery
from streams.relay.hubspot.properties import create_properties, creating_request, wanted_properties
from streams.relay.salesforce import DEFAULT_FIELDS
from streams.relay.secrets import redacted
from streams.relay.settings import HubspotTarget, SalesforceTarget, Targets

_SALESFORCE_TYPES: Final = {
    "sequence": "Number(18, 0)",
    "score": "Number(16, 2)",
    "interest": "Number(16, 2)",
    "fit": "Number(16, 2)",
    "threshold": "Number(16, 2)",
    "expected_amount": "Number(16, 2)",
    "handoff": "LongTextArea(32768)",
    "reason": "LongTextArea(32768)",
    "unsubscribed": "Checkbox",
}


class NotPrepared(LeadstreamError):
    """A CRM did not take what was to be made in it."""


def print_properties(targets: Targets) -> None:
    """JSON lines: for HubSpot the requests that make its properties, for Salesforce one custom field a line."""
    for name, target in targets.targets.items():
        for line in _lines(target):
            sys.stdout.buffer.write(msgspec.json.encode({"target": name, **line}) + b"\n")
    sys.stdout.buffer.flush()


def _lines(target: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(target, HubspotTarget):
        for kind, inputs in wanted_properties(target).items():
            yield {"method": "POST", "url": f"{target.url}{creating_request(kind)}", "body": {"inputs": inputs}}
    if isinstance(target, SalesforceTarget):
        external = {"type": "Text(255)", "external_id": True}
        yield {"object": "Lead", "field": target.external_id, **external, "unique": True}
        for field, fact in merged_fields(DEFAULT_FIELDS, target.fields).items():
            if field.endswith("__c"):
                kind = "DateTime" if fact in TIMES else _SALESFORCE_TYPES.get(fact, "Text(255)")
                yield {"object": "Lead", "field": field, "type": kind}
        yield {"object": "Activity", "field": target.task_external_id, **external}


async def make_properties(targets: Targets) -> None:
    """Make what HubSpot targets lack, and say so. Raises UsageError for secrets, NotPrepared."""
    for name, target in targets.targets.items():
        if not isinstance(target, HubspotTarget):
            if isinstance(target, SalesforceTarget):
                print(f"{name}: deploy deploy/relay/salesforce, or make the fields that --print-properties lists")
            continue
        built = build(name, target, lambda: time.time_ns() // 1_000_000)
        assert isinstance(built.delivery, HubspotDelivery)
        try:
            made = await create_properties(built.delivery.account, target)
        except Refused as refused:
            detail = redacted(str(getattr(refused.outcome, "detail", refused.outcome)))
            raise NotPrepared(f"{name}: {detail}; see which scopes the token has") from None
        finally:
            await built.http.close()
        print(f"{name}: created {len(made.created)}, there already {len(made.there)}")
        if made.wrong:
            raise NotPrepared(
                f"{name}: {', '.join(made.wrong)} is there with another type; delete it in HubSpot, or map another name"
            )
