"""One HubSpot account: requests to it, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.relay.crm import Refused, ask, decoded
from streams.relay.exchange import (
    Delivered,
    Outcome,
    Rejected,
    Request,
    Response,
    Retry,
    Sender,
    Skipped,
    down,
    failure,
)
from streams.relay.secrets import told

CONTACTS: Final = "/crm/v3/objects/contacts"
TASKS: Final = "/crm/v3/objects/tasks"
PROPERTIES: Final = "/crm/v3/properties"
ASSOCIATE: Final = "/crm/v4/associations/tasks/contacts/batch/associate/default"
TOKEN: Final = "/oauth/v1/token"
#: What may pass by itself. Everything else in a batch's errors is about the entry.
_PASSING: Final = frozenset(
    {"RATE_LIMITS", "RATE_LIMIT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "CONFLICT"}
)
#: HubSpot's words for a property that the account lacks: nothing can be written until it is there.
_LACKING: Final = "PROPERTY_DOESNT_EXIST"


class Problem(Struct, frozen=True):
    """A batch's error about some of its entries."""

    category: str = ""
    message: str = ""


class Result(Struct, frozen=True):
    """A record as HubSpot has it now."""

    id: str
    properties: Mapping[str, str | None] = {}
    object_write_trace_id: str | None = msgspec.field(name="objectWriteTraceId", default=None)


class Batch(Struct, frozen=True):
    """The answer to a batch. Errors don't say reliably which entries they are about."""

    results: Sequence[Result]
    errors: Sequence[Problem] = ()


class Account:
    """`sender` adds the token. Every request may be repeated without harm."""

    def __init__(self, url: str, sender: Sender) -> None:
        self._url = url
        self._sender = sender

    async def read(
        self, object_ids: Iterable[str], properties: Sequence[str], id_property: str | None = None
    ) -> Sequence[Result]:
        """Contacts with some of their properties, found by id or by a unique property. Raises Refused."""
        body: dict[str, Any] = {"inputs": [{"id": one} for one in object_ids], "properties": list(properties)}
        body |= {"propertiesWithHistory": []} | ({"idProperty": id_property} if id_property else {})
        response = await self.ask("POST", f"{CONTACTS}/batch/read", body, allowed=(200, 207))
        return decoded(response, Batch, "HubSpot").results

    async def write(self, path: str, inputs: Mapping[str, dict[str, Any]]) -> dict[str, Outcome]:
        """Send a batch, event id -> input; what the answer doesn't name a result for is sent alone, to learn why.

        Raises Refused when the batch fails as a whole.
        """
        response = await self.ask("POST", path, {"inputs": list(inputs.values())}, allowed=(200, 201, 207))
        answer = decoded(response, Batch, "HubSpot")
        outcomes: dict[str, Outcome] = {}
        for event_id, one in inputs.items():
            result = next((result for result in answer.results if _is_of(result, event_id, one)), None)
            if result is not None:
                outcomes[event_id] = Delivered(result.id)
        missing = {event_id: one for event_id, one in inputs.items() if event_id not in outcomes}
        if missing and len(inputs) == 1:
            return dict.fromkeys(missing, _entry_failure(answer.errors))
        for event_id, one in missing.items():
            try:
                outcomes |= await self.write(path, {event_id: one})
            except Refused as refused:
                outcomes[event_id] = refused.outcome
        return outcomes

    async def erase(self, contact_id: str) -> Outcome:
        """By the contact's id: an address that is not known would be put on HubSpot's block list instead."""
        try:
            await self.ask("POST", f"{CONTACTS}/gdpr-delete", {"objectId": contact_id}, allowed=(204, 404))
        except Refused as refused:
            return refused.outcome
        return Delivered()

    async def associate(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Tasks with contacts, by their ids. Raises Refused."""
        inputs = [{"from": {"id": task}, "to": {"id": contact}} for task, contact in pairs]
        await self.ask("POST", ASSOCIATE, {"inputs": inputs}, allowed=(200, 201))

    async def ask(self, method: str, path: str, body: Any = None, *, allowed: tuple[int, ...]) -> Response:
        """One request. Raises Refused for what is not an `allowed` answer."""
        response = await ask(self._sender, Request(method, f"{self._url}{path}", body))
        if response.status in allowed:
            return response
        if response.status == 400 and _LACKING.encode() in response.body:
            raise Refused(down(response, "; `leadstream relay --create-properties` makes what is missing"))
        raise Refused(failure(response))


def _is_of(result: Result, event_id: str, one: Mapping[str, Any]) -> bool:
    """Whether a batch's result is that of an input. The trace id comes back; where it doesn't, the key tells."""
    if result.object_write_trace_id is not None:
        return result.object_write_trace_id == event_id
    unique = one.get("idProperty")
    found = result.properties.get(unique) if unique else result.id
    return str(found).lower() == str(one["id"]).lower()


def _entry_failure(errors: Sequence[Problem]) -> Outcome:
    if not errors:
        return Retry("HubSpot names neither a result nor an error for the entry", target_down=False)
    detail = told(f"{errors[0].category}: {errors[0].message}")
    if errors[0].category == "OBJECT_NOT_FOUND":
        return Skipped("gone")
    return Retry(detail, target_down=False) if errors[0].category in _PASSING else Rejected(detail)


def pretend(request: Request) -> Response:
    """What a dry run takes for HubSpot's answer: an account without the contacts."""
    encode = msgspec.json.encode
    if request.url.endswith("/batch/read"):
        return Response(200, {}, encode({"status": "COMPLETE", "results": []}))
    if request.url.endswith(("/batch/upsert", "/batch/update")):
        results = [
            {"id": "(id)", "properties": {}, "objectWriteTraceId": one["objectWriteTraceId"]}
            for one in request.body["inputs"]
        ]
        return Response(200, {}, encode({"status": "COMPLETE", "results": results}))
    return Response(204 if request.url.endswith("/gdpr-delete") else 200, {}, b"")
