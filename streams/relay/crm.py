"""What HubSpot and Salesforce have in common: what to write of a record, decided from record, settings and memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from streams.relay.exchange import Outcome, Rejected, Request, Response, Retry, Sender, Skipped, Unanswered
from streams.relay.facts import (
    PROFILE,
    is_qualification,
    profile_facts,
    qualification_facts,
    stage_of,
    state_facts,
    time_of,
)
from streams.relay.handoff import handoff_text, headline
from streams.relay.lanes import Item
from streams.relay.memory import Remembered, news_of

T = TypeVar("T")


class Task(msgspec.Struct, frozen=True):
    """What a salesperson is asked to do; `due` in ms since the epoch."""

    event_id: str
    subject: str
    text: str
    due: int


class CrmPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to write for one record. `fields` overwrite; `profile` fills what the CRM has empty. `stage` and
    `from_stage` are leadstream's; None: not to be written. `status` is written when the lead comes to a stage and not
    again while it is there, nor after sales' own word: from then on it is theirs. The lead is found by `crm_id`, else
    by its own key.
    """

    event_id: str
    lead_id: str
    email: str | None
    crm_id: str | None
    fields: Mapping[str, Any] = {}
    profile: Mapping[str, Any] = {}
    stage: str | None = None
    from_stage: str | None = None
    status: str | None = None
    task: Task | None = None
    erase: bool = False
    remember: Remembered


class CrmSettings(Protocol):
    """What of a target's settings decides."""

    @property
    def max_age(self) -> Any: ...
    @property
    def tasks_for(self) -> tuple[Any, ...]: ...
    @property
    def erase(self) -> bool: ...


def plan_crm(
    item: Item,
    known: Remembered,
    now: int,
    settings: CrmSettings,
    fields: Mapping[str, str],
    statuses: Mapping[Any, str],
    *,
    by_address: bool,
) -> CrmPlan | Skipped:
    """What to write of `item` into a CRM that has `known`. `fields` maps the CRM's names to facts, `now` is in ms.
    `by_address`: the CRM knows people by their e-mail address, so that all ids of a lead are one entry there.
    """
    record = item.record
    news = news_of(record, known)
    if isinstance(news, str):
        return Skipped(news)
    email = (record.get("profile") or {}).get("email")
    cause = record.get("cause")
    if cause == "MERGED" and record["to_stage"] == "visitor" and by_address:
        # The id is an alias now: what becomes of the person is said under the other id, in no order with this.
        return _nothing(item, known, news.remember)
    if cause in ("ERASED", "EXPIRED"):
        nothing = _nothing(item, known, news.remember)
        return msgspec.structs.replace(nothing, erase=True) if cause == "ERASED" and settings.erase else nothing
    if email is None and known.crm_id is None:
        return Skipped("no_key")
    facts = state_facts(record) if news.state else {}
    if news.qualification:
        facts |= qualification_facts(record)
    who = profile_facts(record)
    writes_stage = (news.state and "to_stage" in record) or (news.state and is_qualification(record))
    stage = stage_of(record) if writes_stage else None
    return CrmPlan(
        event_id=item.event_id,
        lead_id=item.lead_id,
        email=email,
        crm_id=known.crm_id,
        fields={name: facts[fact] for name, fact in fields.items() if fact in facts and fact not in PROFILE},
        profile={name: who[fact] for name, fact in fields.items() if fact in who},
        stage=stage,
        from_stage=record.get("from_stage", record.get("previous_stage")),
        status=statuses.get(stage) if stage != known.stage and cause != "FEEDBACK" else None,
        task=_task(item, now, settings) if news.qualification else None,
        remember=news.remember,
    )


def _nothing(item: Item, known: Remembered, remember: Remembered) -> CrmPlan:
    return CrmPlan(event_id=item.event_id, lead_id=item.lead_id, email=None, crm_id=known.crm_id, remember=remember)


def _task(item: Item, now: int, settings: CrmSettings) -> Task | None:
    record = item.record
    if record["stage"] not in settings.tasks_for:
        return None
    old = settings.max_age is not None and now - time_of(record) > settings.max_age * 1000
    if old and not item.retried:
        return None
    due = record["respond_by"] if record["respond_by"] is not None else now
    return Task(item.event_id, headline(record), handoff_text(record), due)


class Refused(Exception):
    """A request about several plans failed as a whole."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


async def ask(sender: Sender, request: Request) -> Response:
    """Send. Raises Refused when nothing answers."""
    try:
        return await sender.send(request)
    except Unanswered as error:
        raise Refused(Retry(str(error), error.wait_s)) from None


def decoded(response: Response, kind: type[T], crm: str) -> T:
    """The body as a `kind`. Raises Refused when it is none, as a proxy's page or another server's answer."""
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise Refused(
            Retry(f"HTTP {response.status} without the JSON that {crm} sends; check the target's url")
        ) from None


async def without_writing(
    plans: Sequence[CrmPlan], erase: Callable[[CrmPlan], Awaitable[Outcome]], writes: Callable[[CrmPlan], bool]
) -> dict[str, Outcome]:
    """The outcomes of erasures, and of plans that have nothing to write, by event id."""
    outcomes: dict[str, Outcome] = {}
    for plan in plans:
        if plan.erase:
            outcomes[plan.event_id] = await erase(plan)
        elif not writes(plan):
            outcomes[plan.event_id] = Skipped("nothing_to_write")
    return outcomes


Together = Callable[[Sequence[CrmPlan]], Awaitable[list[Outcome]]]


async def in_halves(deliver: Together, plans: Sequence[CrmPlan]) -> list[Outcome]:
    """Deliver together what can be; a batch that is refused for one bad entry is halved until only that one fails.

    What is sent again thereby writes the same values to the same keys.
    """
    try:
        return await deliver(plans)
    except Refused as refused:
        if not isinstance(refused.outcome, Rejected) or len(plans) == 1:
            return [refused.outcome] * len(plans)
    middle = len(plans) // 2
    return [*await in_halves(deliver, plans[:middle]), *await in_halves(deliver, plans[middle:])]


async def in_rounds(deliver: Together, plans: Sequence[CrmPlan], key: Callable[[CrmPlan], str]) -> list[Outcome]:
    """Deliver plans of the same key one after the other, since a batch must not name a record twice."""
    outcomes: list[Outcome | None] = [None] * len(plans)
    left = list(range(len(plans)))
    while left:
        chosen: dict[str, int] = {}
        for number in left:
            chosen.setdefault(key(plans[number]), number)
        numbers = sorted(chosen.values())
        for number, outcome in zip(numbers, await deliver([plans[n] for n in numbers]), strict=True):
            outcomes[number] = outcome
        left = [number for number in left if outcomes[number] is None]
    return [outcome for outcome in outcomes if outcome is not None]
