"""HubSpot targets: contacts by e-mail address, a task for what sales is to do, by HubSpot's CRM API v3.

Every request may be repeated without harm: contacts and tasks are upserted by unique properties, associations set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from streams.relay.crm import CrmPlan, Refused, Task, in_halves, in_rounds, merged_fields, plan_crm
from streams.relay.exchange import (
    Delivered,
    Outcome,
    Rejected,
    Request,
    Response,
    Retry,
    Sender,
    Skipped,
    Unanswered,
    failure,
)
from streams.relay.lanes import Item
from streams.relay.memory import Remembered
from streams.relay.targets import HubspotTarget

CONTACTS: Final = "/crm/v3/objects/contacts"
TASKS: Final = "/crm/v3/objects/tasks"
ASSOCIATE: Final = "/crm/v4/associations/tasks/contacts/batch/associate/default"
TOKEN: Final = "/oauth/v1/token"
#: A task's property with unique values: the event that asked for it.
TASK_KEY: Final = "leadstream_event_id"

DEFAULT_FIELDS: Final[Mapping[str, str]] = {
    "leadstream_lead_id": "lead_id",
    "leadstream_sequence": "sequence",
    "leadstream_score": "score",
    "leadstream_fit_band": "fit_band",
    "leadstream_route": "route",
    "leadstream_qualified_until": "qualified_until",
    "leadstream_qualification_id": "qualification_id",
    "leadstream_handoff": "handoff",
    "firstname": "first_name",
    "lastname": "last_name",
    "phone": "phone",
    "company": "company",
    "jobtitle": "job_title",
    "country": "country",
}
DEFAULT_STAGES: Final[Mapping[str, str]] = {
    "lead": "lead",
    "mql": "marketingqualifiedlead",
    "sql": "salesqualifiedlead",
    "opportunity": "opportunity",
    "customer": "customer",
}
#: HubSpot's own stages in their order. Setting an earlier one than the contact has is ignored, unless cleared first.
_ORDER: Final = (
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
)
#: From here on a stage says what people did; it is only taken back by an event that knows of it.
_SALES_OWN: Final = _ORDER.index("opportunity")
#: What may pass by itself. Everything else in a batch's errors is about the entry.
_PASSING: Final = frozenset(
    {"RATE_LIMITS", "RATE_LIMIT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "CONFLICT"}
)

Properties = dict[str, str]


class HubspotDelivery:
    """Delivers to one account. `sender` adds the token."""

    batch_size = 100
    remembers = True

    def __init__(self, settings: HubspotTarget, sender: Sender) -> None:
        self._settings = settings
        self._sender = sender
        self._fields = merged_fields(DEFAULT_FIELDS, settings.fields)
        stages = {str(stage): name for stage, name in settings.lifecycle_stages.items()}
        self._stages = merged_fields(DEFAULT_STAGES, stages)

    def plan(self, item: Item, known: Remembered, now: int) -> CrmPlan | Skipped:
        return plan_crm(item, known, now, self._settings, self._fields, self._settings.lead_statuses)

    async def deliver(self, plans: Sequence[CrmPlan]) -> list[Outcome]:
        return await in_rounds(lambda some: in_halves(self._together, some), plans, _key)

    async def contact(self, contact_id: str, properties: Iterable[str]) -> Mapping[str, str | None] | None:
        """A contact's properties; None when there is no such contact. Raises Refused."""
        query = ",".join(properties)
        response = await self._ask("GET", f"{CONTACTS}/{contact_id}?properties={query}", allowed=(200, 404))
        return response.json()["properties"] if response.status == 200 else None

    # --- contacts -----------------------------------------------------------------------------------------

    async def _together(self, plans: Sequence[CrmPlan]) -> list[Outcome]:
        outcomes: dict[str, Outcome] = {}
        for plan in plans:
            if plan.erase:
                outcomes[plan.event_id] = await self._erase(plan)
            elif not plan.fields and plan.stage is None and not plan.profile:
                outcomes[plan.event_id] = Skipped("nothing_to_write")
        writes = [plan for plan in plans if plan.event_id not in outcomes]
        existing = await self._existing(writes)
        written = {plan.event_id: self._properties(plan, existing.get(plan.event_id)) for plan in writes}
        backward = [plan for plan in writes if self._goes_back(plan, existing.get(plan.event_id))]
        by_id = {plan.event_id for plan in writes if plan.crm_id is not None and plan.event_id in existing}
        unread = {plan.event_id for plan in writes if plan.crm_id is not None and not _reads(plan)}
        by_id |= unread
        reachable = [plan for plan in writes if plan.event_id in by_id or plan.email is not None]
        outcomes |= {plan.event_id: Skipped("gone") for plan in writes if plan not in reachable}
        if backward:
            cleared = await self._write(backward, {plan.event_id: {"lifecyclestage": ""} for plan in backward}, by_id)
            outcomes |= {key: outcome for key, outcome in cleared.items() if not isinstance(outcome, Delivered)}
        reachable = [plan for plan in reachable if plan.event_id not in outcomes]
        outcomes |= await self._write(reachable, written, by_id)
        asking = [plan for plan in reachable if plan.task and isinstance(outcomes[plan.event_id], Delivered)]
        if asking:
            outcomes |= await self._tasks(asking, outcomes)
        return [outcomes[plan.event_id] for plan in plans]

    async def _existing(self, plans: Sequence[CrmPlan]) -> dict[str, Mapping[str, str | None]]:
        """What the contacts of the plans hold already, event id -> properties; absent where there is no contact."""
        found: dict[str, Mapping[str, str | None]] = {}
        wanted = sorted({"email", "lifecyclestage", *(name for plan in plans for name in plan.profile)})
        reading = [plan for plan in plans if _reads(plan)]
        for attribute, key in (("crm_id", "id"), ("email", "email")):
            asked = {str(getattr(p, attribute)).lower(): p for p in reading if _finder(p) == attribute}
            if not asked:
                continue
            body: dict[str, Any] = {"inputs": [{"id": one} for one in asked], "properties": wanted}
            body |= {"propertiesWithHistory": []} | ({"idProperty": "email"} if key == "email" else {})
            response = await self._ask("POST", f"{CONTACTS}/batch/read", body, allowed=(200, 207))
            for result in response.json()["results"]:
                name = result["id"] if key == "id" else str(result["properties"].get("email")).lower()
                if name in asked:
                    found[asked[name].event_id] = result["properties"]
        return found

    def _properties(self, plan: CrmPlan, existing: Mapping[str, str | None] | None) -> Properties:
        has = existing or {}
        properties = {name: _text(self._fields[name], value) for name, value in plan.fields.items()}
        properties |= {
            name: _text(self._fields[name], value) for name, value in plan.profile.items() if not has.get(name)
        }
        stage = self._stages.get(plan.stage) if plan.stage is not None else None
        if stage is not None and not self._is_sales_own(plan, has.get("lifecyclestage")):
            properties["lifecyclestage"] = stage
        if plan.status is not None:
            properties["hs_lead_status"] = plan.status
        return properties

    def _goes_back(self, plan: CrmPlan, existing: Mapping[str, str | None] | None) -> bool:
        stage = self._stages.get(plan.stage) if plan.stage is not None else None
        current = (existing or {}).get("lifecyclestage")
        if stage is None or not current or current == stage or self._is_sales_own(plan, current):
            return False
        return stage not in _ORDER or current not in _ORDER or _ORDER.index(stage) < _ORDER.index(current)

    def _is_sales_own(self, plan: CrmPlan, current: str | None) -> bool:
        """Whether the contact's stage is one that people set and the event does not know of."""
        wanted = self._stages.get(plan.stage) if plan.stage is not None else None
        if current not in _ORDER or wanted not in _ORDER or _ORDER.index(wanted) >= _ORDER.index(current):
            return False
        known = plan.from_stage is not None and self._stages.get(plan.from_stage) == current
        return _ORDER.index(current) >= _SALES_OWN and not known

    async def _write(
        self, plans: Sequence[CrmPlan], properties: Mapping[str, Properties], by_id: set[str]
    ) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for path, some in (
            (f"{CONTACTS}/batch/update", [plan for plan in plans if plan.event_id in by_id]),
            (f"{CONTACTS}/batch/upsert", [plan for plan in plans if plan.event_id not in by_id]),
        ):
            inputs = {plan.event_id: _input(plan, properties[plan.event_id], plan.event_id in by_id) for plan in some}
            if inputs:
                outcomes |= await self._batch(path, inputs)
        return outcomes

    async def _batch(self, path: str, inputs: Mapping[str, dict[str, Any]]) -> dict[str, Outcome]:
        """Send a batch, event id -> input; what the answer doesn't name a result for is sent alone, to learn why."""
        body = {"inputs": list(inputs.values())}
        response = await self._ask("POST", path, body, allowed=(200, 201, 207))
        answer = response.json()
        outcomes: dict[str, Outcome] = {}
        for event_id, one in inputs.items():
            result = next((result for result in answer["results"] if _is_of(result, event_id, one)), None)
            if result is not None:
                outcomes[event_id] = Delivered(str(result["id"]))
        missing = {event_id: one for event_id, one in inputs.items() if event_id not in outcomes}
        if missing and len(inputs) == 1:
            return dict.fromkeys(missing, _entry_failure(answer.get("errors") or []))
        for event_id, one in missing.items():
            try:
                outcomes |= await self._batch(path, {event_id: one})
            except Refused as refused:
                outcomes[event_id] = refused.outcome
        return outcomes

    async def _erase(self, plan: CrmPlan) -> Outcome:
        """By the contact's id: an unknown address would be put on HubSpot's block list instead."""
        if plan.crm_id is None:
            return Skipped("no_key")
        try:
            await self._ask("POST", f"{CONTACTS}/gdpr-delete", {"objectId": plan.crm_id}, allowed=(204, 404))
        except Refused as refused:
            return refused.outcome
        return Delivered()

    # --- tasks --------------------------------------------------------------------------------------------

    async def _tasks(self, plans: Sequence[CrmPlan], contacts: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Ask sales to act; the outcome of a plan stays that of its contact, unless its task fails."""
        inputs = {plan.event_id: self._task_input(plan.task) for plan in plans if plan.task is not None}
        outcomes = await self._batch(f"{TASKS}/batch/upsert", inputs)
        pairs = []
        for plan in plans:
            contact, task = contacts[plan.event_id], outcomes[plan.event_id]
            if isinstance(task, Delivered) and isinstance(contact, Delivered):
                pairs.append({"from": {"id": task.crm_id}, "to": {"id": contact.crm_id}})
                outcomes[plan.event_id] = contact
        if pairs:
            await self._ask("POST", ASSOCIATE, {"inputs": pairs}, allowed=(200, 201))
        return outcomes

    def _task_input(self, task: Task) -> dict[str, Any]:
        properties = {
            TASK_KEY: task.event_id,
            "hs_timestamp": str(task.due),
            "hs_task_subject": task.subject,
            "hs_task_body": task.text.replace("\n", "<br>"),
            "hs_task_type": "TODO",
            "hs_task_priority": "HIGH",
        }
        if self._settings.task_owner is not None:
            properties["hubspot_owner_id"] = self._settings.task_owner
        return {
            "id": task.event_id,
            "idProperty": TASK_KEY,
            "objectWriteTraceId": task.event_id,
            "properties": properties,
        }

    async def _ask(self, method: str, path: str, body: Any = None, *, allowed: tuple[int, ...]) -> Response:
        try:
            response = await self._sender.send(Request(method, f"{self._settings.url}{path}", body))
        except Unanswered as error:
            raise Refused(Retry(str(error))) from None
        if response.status not in allowed:
            raise Refused(failure(response))
        if response.body and not isinstance(response.json(), dict):
            raise Refused(Retry(f"HTTP {response.status} without the JSON that HubSpot sends; check the target's url"))
        return response


def _finder(plan: CrmPlan) -> str:
    return "email" if plan.crm_id is None else "crm_id"


def _key(plan: CrmPlan) -> str:
    return plan.crm_id or (plan.email or plan.lead_id).lower()


def _reads(plan: CrmPlan) -> bool:
    """Whether what to write depends on what the contact holds."""
    return plan.stage is not None or bool(plan.profile)


def _input(plan: CrmPlan, properties: Properties, by_id: bool) -> dict[str, Any]:
    if by_id:
        return {"id": plan.crm_id, "objectWriteTraceId": plan.event_id, "properties": properties}
    assert plan.email is not None
    address = {"id": plan.email, "idProperty": "email"}
    return {**address, "objectWriteTraceId": plan.event_id, "properties": {**properties, "email": plan.email}}


def _is_of(result: Mapping[str, Any], event_id: str, one: Mapping[str, Any]) -> bool:
    """Whether a batch's result is that of an input. The trace id comes back; where it doesn't, the key tells."""
    if result.get("objectWriteTraceId") is not None:
        return bool(result["objectWriteTraceId"] == event_id)
    unique = one.get("idProperty")
    found = result["properties"].get(unique) if unique else result["id"]
    return str(found).lower() == str(one["id"]).lower()


def _entry_failure(errors: Sequence[Mapping[str, Any]]) -> Outcome:
    if not errors:
        return Retry("HubSpot names neither a result nor an error for the entry", target_down=False)
    category = str(errors[0].get("category"))
    detail = f"{category}: {errors[0].get('message')}"[:400]
    if category == "OBJECT_NOT_FOUND":
        return Skipped("gone")
    return Retry(detail, target_down=False) if category in _PASSING else Rejected(detail)


def _text(fact: str, value: Any) -> str:
    """A property's value: HubSpot takes texts; an empty one clears. Instants are ms since the epoch."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def pretend(request: Request) -> Response:
    """What a dry run takes for HubSpot's answer: an account without the contacts."""
    from msgspec.json import encode

    if request.url.endswith("/batch/read"):
        return Response(200, {}, encode({"status": "COMPLETE", "results": []}))
    if request.url.endswith(("/batch/upsert", "/batch/update")):
        results = [
            {"id": "(id)", "properties": {}, "objectWriteTraceId": one["objectWriteTraceId"]}
            for one in request.body["inputs"]
        ]
        return Response(200, {}, encode({"status": "COMPLETE", "results": results}))
    return Response(204 if request.url.endswith("/gdpr-delete") else 200, {}, b"")
