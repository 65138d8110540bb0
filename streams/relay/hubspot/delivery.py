"""Contacts by e-mail address, or by the id that HubSpot gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.relay.crm import CrmPlan, in_halves, in_rounds, plan_crm, without_writing
from streams.relay.exchange import Delivered, Outcome, Sender, Skipped
from streams.relay.facts import merged_fields
from streams.relay.hubspot.account import CONTACTS, Account
from streams.relay.hubspot.mapping import DEFAULT_FIELDS, DEFAULT_STAGES, Properties, text
from streams.relay.hubspot.stages import Stages
from streams.relay.hubspot.tasks import ask_sales
from streams.relay.lanes import Item
from streams.relay.memory import Remembered
from streams.relay.settings import HubspotTarget

Existing = Mapping[str, Mapping[str, str | None]]


class HubspotDelivery:
    """Delivers to one account. `sender` adds the token."""

    batch_size = 100

    def __init__(self, settings: HubspotTarget, sender: Sender) -> None:
        self._settings = settings
        self.account = Account(settings.url, sender)
        self.fields = merged_fields(DEFAULT_FIELDS, settings.fields)
        stages = {str(stage): name for stage, name in settings.lifecycle_stages.items()}
        self._stages = Stages(merged_fields(DEFAULT_STAGES, stages))

    def plan(self, item: Item, known: Remembered, now: int) -> CrmPlan | Skipped:
        statuses = self._settings.lead_statuses
        return plan_crm(item, known, now, self._settings, self.fields, statuses, by_address=True)

    async def deliver(self, plans: Sequence[CrmPlan]) -> list[Outcome]:
        return await in_rounds(lambda some: in_halves(self._together, some), plans, _key)

    async def _together(self, plans: Sequence[CrmPlan]) -> list[Outcome]:
        outcomes = await without_writing(
            plans, self._erase, lambda plan: bool(plan.fields or plan.profile or plan.stage)
        )
        writes = [plan for plan in plans if plan.event_id not in outcomes]
        existing = await self._existing(writes)
        by_id = {p.event_id for p in writes if p.crm_id is not None and (p.event_id in existing or not _reads(p))}
        reachable = [plan for plan in writes if plan.event_id in by_id or plan.email is not None]
        outcomes |= {plan.event_id: Skipped("gone") for plan in writes if plan not in reachable}
        outcomes |= await self._clear_stages(reachable, existing, by_id)
        reachable = [plan for plan in reachable if plan.event_id not in outcomes]
        written = {plan.event_id: self._properties(plan, existing.get(plan.event_id)) for plan in reachable}
        outcomes |= await self._write(reachable, written, by_id)
        asking = [plan for plan in reachable if plan.task and isinstance(outcomes[plan.event_id], Delivered)]
        if asking:
            outcomes |= await ask_sales(self.account, asking, outcomes, self._settings.task_owner)
        return [outcomes[plan.event_id] for plan in plans]

    async def _erase(self, plan: CrmPlan) -> Outcome:
        return Skipped("no_key") if plan.crm_id is None else await self.account.erase(plan.crm_id)

    async def _existing(self, plans: Sequence[CrmPlan]) -> dict[str, Mapping[str, str | None]]:
        """What the contacts of the plans hold already, event id -> properties; absent where there is no contact."""
        found: dict[str, Mapping[str, str | None]] = {}
        wanted = sorted({"email", "lifecyclestage", *(name for plan in plans for name in plan.profile)})
        reading = [plan for plan in plans if _reads(plan)]
        by_id = {plan.crm_id: plan for plan in reading if plan.crm_id is not None}
        if by_id:
            for result in await self.account.read(by_id, wanted):
                if result.id in by_id:
                    found[by_id[result.id].event_id] = result.properties
        by_email = {str(plan.email).lower(): plan for plan in reading if plan.crm_id is None}
        if by_email:
            for result in await self.account.read(by_email, wanted, "email"):
                if (address := str(result.properties.get("email")).lower()) in by_email:
                    found[by_email[address].event_id] = result.properties
        return found

    async def _clear_stages(self, plans: Sequence[CrmPlan], existing: Existing, by_id: set[str]) -> dict[str, Outcome]:
        """Clear the stages that go back; the outcomes of what can't be."""
        backward = [plan for plan in plans if self._stages.goes_back(plan, _stage(existing, plan))]
        cleared = await self._write(backward, {plan.event_id: {"lifecyclestage": ""} for plan in backward}, by_id)
        return {key: outcome for key, outcome in cleared.items() if not isinstance(outcome, Delivered)}

    def _properties(self, plan: CrmPlan, existing: Mapping[str, str | None] | None) -> Properties:
        has = existing or {}
        properties = {name: text(value) for name, value in plan.fields.items()}
        properties |= {name: text(value) for name, value in plan.profile.items() if not has.get(name)}
        stage = self._stages.wanted(plan, has.get("lifecyclestage"))
        if stage is not None:
            properties["lifecyclestage"] = stage
        if plan.status is not None:
            properties["hs_lead_status"] = plan.status
        return properties

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
                outcomes |= await self.account.write(path, inputs)
        return outcomes


def _key(plan: CrmPlan) -> str:
    return plan.crm_id or (plan.email or plan.lead_id).lower()


def _reads(plan: CrmPlan) -> bool:
    """Whether what to write depends on what the contact holds."""
    return plan.stage is not None or bool(plan.profile)


def _stage(existing: Existing, plan: CrmPlan) -> str | None:
    return existing.get(plan.event_id, {}).get("lifecyclestage")


def _input(plan: CrmPlan, properties: Properties, by_id: bool) -> dict[str, Any]:
    if by_id:
        return {"id": plan.crm_id, "objectWriteTraceId": plan.event_id, "properties": properties}
    assert plan.email is not None
    address = {"id": plan.email, "idProperty": "email"}
    return {**address, "objectWriteTraceId": plan.event_id, "properties": {**properties, "email": plan.email}}
