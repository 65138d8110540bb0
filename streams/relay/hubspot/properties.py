"""The properties that a HubSpot account needs for the relay's writing, and making those that are missing.

Names that begin with `leadstream_` are ours to make; every other in a mapping is HubSpot's or the account's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from streams.relay.crm import Refused, decoded
from streams.relay.exchange import Rejected
from streams.relay.facts import TIMES, merged_fields
from streams.relay.hubspot.account import PROPERTIES, Account
from streams.relay.hubspot.mapping import DEFAULT_FIELDS, TASK_KEY
from streams.relay.secrets import told
from streams.relay.settings import HubspotTarget

_OWN: Final = "leadstream_"
_NUMBERS: Final = frozenset({"sequence", "score", "interest", "fit", "threshold", "expected_amount"})
_LONG: Final = frozenset({"handoff", "reason"})


class _Existing(Struct, frozen=True):
    name: str
    type: str
    unique: bool = msgspec.field(name="hasUniqueValue", default=False)


class _All(Struct, frozen=True):
    results: Sequence[_Existing]


class Made(NamedTuple):
    """What was done: names of properties, by object."""

    created: Sequence[str]
    there: Sequence[str]
    wrong: Sequence[str]


def wanted_properties(target: HubspotTarget) -> dict[str, list[dict[str, Any]]]:
    """What must be there, by object type: the inputs of HubSpot's request to create a batch of properties."""
    fields = merged_fields(DEFAULT_FIELDS, target.fields)
    contacts = [_property(name, fact) for name, fact in fields.items() if name.startswith(_OWN)]
    task = {**_definition(TASK_KEY, "string", "text", "task"), "hasUniqueValue": True}
    return {"contacts": contacts, "tasks": [task]}


def creating_request(object_type: str) -> str:
    return f"{PROPERTIES}/{object_type}/batch/create"


async def create_properties(account: Account, target: HubspotTarget) -> Made:
    """Make what is missing; what is there is left alone, and told when it can't be used. Raises Refused."""
    created: list[str] = []
    there: list[str] = []
    wrong: list[str] = []
    for object_type, wanted in wanted_properties(target).items():
        has = await _existing(account, object_type)
        missing = [one for one in wanted if one["name"] not in has]
        if missing:
            answer = await account.ask("POST", creating_request(object_type), {"inputs": missing}, allowed=(201, 207))
            done = {one.name for one in decoded(answer, _All, "HubSpot").results}
            if failed := sorted({one["name"] for one in missing} - done):
                raise Refused(Rejected(f"HubSpot did not create {', '.join(failed)}: {told(repr(answer.body))}"))
            created += sorted(done)
        for one in wanted:
            if (existing := has.get(one["name"])) is not None:
                fits = existing.type == one["type"] and existing.unique == one.get("hasUniqueValue", False)
                (there if fits else wrong).append(one["name"])
    return Made(created, there, wrong)


async def _existing(account: Account, object_type: str) -> Mapping[str, _Existing]:
    response = await account.ask("GET", f"{PROPERTIES}/{object_type}", allowed=(200,))
    return {one.name: one for one in decoded(response, _All, "HubSpot").results}


def _property(name: str, fact: str) -> dict[str, Any]:
    if fact in _NUMBERS:
        return _definition(name, "number", "number")
    if fact in TIMES:
        return _definition(name, "datetime", "date")
    return _definition(name, "string", "textarea" if fact in _LONG else "text")


def _definition(name: str, kind: str, field: str, group: str = "contactinformation") -> dict[str, Any]:
    label = "Leadstream " + name.removeprefix(_OWN).replace("_", " ")
    return {"name": name, "label": label, "type": kind, "fieldType": field, "groupName": group}
