"""A partition without a broker, that models come to and take over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from partitions import Uncounted
from record_batches import last_of

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD
from streams.engine.partition import PartitionState
from streams.engine.seam import Effects, PlainRecord
from streams.engine.table import Table
from streams.modelfile import read_model
from streams.processing import LeadLogic
from streams.qualification.lead import Lead
from streams.qualification.model.values import Group, Model
from streams.qualification.state import unpack
from streams.wire.codec import Codec

CODEC = Codec()
DAY = 86_400_000
#: The wall clock's time in these tests (ms).
NOW = 1_790_000_000_000
MODEL = read_model()
EAGER = replace(
    MODEL,
    version="eager",
    digest="2",
    mql=replace(MODEL.mql, interest=5.0),
    matrix=replace(MODEL.matrix, warm=5.0),
)


#: `web` under another name with another half-life, and again.
SITE = {**{name: one for name, one in MODEL.groups.items() if name != "web"}, "site": Group("site", 5 * DAY, was="web")}
PLACE = {**{name: one for name, one in SITE.items() if name != "site"}, "place": Group("place", 9 * DAY, was="site")}


def renamed(groups: dict[str, Group], name: str, version: str) -> Model:
    rules = {
        kind: tuple(replace(rule, group=name if rule.group == "web" else rule.group) for rule in of_kind)
        for kind, of_kind in MODEL.rules.items()
    }
    return replace(MODEL, version=version, groups=groups, rules=rules)


CHAIN = (renamed(SITE, "site", "site"), renamed(PLACE, "place", "place"))


class Partition:
    """The only partition, its logic, and what it published."""

    def __init__(self, model: Model = MODEL) -> None:
        self.state = PartitionState(0, 1)
        self.logic = LeadLogic(CODEC, model, 1, lambda: NOW, Uncounted(), "app")
        self.published: list[tuple[str, dict[str, Any]]] = []
        #: as it is after an outage: stream time less grace
        self.clock = NOW - 60_000 - MODEL.grace_ms

    def restarted(self, model: Model) -> Partition:
        """The same state in another process."""
        again = Partition(model)
        again.state.values = Table(self.state.values)
        again.state.adopt(self.written.progress)
        again.state.restored()
        again.clock = self.clock
        return again

    def sweep(self) -> None:
        """Batches until every lead has been seen."""
        self.batch()
        while self.state.waking:
            self.batch()

    def batch(self, *events: tuple[str, dict[str, Any]], limit: int = 500) -> int:
        """One batch; how many keys it changed."""
        offsets = dict(self.state.applied)
        items = []
        for topic, event in events:
            offsets[topic] = offsets.get(topic, -1) + 1
            value = CODEC.encode(topic, event)
            record = PlainRecord(topic, 0, offsets[topic], event["occurred_at"], event["lead_id"].encode(), value)
            items.append((record, self.logic.decode(record)))
        due = self.state.take_due(self.clock, limit)
        batch = StateBatch(self.state, self.logic, self.clock)
        self.logic.begin(batch)
        batch.run_due(due, self.clock)
        batch.run(items, Clock("stream", MODEL.grace_ms))
        self.written: Effects = batch.effects(last_of(items))
        self.state.apply(self.written)
        for output in self.written.outputs:
            if output.topic != "strays":
                self.published.append((output.topic, CODEC.decode(output.topic, output.value)))  # type: ignore[arg-type]
        return len(self.written.changed)

    def lead(self, lead_id: str) -> Lead:
        value = self.state.values[lead_id.encode()]
        lead = unpack(value[PAYLOAD:])
        assert isinstance(lead, Lead)
        return lead


def event(lead_id: str, at: int, number: int, **fields: Any) -> dict[str, Any]:
    return {"event_id": f"{lead_id}/{number}", "lead_id": lead_id, "occurred_at": at, **fields}


def warming_up(partition: Partition, leads: int = 5) -> None:
    """Leads that fit well and looked at the prices once."""
    for number in range(leads):
        known = {"email": f"u{number}@example.com", "employees": 500, "job_title": "Director of Sales"}
        partition.batch(
            ("lead-profiles", event(f"u{number}", NOW - 60_000, 1, **known)),
            ("page-views", event(f"u{number}", NOW - 60_000, 2, url="https://example.com/pricing")),
        )


def mqls(partition: Partition) -> dict[str, int]:
    return {one["lead_id"]: one["occurred_at"] for topic, one in partition.published if topic == "mql-events"}


def lifecycle(partition: Partition) -> list[dict[str, Any]]:
    return [one for topic, one in partition.published if topic == "lifecycle-events"]


def half_life_of(name: str, days: int) -> Model:
    group = replace(MODEL.groups[name], half_life_ms=days * DAY)
    return replace(MODEL, version="quick", groups={**MODEL.groups, name: group})
