"""Salesforce targets: Leads and Tasks upserted by external ids, by Salesforce's REST API (sObject Collections).

A lead alone goes by `sobjects/Lead/<field>/<value>`, if an address can name it; several go by
`composite/sobjects/Lead/<field>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from streams.relay.crm import CrmPlan, Refused, Task, ask, decoded, in_halves, in_rounds, plan_crm, without_writing
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
from streams.relay.facts import TIMES, merged_fields
from streams.relay.lanes import Item
from streams.relay.memory import Remembered
from streams.relay.secrets import told
from streams.relay.settings import SalesforceTarget
from streams.wire.times import rfc3339

TOKEN: Final = "/services/oauth2/token"
DEFAULT_FIELDS: Final[Mapping[str, str]] = {
    "Leadstream_Sequence__c": "sequence",
    "Leadstream_Score__c": "score",
    "Leadstream_Fit_Band__c": "fit_band",
    "Leadstream_Route__c": "route",
    "Leadstream_Stage__c": "stage",
    "Leadstream_Qualified_Until__c": "qualified_until",
    "Leadstream_Qualification_Id__c": "qualification_id",
    "Leadstream_Handoff__c": "handoff",
    "Email": "email",
    "FirstName": "first_name",
    "LastName": "last_name",
    "Phone": "phone",
    "Company": "company",
    "Title": "job_title",
}
#: What Salesforce demands of a new Lead, and what stands there until it is known.
_DEMANDED: Final[Mapping[str, str]] = {"LastName": "[not known]", "Company": "[not known]"}
_PASSING: Final = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "SERVER_UNAVAILABLE",
        "REQUEST_LIMIT_EXCEEDED",
        "UNKNOWN_EXCEPTION",
        "REQUEST_RUNNING_TOO_LONG",
    }
)
_FIELDS: Final = "; check which fields the org has, and who may write them"
#: The org lacks a field, or hides it from the relay's user: nothing can be written until that is mended.
_LACKING: Final = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"})
_LONGEST_TEXT: Final = 32_000
#: Ids that no address can name: there they are steps of the path, however they are escaped (RFC 3986, 6.2.2.3).
_STEPS: Final = frozenset({".", ".."})
#: In characters. What is longer would have the whole Lead refused; the beginning of a name says enough.
_LONGEST: Final[Mapping[str, int]] = {
    "FirstName": 40,
    "LastName": 80,
    "Company": 255,
    "Title": 128,
    "Leadstream_Handoff__c": _LONGEST_TEXT,
}


class SalesforceDelivery:
    """Delivers to one org. `sender` adds the token. Batches are a quarter of what Salesforce takes, since the keys of
    one are also asked for in one address.
    """

    batch_size = 50

    def __init__(self, settings: SalesforceTarget, sender: Sender) -> None:
        self._settings = settings
        self._sender = sender
        self._base = f"{settings.url}/services/data/v{settings.api_version}"
        self._fields = merged_fields(DEFAULT_FIELDS, settings.fields)

    def plan(self, item: Item, known: Remembered, now: int) -> CrmPlan | Skipped:
        statuses = self._settings.statuses
        return plan_crm(item, known, now, self._settings, self._fields, statuses, by_address=False)

    async def deliver(self, plans: Sequence[CrmPlan]) -> list[Outcome]:
        # Salesforce matches external ids without regard to case, unless the field says otherwise.
        return await in_rounds(lambda some: in_halves(self._together, some), plans, lambda plan: plan.lead_id.lower())

    async def _together(self, plans: Sequence[CrmPlan]) -> list[Outcome]:
        outcomes = await without_writing(
            plans, self._erase, lambda plan: bool(plan.fields or plan.profile or plan.status)
        )
        writes = [plan for plan in plans if plan.event_id not in outcomes]
        existing = await self._existing(writes)
        records = {plan.event_id: self._record(plan, existing.get(plan.lead_id.lower())) for plan in writes}
        if len(writes) == 1 and writes[0].lead_id not in _STEPS:
            (plan,) = writes
            has = existing.get(plan.lead_id.lower(), {}).get("Id")
            outcomes[plan.event_id] = await self._upsert_one(plan, records[plan.event_id], has)
        elif writes:
            outcomes |= await self._collection("Lead", self._settings.external_id, records)
        asking = {plan.event_id: plan.task for plan in writes if plan.task is not None}
        tasks = {
            event_id: self._task_record(task, contact.crm_id)
            for event_id, task in asking.items()
            if isinstance(contact := outcomes[event_id], Delivered)
        }
        if tasks:
            asked = await self._collection("Task", self._settings.task_external_id, tasks)
            outcomes |= {key: outcome for key, outcome in asked.items() if not isinstance(outcome, Delivered)}
        return [outcomes[plan.event_id] for plan in plans]

    async def _existing(self, plans: Sequence[CrmPlan]) -> dict[str, Mapping[str, Any]]:
        """What Salesforce has, lead id in lower case -> profile fields; absent where there is no such Lead."""
        if not plans:
            return {}
        key = self._settings.external_id
        wanted = sorted({"Id", key, *_DEMANDED, *(name for plan in plans for name in plan.profile)})
        keys = ", ".join(f"'{_escaped(plan.lead_id)}'" for plan in plans)
        query = f"SELECT {', '.join(wanted)} FROM Lead WHERE {key} IN ({keys})"
        response = await self._ask("GET", f"/query?q={quote(query)}", allowed=(200,))
        return {str(record.get(key)).lower(): record for record in decoded(response, _Query, "Salesforce").records}

    def _record(self, plan: CrmPlan, existing: Mapping[str, Any] | None) -> dict[str, Any]:
        has = existing or {}
        record = {name: self._value(name, value) for name, value in plan.fields.items()}
        record |= {
            name: self._value(name, value)
            for name, value in plan.profile.items()
            if not has.get(name) or has[name] == _DEMANDED.get(name)
        }
        if existing is None:
            record = {**_DEMANDED, **record}
        if plan.status is not None:
            record["Status"] = plan.status
        return {"attributes": {"type": "Lead"}, self._settings.external_id: plan.lead_id, **record}

    def _value(self, name: str, value: Any) -> Any:
        if self._fields[name] in TIMES and value is not None:
            return rfc3339(value)
        if isinstance(value, str):
            return value[: _LONGEST.get(name)]
        return round(value, 2) if isinstance(value, float) else value

    async def _upsert_one(self, plan: CrmPlan, record: Mapping[str, Any], existing_id: str | None) -> Outcome:
        key = self._settings.external_id
        body = {name: value for name, value in record.items() if name not in ("attributes", key)}
        path = f"/sobjects/Lead/{key}/{quote(plan.lead_id, safe='')}"
        response = await self._ask("PATCH", path, body, allowed=(200, 201, 204, 300, 400))
        if response.status == 300:
            found = decoded(response, list[str], "Salesforce")
            return Rejected(f"HTTP 300: {len(found)} Leads have this {key}: {told(', '.join(found))}")
        if response.status == 400:
            return _entry_failure(decoded(response, list[_Problem], "Salesforce"))
        if response.status == 204:  # updated, by versions of the API before 46
            return Delivered(existing_id)
        return Delivered(decoded(response, _Result, "Salesforce").id)

    async def _collection(self, kind: str, key: str, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Outcome]:
        """Upsert records, event id -> record. Salesforce answers in their order."""
        body = {"allOrNone": False, "records": list(records.values())}
        response = await self._ask("PATCH", f"/composite/sobjects/{kind}/{key}", body, allowed=(200,))
        results = decoded(response, list[_Result], "Salesforce")
        if len(results) != len(records):
            raise Refused(Retry(f"Salesforce answers {len(records)} records with {len(results)} results"))
        return {
            event_id: Delivered(result.id) if result.success else _entry_failure(result.errors)
            for event_id, result in zip(records, results, strict=True)
        }

    def _task_record(self, task: Task, lead: str | None) -> dict[str, Any]:
        record = {
            "attributes": {"type": "Task"},
            self._settings.task_external_id: task.event_id,
            "Subject": task.subject,
            "Description": task.text[:_LONGEST_TEXT],
            "ActivityDate": datetime.fromtimestamp(task.due / 1000, UTC).date().isoformat(),
            "Priority": "High",
            "WhoId": lead,
        }
        return record | ({"OwnerId": self._settings.task_owner} if self._settings.task_owner is not None else {})

    async def _erase(self, plan: CrmPlan) -> Outcome:
        """Every Lead that has the lead's id. They are asked for first: to a DELETE by an external id, a field that the
        relay's user may not see answers as a Lead that is gone does.
        """
        query = f"SELECT Id FROM Lead WHERE {self._settings.external_id} IN ('{_escaped(plan.lead_id)}')"
        try:
            response = await self._ask("GET", f"/query?q={quote(query)}", allowed=(200,))
            for lead in decoded(response, _Leads, "Salesforce").records:
                await self._ask("DELETE", f"/sobjects/Lead/{lead.id}", allowed=(204, 404))
        except Refused as refused:
            return refused.outcome
        return Delivered()

    async def _ask(self, method: str, path: str, body: Any = None, *, allowed: tuple[int, ...]) -> Response:
        response = await ask(self._sender, Request(method, f"{self._base}{path}", body))
        code = _first_code(response)
        if code in _LACKING or (response.status == 404 and method != "DELETE"):
            raise Refused(down(response, _FIELDS))
        if response.status not in allowed:
            raise Refused(failure(response))
        return response


class _Problem(Struct, frozen=True):
    """An error; `errorCode` of a request, `statusCode` of a record in a collection."""

    error_code: str = msgspec.field(name="errorCode", default="")
    status_code: str = msgspec.field(name="statusCode", default="")
    message: str = ""


class _Result(Struct, frozen=True):
    """What became of a record."""

    success: bool
    id: str | None = None
    errors: Sequence[_Problem] = ()


class _Query(Struct, frozen=True):
    """What a query found."""

    records: Sequence[Mapping[str, Any]]


class _Lead(Struct, frozen=True):
    id: str = msgspec.field(name="Id")


class _Leads(Struct, frozen=True):
    """What a query for ids found."""

    records: Sequence[_Lead]


def _first_code(response: Response) -> str:
    """The code of a request's error; nothing when it is no error of Salesforce's."""
    try:
        problems = msgspec.json.decode(response.body, type=list[_Problem]) if response.status >= 400 else []
    except (msgspec.DecodeError, RecursionError):
        return ""
    return problems[0].error_code if problems else ""


def _entry_failure(errors: Sequence[_Problem]) -> Outcome:
    """What Salesforce's errors of one record mean for it."""
    first = errors[0] if errors else _Problem()
    code = first.status_code or first.error_code
    detail = told(f"{code}: {first.message}")
    if code in _LACKING:
        return Retry(detail + _FIELDS)
    if code == "CANNOT_UPDATE_CONVERTED_LEAD":  # it lives on as a contact, which is sales' own
        return Skipped("converted")
    return Retry(detail, target_down=False) if code in _PASSING else Rejected(detail)


def _escaped(text: str) -> str:
    """A text within a SOQL string."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")


def pretend(request: Request) -> Response:
    """What a dry run takes for Salesforce's answer: an org without the leads."""
    if "/query?" in request.url:
        return Response(200, {}, b'{"totalSize": 0, "done": true, "records": []}')
    if "/composite/" in request.url:
        results = [{"id": "(id)", "success": True, "errors": []} for _ in request.body["records"]]
        return Response(200, {}, msgspec.json.encode(results))
    return Response(204 if request.method == "DELETE" else 201, {}, b'{"id": "(id)", "success": true, "errors": []}')
