"""One target's deliveries: read, plan, write, settle, move on.

A record is finished when it is delivered, skipped (counted) or parked in dead letters; offsets move past finished ones
only. Each lead's records go one after the other, of different leads in batches and side by side. What fails waits with
growing pauses; a target that fails as a whole is left alone by its breaker. A fault of our own or of the broker's
raises.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from streams.relay.breaker import Breaker
from streams.relay.exchange import Gone, Outcome, Rejected, Retry, Skipped
from streams.relay.intake import NotOurs, Raw, Unreadable, item_of
from streams.relay.lanes import Item, Lanes
from streams.relay.memory import Memory
from streams.relay.offsets import Offsets, Place
from streams.relay.secrets import redacted
from streams.relay.settings import Common
from streams.relay.settlement import Settlement
from streams.relay.source import Source
from streams.relay.surroundings import Surroundings
from streams.relay.target import Plan, TargetDelivery
from streams.wire.registry import RegistryUnavailable

log = logging.getLogger(__name__)

_FULL = 1000
#: One event that fails for long lets the target go on for so many, all of which a restart would deliver again.
_MOST_HELD = 20_000
_COMMIT_S = 1.0
_LAG_S = 5.0
_GIVE_UP_S = 10.0
#: What is written in one transaction is seen on its topics one after the other, milliseconds apart.
_HOLD_S = 0.25


class Courier:
    """Takes one target's records to it."""

    def __init__(self, name: str, settings: Common, target: TargetDelivery, shared: Surroundings) -> None:
        self.name = name
        self.joined = False
        self._settings = settings
        self._target = target
        self._shared = shared
        self._consumer = f"relay:{name}"
        self._lanes = Lanes(shared.clock)
        self._offsets = Offsets()
        self._memory = Memory(name)
        self._breaker = Breaker(settings.breaker.failures, settings.breaker.pause, shared.clock)
        self._settlement = Settlement(name, settings, shared, self._lanes, self._offsets, self._memory, self._breaker)
        self._flights: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        #: Wakes whoever waits for the next poll to have been made.
        self._polled = asyncio.Event()
        self._source = Source(
            shared.bootstrap,
            name,
            shared.membership,
            settings.topics,
            [shared.retries_topic],
            shared.memory_topic,
            self,
            shared.clock,
        )
        #: A lead's count runs over these three: who hears of all of them knows when one is missing.
        self._counted = set(settings.topics) >= {"mql-events", "sql-events", "lifecycle-events"}
        shared.metrics.target(name)

    def alive(self) -> bool:
        """Whether the partitions are ours for sure."""
        return self._source.alive()

    @property
    def reached(self) -> bool:
        """Whether a broker answers."""
        return not self._source.away

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping`; what is in flight then is finished first, what waits stays on its topic."""
        await self._source.open()
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(stopping))
                dispatching = group.create_task(self._dispatch(group))
                await reading
                dispatching.cancel()
                while self._flights:
                    await self._poll(0)
        finally:
            await self._source.close()

    # --- reading --------------------------------------------------------------------------------------------

    async def _read(self, stopping: asyncio.Event) -> None:
        committed = measured = self._shared.clock()
        while not stopping.is_set():
            room = min(_FULL - self._offsets.unfinished, _MOST_HELD - self._offsets.held)
            for raw in await self._poll(max(0, room)):
                await self._take(raw)
            self._wake.set()
            now = self._shared.clock()
            if now - committed >= _COMMIT_S:
                committed = now
                await self._commit()
            if now - measured >= _LAG_S:
                measured = now
                self._shared.metrics.waiting(self.name, self._offsets.unfinished, await self._source.lag())

    async def _poll(self, most: int) -> list[Raw]:
        raws = await self._source.read(most)
        self._polled.set()
        self._polled.clear()
        return raws

    async def _take(self, raw: Raw) -> None:
        place = (raw.topic, raw.partition)
        self._offsets.read(place, raw.offset)
        found = await self._decoded(raw)
        if isinstance(found, Item):
            if self._counted and not found.retried:
                age_s = (self._shared.now() - raw.at) / 1000
                found.hold_until = found.seen + max(0.0, min(_HOLD_S, _HOLD_S - age_s))
            self._lanes.add(found)
            return
        if isinstance(found, Unreadable):
            await self._settlement.park(found.source, found.bad, None)
        elif found.reason is not None:
            self._shared.metrics.skipped(self.name, found.reason)
        self._offsets.finish(place, raw.offset)

    async def _decoded(self, raw: Raw) -> Item | Unreadable | NotOurs:
        shared, told = self._shared, False
        while True:
            try:
                return item_of(raw, shared.retries_topic, self._consumer, shared.codec, shared.clock())
            except RegistryUnavailable as error:
                if not told:
                    log.warning("%s waits: %s", self.name, error)
                    told = True
                await asyncio.sleep(1.0)

    async def _commit(self) -> None:
        due = self._offsets.due()
        if due and await self._source.commit(due):
            self._offsets.committed(due)

    async def assigned(self, memory: dict[int, dict[bytes, bytes]], places: Sequence[Place]) -> None:
        for number, values in memory.items():
            self._memory.take_over(number, values)
        self._settlement.places |= set(places)
        self.joined = True

    async def revoked(self, places: Sequence[Place], lost: bool) -> dict[Place, int]:
        """What is in flight gets a moment to end, and no more: the next owner must not have us write beside it. All
        partitions are given up together, and those that stay ours are assigned anew.
        """
        self._settlement.places -= set(places)
        self._lanes.drop(places)
        if self._flights:
            _, late = await asyncio.wait(set(self._flights), timeout=0.0 if lost else _GIVE_UP_S)
            for flight in late:
                flight.cancel()
            if late:
                await asyncio.wait(late)
        due = {place: offset for place, offset in self._offsets.due().items() if place in places}
        for place in places:
            self._offsets.forget(place)
            self._memory.give_away(place[1])
        return {} if lost else due

    # --- delivering -----------------------------------------------------------------------------------------

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            self._shared.metrics.breaker(self.name, self._breaker.open)
            while self._may_start():
                items = self._lanes.take(1 if self._breaker.open else self._target.batch_size)
                if not items:
                    break
                flight = group.create_task(self._deliver(items))
                self._flights.add(flight)
                flight.add_done_callback(partial(self._landed, items))
            waits = [self._breaker.wait_s() or None, self._lanes.next_in_s() or None]
            pause = max((wait for wait in waits if wait is not None), default=None)
            # Not `wait_for`: woken and cancelled in one turn of the loop, it forgets the latter (Python 3.11).
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    def _may_start(self) -> bool:
        flying = len(self._flights)
        return self.alive() and flying < self._settings.concurrency and self._breaker.may_start(flying)

    def _landed(self, items: Sequence[Item], flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if flight.cancelled():
            for item in items:
                self._lanes.finish(item)
        self._wake.set()

    async def _deliver(self, items: Sequence[Item]) -> None:
        planned: list[tuple[Item, Plan]] = []
        for item in items:
            plan = self._plan(item)
            if isinstance(plan, Skipped):
                self._settlement.finish(item)
                self._shared.metrics.skipped(self.name, plan.reason)
            else:
                planned.append((item, plan))
        if not planned:
            return
        outcomes = [_told(one) for one in await self._target.deliver([plan for _, plan in planned])]
        # What becomes of it is ours to note only if the partitions are; if they are not, this flight is called off.
        while not self.alive():
            await self._polled.wait()
        self._settlement.judge(outcomes)
        for (item, plan), outcome in zip(planned, outcomes, strict=True):
            await self._settlement.settle(item, plan, outcome)

    def _plan(self, item: Item) -> Plan | Skipped:
        if self._settlement.disabled:
            return Skipped("disabled")
        known = self._memory.of(item.place[1], item.lead_id)
        return self._target.plan(item, known, self._shared.now())


def _told(outcome: Outcome) -> Outcome:
    """An outcome that may be told: targets may repeat in their errors what they were sent, secrets too."""
    if isinstance(outcome, Retry | Rejected | Gone):
        return dataclasses.replace(outcome, detail=redacted(outcome.detail))
    return outcome
