"""A model that takes over a partition, without a broker."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from judged_partition import CHAIN, DAY, EAGER, MODEL, NOW, Partition, event, half_life_of, lifecycle, mqls, warming_up

from streams.engine.batch import StateBatch
from streams.engine.envelope import PAYLOAD
from streams.processing.note import noted
from streams.qualification.state import Alias, unpack


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


def test_what_becomes_of_groups_is_said_also_after_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    before = Partition()
    warming_up(before, 1)
    with caplog.at_level(logging.INFO):
        before.restarted(CHAIN[0]).batch()
    assert "judged by model site as of 2026-09-21T14:10:20.000Z; group web goes on as site" in caplog.text
    assert "half-life of site: 5 d after 30 d" in caplog.text


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


def test_a_quiet_partition_s_change_is_dated_by_its_clock() -> None:
    partition = Partition()
    warming_up(partition)
    partition.clock = NOW + 3 * DAY
    partition.logic.offer(EAGER)
    partition.sweep()
    assert set(mqls(partition).values()) == {NOW + 3 * DAY}


def test_sales_has_its_time_for_an_sql_that_a_change_makes_of_old_history() -> None:
    """Nobody could have known of it before: an import's clock stands still where its last event was."""
    partition = Partition()
    long_ago = NOW - 90 * DAY
    partition.clock = long_ago - MODEL.grace_ms
    known = {"email": "v@example.com", "employees": 500, "job_title": "Director of Sales"}
    partition.batch(
        ("lead-profiles", event("u0", long_ago, 1, **known)),
        ("page-views", event("u0", long_ago, 2, url="https://example.com/pricing")),
    )
    hot = replace(EAGER.sql_paths[1], interest=8.0)
    model = replace(EAGER, version="hot", sql_paths=(hot,), matrix=replace(EAGER.matrix, hot=8.0))
    partition.logic.offer(model)
    partition.sweep()
    (sql,) = [one for topic, one in partition.published if topic == "sql-events"]
    assert (sql["occurred_at"], sql["respond_by"]) == (long_ago, NOW + DAY)
    partition.clock = NOW
    partition.sweep()
    assert "SLA_BREACHED" not in [one["cause"] for one in lifecycle(partition)]


def test_what_was_due_under_the_model_before_is_done_by_it_and_at_its_time() -> None:
    partition = Partition(EAGER)
    warming_up(partition, 7)
    expected = {one["lead_id"]: one["qualified_until"] for _, one in partition.published if "qualified_until" in one}
    assert len(expected) == 7
    partition.clock = NOW + 100 * DAY
    partition.logic.offer(replace(MODEL, mql=replace(MODEL.mql, interest=1000.0)))
    while partition.batch(limit=2):
        pass
    cooled = [one for one in lifecycle(partition) if one["to_stage"] == "lead" and one["from_stage"] == "mql"]
    assert {one["lead_id"]: one["occurred_at"] for one in cooled} == expected
    assert {one["model"] for one in cooled} == {"eager"}


def test_an_id_whose_new_life_ends_before_the_next_model_sees_it_still_remembers_its_erasure() -> None:
    partition = Partition(replace(MODEL, visitor_ttl_ms=2 * DAY))
    partition.batch(("erasures", event("u1", NOW - 60_000, 1, requested_by=None)))
    partition.batch(("page-views", event("u1", NOW - 50_000, 2, url="https://example.com/pricing")))
    assert partition.lead("u1").erased is not None
    partition.clock = NOW + 3 * DAY
    partition.logic.offer(EAGER)
    partition.sweep()
    left = unpack(partition.state.values[b"u1"][PAYLOAD:])
    assert isinstance(left, Alias)
    assert left.is_mark
    partition.clock = NOW + 8 * DAY
    partition.batch()
    assert partition.state.values == {}


def test_a_restart_with_another_model_takes_effect_where_the_records_end_however_late_it_is() -> None:
    """Whether this process has heard already that there are no more of them, or not."""
    for clock in (NOW - 60_000 - MODEL.grace_ms, NOW + 30 * DAY):
        before = Partition()
        warming_up(before, 1)
        after = before.restarted(half_life_of("web", 5))
        after.clock = clock
        after.batch(limit=0)
        note = noted(after.state.note)
        assert note is not None
        assert note.current.since == NOW - 60_000 - MODEL.grace_ms


def test_what_fell_due_while_no_worker_ran_is_done_by_the_model_of_the_restart_each_at_its_own_time() -> None:
    """Two MQLs: by the model before both would have cooled on the same day, by the next each fades twice as fast."""
    slow = replace(EAGER, inactivity=None)
    before = Partition(slow)
    warming_up(before, 2)
    quick = replace(slow, groups=half_life_of("web", 15).groups, version="quick")
    expected = NOW - 60_000 + 30 * DAY  # from 10 points to 2.5, by a half-life of 15 days
    cools = {one["lead_id"]: one["qualified_until"] for _, one in before.published if "qualified_until" in one}
    assert min(cools.values()) > expected + 20 * DAY
    after = before.restarted(quick)
    after.clock = NOW + 100 * DAY
    while after.batch():
        pass
    cooled = [one for one in lifecycle(after) if one["to_stage"] == "lead" and one["from_stage"] == "mql"]
    assert {one["lead_id"] for one in cooled} == {"u0", "u1"}
    assert {one["model"] for one in cooled} == {"quick"}
    since = NOW - 60_000 - MODEL.grace_ms
    assert all(since < one["occurred_at"] < min(cools.values()) for one in cooled)
    assert [one["occurred_at"] for one in cooled] == [pytest.approx(expected, abs=60_000 + MODEL.grace_ms)] * 2


def test_an_empty_partition_has_nothing_to_commit_for_a_model() -> None:
    partition = Partition()
    batch = StateBatch(partition.state, partition.logic)
    assert partition.logic.begin(batch) is False
