"""A model that takes over a partition, without a broker."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from partitions import Uncounted
from test_processing import NOW

from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD
from streams.engine.partition import PartitionState, StateBatch
from streams.engine.seam import Effects, PlainRecord
from streams.modelfile import read_model
from streams.processing import LeadLogic
from streams.processing.note import MOST_MODELS, noted
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.state import unpack
from streams.wire.codec import Codec

CODEC = Codec()
MODEL = read_model()
EAGER = replace(
    MODEL,
    version="eager",
    digest="2",
    mql=replace(MODEL.mql, interest=5.0),
    matrix=replace(MODEL.matrix, warm=5.0),
)


class Partition:
    """The only partition, its logic, and what it published."""

    def __init__(self, model: Model = MODEL) -> None:
        self.state = PartitionState(0, 1)
        self.logic = LeadLogic(CODEC, model, 1, lambda: NOW, Uncounted(), "app")
        self.published: list[tuple[str, dict[str, Any]]] = []

    def restarted(self, model: Model) -> Partition:
        """The same state in another process."""
        again = Partition(model)
        again.state.values = dict(self.state.values)
        again.state.adopt(self.written.progress)
        again.state.restored()
        return again

    def batch(self, *events: tuple[str, dict[str, Any]], limit: int = 500) -> int:
        """One batch; how many keys it changed."""
        offsets = dict(self.state.applied)
        items = []
        for topic, event in events:
            offsets[topic] = offsets.get(topic, -1) + 1
            value = CODEC.encode(topic, event)
            record = PlainRecord(topic, 0, offsets[topic], event["occurred_at"], event["lead_id"].encode(), value)
            items.append((record, self.logic.decode(record)))
        due = self.state.take_due(NOW, limit)
        batch = StateBatch(self.state, self.logic)
        self.logic.begin(batch)
        batch.run_due(due, NOW)
        batch.run(items, Clock("stream", MODEL.grace_ms))
        self.written: Effects = batch.effects(items)
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


def test_an_offered_model_judges_all_leads_a_few_with_every_batch(caplog: pytest.LogCaptureFixture) -> None:
    partition = Partition()
    warming_up(partition)
    assert mqls(partition) == {}
    partition.logic.offer(EAGER)
    with caplog.at_level(logging.INFO):
        partition.batch()
    assert "partition 0: judged by model eager as of" in caplog.text
    sizes = [partition.batch(limit=2) for _ in range(4)]
    assert sizes == [2, 2, 1, 0]
    since = NOW - 60_000 - MODEL.grace_ms
    # Nobody is judged as of earlier than what was known of them.
    assert mqls(partition) == {f"u{number}": max(since, NOW - 60_000) for number in range(5)}
    assert {partition.lead(f"u{number}").judged_by for number in range(5)} == {EAGER.identity}


def test_a_lead_that_has_an_event_before_it_is_seen_is_carried_over_first() -> None:
    partition = Partition()
    warming_up(partition, 2)
    partition.logic.offer(EAGER)
    partition.batch(("page-views", event("u0", NOW, 3, url="https://example.com/")))
    assert mqls(partition) == {"u0": NOW - 60_000}
    partition.batch()
    partition.batch()
    assert set(mqls(partition)) == {"u0", "u1"}


def test_a_restart_with_another_model_is_a_change_of_models_too_and_survives_one_in_its_middle() -> None:
    before = Partition()
    warming_up(before)
    after = before.restarted(EAGER)
    after.batch()
    assert after.batch(limit=3) == 3
    again = after.restarted(EAGER)
    again.batch()
    while again.state.waking:
        again.batch(limit=3)
    found = mqls(after) | mqls(again)
    assert set(found) == {f"u{number}" for number in range(5)}
    assert not set(mqls(after)) & set(mqls(again))


def test_the_same_model_again_changes_nothing() -> None:
    before = Partition()
    warming_up(before)
    after = before.restarted(MODEL)
    after.batch()
    assert (after.written.changed, after.written.wake_all) == ({}, False)


def test_half_lives_are_known_of_the_models_before_but_not_of_all_there_ever_were() -> None:
    partition = Partition()
    warming_up(partition, 1)
    for number in range(20):
        partition.logic.offer(replace(MODEL, version=f"v{number}"))
        partition.batch()
    note = noted(partition.state.note)
    assert note is not None
    assert len(note.half_lives) == MOST_MODELS
    assert list(note.half_lives)[-1] == note.model
    assert note.since == NOW - 60_000 - MODEL.grace_ms


def test_an_empty_partition_has_nothing_to_commit_for_a_model() -> None:
    partition = Partition()
    batch = StateBatch(partition.state, partition.logic)
    assert partition.logic.begin(batch) is False
