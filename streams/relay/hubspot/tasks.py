"""What sales is asked to do, as tasks of the contact; upserted by the event that asks, so that none comes twice."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from streams.relay.crm import CrmPlan, Task
from streams.relay.exchange import Delivered, Outcome
from streams.relay.hubspot.account import TASKS, Account
from streams.relay.hubspot.mapping import TASK_KEY


async def ask_sales(
    account: Account, plans: Sequence[CrmPlan], contacts: Mapping[str, Outcome], owner: str | None
) -> dict[str, Outcome]:
    """Make the plans' tasks; the outcome of a plan stays that of its contact, unless its task fails. Raises Refused."""
    inputs = {plan.event_id: _input(plan.task, owner) for plan in plans if plan.task is not None}
    outcomes = await account.write(f"{TASKS}/batch/upsert", inputs)
    pairs = []
    for plan in plans:
        contact, task = contacts[plan.event_id], outcomes[plan.event_id]
        if isinstance(task, Delivered) and isinstance(contact, Delivered):
            pairs.append((str(task.crm_id), str(contact.crm_id)))
            outcomes[plan.event_id] = contact
    if pairs:
        await account.associate(pairs)
    return outcomes


def _input(task: Task, owner: str | None) -> dict[str, Any]:
    properties = {
        TASK_KEY: task.event_id,
        "hs_timestamp": str(task.due),
        "hs_task_subject": task.subject,
        # The body is HTML, and what leads say of themselves must stay text in it.
        "hs_task_body": html.escape(task.text).replace("\n", "<br>"),
        "hs_task_type": "TODO",
        "hs_task_priority": "HIGH",
    }
    if owner is not None:
        properties["hubspot_owner_id"] = owner
    return {"id": task.event_id, "idProperty": TASK_KEY, "objectWriteTraceId": task.event_id, "properties": properties}
