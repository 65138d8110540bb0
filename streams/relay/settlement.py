"""What becomes of an item once its target was asked: remembered, tried again later, or parked in dead letters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from streams.relay.breaker import Breaker
from streams.relay.crm import CrmPlan
from streams.relay.exchange import Delivered, Gone, Outcome, Rejected, Retry, Skipped
from streams.relay.intake import DEAD_LETTERS, Raw
from streams.relay.lanes import Item, Lanes
from streams.relay.memory import Memory
from streams.relay.offsets import Offsets, Place
from streams.relay.settings import Common
from streams.relay.surroundings import Surroundings
from streams.relay.target import Plan
from streams.wire.bad import BadRecord
from streams.wire.deadletters import dead_letter, letter_key

log = logging.getLogger(__name__)

#: A target that refuses all there is makes a line so often.
_SAID_S = 60.0


class Settlement:
    """Of one target. Raises BrokerRefused when what is to be remembered or parked can't be written."""

    def __init__(
        self,
        name: str,
        settings: Common,
        shared: Surroundings,
        lanes: Lanes,
        offsets: Offsets,
        memory: Memory,
        breaker: Breaker,
    ) -> None:
        self._name = name
        self._settings = settings
        self._shared = shared
        self._lanes = lanes
        self._offsets = offsets
        self._memory = memory
        self._breaker = breaker
        self._consumer = f"relay:{name}"
        #: Whose items may be tried again here.
        self.places: set[Place] = set()
        #: Whether the target wants no more.
        self.disabled = False
        self._parked = 0
        self._say_parked_from = float("-inf")

    def judge(self, outcomes: Sequence[Outcome]) -> None:
        """What the outcomes say of the target as a whole."""
        down = [one for one in outcomes if isinstance(one, Retry) and one.target_down]
        if not down:
            if self._breaker.open:
                log.warning("%s takes events again", self._name)
            self._breaker.succeeded()
            return
        was_open = self._breaker.open
        self._breaker.failed(max((one.wait_s for one in down if one.wait_s is not None), default=None))
        if self._breaker.open and not was_open:
            why = down[0].logged or down[0].detail
            log.warning("%s is left alone for %.0f s: %s", self._name, self._breaker.wait_s(), why)

    async def settle(self, item: Item, plan: Plan, outcome: Outcome) -> None:
        metrics = self._shared.metrics
        if isinstance(outcome, Retry):
            item.attempts += 1
            if item.attempts < self._settings.retry.attempts:
                metrics.retried(self._name)
                item.not_before = self._shared.clock() + self._pause(item.attempts, outcome.wait_s)
                if item.place in self.places:
                    self._lanes.put_back(item)
                else:  # another relay has it now
                    self._lanes.finish(item)
                return
            outcome = Rejected(f"{outcome.detail} (after {item.attempts} tries)")
        if isinstance(outcome, Gone) and not self.disabled:
            self.disabled = True
            log.error("%s takes no more events: %s. Restart the relay to try again.", self._name, outcome.detail)
            metrics.disabled(self._name)
        if isinstance(outcome, Rejected | Gone):
            await self.park(_raw_of(item), BadRecord("DELIVERY_FAILED", outcome.detail), item.lead_id)
        else:
            await self._remember(item, plan, outcome)
            if isinstance(outcome, Delivered):
                metrics.delivered(self._name, self._shared.clock() - item.seen)
            else:
                metrics.skipped(self._name, outcome.reason)
        self.finish(item)

    async def _remember(self, item: Item, plan: Plan, outcome: Delivered | Skipped) -> None:
        """Before the lead's next record goes: a relay that is killed after that must know of this one."""
        if plan.remember is None:
            return
        remember = plan.remember
        crm_id = outcome.crm_id if isinstance(outcome, Delivered) else None
        if crm_id is not None and not (isinstance(plan, CrmPlan) and plan.erase):
            remember = msgspec.structs.replace(remember, crm_id=crm_id)
        partition = item.place[1]
        key, value = self._memory.keep(partition, item.lead_id, remember)
        await self._shared.outbox.write(self._shared.memory_topic, key, value, partition)

    async def park(self, source: Any, bad: BadRecord, lead_id: str | None) -> None:
        shared = self._shared
        letter = dead_letter(self._consumer, source, bad, shared.now(), lead_id)
        await shared.outbox.write(DEAD_LETTERS, letter_key(source), shared.codec.encode(DEAD_LETTERS, letter))
        shared.metrics.parked(self._name)
        self._parked += 1
        if shared.clock() >= self._say_parked_from:
            self._say_parked_from = shared.clock() + _SAID_S
            # Not why: a CRM's answer may quote the lead's address. The letter has it.
            log.warning(
                "%s: %d parked since the start, now %s offset %d/%d; `leadstream dead-letters list` says why",
                self._name,
                self._parked,
                source.topic,
                source.partition,
                source.offset,
            )

    def _pause(self, attempts: int, asked_s: float | None) -> float:
        """Exponential, with full jitter over its upper half; never shorter than the target asked for."""
        retry = self._settings.retry
        pause = min(retry.longest, retry.first * 2 ** (attempts - 1)) * (0.5 + 0.5 * self._shared.jitter())
        return max(pause, asked_s or 0.0)

    def finish(self, item: Item) -> None:
        self._lanes.finish(item)
        self._offsets.finish(item.place, item.offset)


def _raw_of(item: Item) -> Raw:
    return Raw(*item.source, item.key, item.value)
