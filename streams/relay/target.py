"""What delivery asks of a kind of target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from streams.relay.exchange import Outcome, Skipped
from streams.relay.lanes import Item
from streams.relay.memory import Remembered


class Plan(Protocol):
    """What to write for one item, decided without I/O. `remember`: what to remember once it is written."""

    @property
    def remember(self) -> Remembered | None: ...


class TargetDelivery(Protocol):
    """One target. `batch_size` is how many items, each of another lead, a delivery takes."""

    @property
    def batch_size(self) -> int: ...

    def plan(self, item: Item, known: Remembered, now: int) -> Plan | Skipped:
        """What to do for an item, when `known` is what the target was told before; `now` in ms. Pure."""
        ...

    async def deliver(self, plans: Sequence[Any]) -> list[Outcome]:
        """Write plans of this target; an outcome for each, in order."""
        ...
