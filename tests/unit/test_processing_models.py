"""A model that takes over a partition, without a broker."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions import Uncounted
from test_processing import NOW

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.envelope import PAYLOAD
from streams.engine.partition import PartitionState
from streams.engine.seam import Effects, PlainRecord
from streams.modelfile import read_model
from streams.processing import LeadLogic
from streams.processing.note import LARGEST_NOTE, MOST_CHANGES, ChangesPending, noted, take_over
from streams.qualification.lead import Lead
from streams.qualification.model.values import Group, Model
from streams.qualification.state import Alias, unpack
from streams.wire.codec import Codec

CODEC = Codec()
DAY = 86_400_000
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
        #: as it is after an outage: stream time less grace
        self.clock = NOW - 60_000 - MODEL.grace_ms

    def restarted(self, model: Model) -> Partition:
        """The same state in another process."""
        again = Partition(model)
        again.state.values = dict(self.state.values)
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


def known_changes(partition: Partition) -> list[str]:
    note = noted(partition.state.note)
    assert note is not None
    return [change.identity for change in note.changes]


def test_a_change_is_forgotten_once_the_next_is_and_all_leads_were_seen() -> None:
    partition = Partition()
    warming_up(partition, 3)
    for number in range(20):
        partition.logic.offer(replace(MODEL, version=f"v{number}", digest="1"))
        partition.sweep()
    assert known_changes(partition) == ["v18 1", "v19 1"]


def test_a_change_waits_when_too_many_do_and_none_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """Each renames the group of the pages: whoever missed one would have lost what it had."""
    swept, waiting = Partition(), Partition()
    for partition in (swept, waiting):
        warming_up(partition, 3)
    models = [chained(number) for number in range(MOST_CHANGES + 6)]
    for model in models:
        swept.logic.offer(model)
        swept.sweep()
        waiting.logic.offer(model)
        with caplog.at_level(logging.WARNING):
            waiting.batch(limit=0)
    noted_now = known_changes(waiting)
    assert noted_now == [MODEL.identity, *(model.identity for model in models[: MOST_CHANGES - 1])]
    name = models[MOST_CHANGES - 1].version
    assert caplog.messages == [
        f"partition 0: model {name} waits until all leads have been judged by the {MOST_CHANGES} changes before it"
    ]
    waiting.batch(("page-views", event("u3", NOW, 1, url="https://example.com/pricing")), limit=0)
    assert waiting.lead("u3").judged_by == models[MOST_CHANGES - 2].identity
    waiting.sweep()
    waiting.sweep()
    for number in range(3):
        assert waiting.lead(f"u{number}").judged_by == models[-1].identity
        assert waiting.lead(f"u{number}").groups == swept.lead(f"u{number}").groups
        assert f"web{len(models) - 1}" in waiting.lead(f"u{number}").groups


def chained(number: int) -> Model:
    """The model with the group `web` by its name number `number`, which was another before."""
    name, before = f"web{number}", f"web{number - 1}" if number else "web"
    groups = {one: group for one, group in MODEL.groups.items() if one != "web"}
    groups[name] = Group(name, (5 + number) * DAY, was=before)
    return renamed(groups, name, f"chain {number}")


def test_models_that_are_offered_between_two_batches_all_take_over() -> None:
    partition = Partition()
    warming_up(partition, 1)
    for number in range(4):
        partition.logic.offer(chained(number))
    partition.batch(limit=0)
    assert known_changes(partition) == [MODEL.identity, *(chained(number).identity for number in range(4))]
    partition.sweep()
    assert "web3" in partition.lead("u0").groups


def test_a_restart_with_one_more_model_than_there_is_room_for_is_refused_with_what_to_do() -> None:
    partition = Partition()
    warming_up(partition, 1)
    for number in range(MOST_CHANGES):
        partition.logic.offer(chained(number))
        partition.batch(limit=0)
    current = chained(MOST_CHANGES - 2)
    with pytest.raises(ChangesPending, match=f"can't take over from {current.identity}, as {MOST_CHANGES} changes"):
        partition.restarted(replace(MODEL, version="another")).batch()
    again = partition.restarted(current)
    again.sweep()
    again = again.restarted(replace(MODEL, version="another"))
    again.sweep()
    assert again.lead("u0").judged_by == again.logic._offers[-1].identity


def test_the_last_leads_of_a_sweep_wait_for_the_changes_too() -> None:
    """They are taken for the batch in which the next model takes over."""
    partition = Partition()
    warming_up(partition, 1)
    web = half_life_of("web", 5)
    partition.logic.offer(web)
    partition.batch(limit=0)
    partition.logic.offer(replace(web, version="next", digest="9"))
    partition.batch()
    assert known_changes(partition)[0] == MODEL.identity


def half_life_of(name: str, days: int) -> Model:
    group = replace(MODEL.groups[name], half_life_ms=days * DAY)
    return replace(MODEL, version="quick", groups={**MODEL.groups, name: group})


def test_a_note_stays_small_whatever_models_follow_each_other() -> None:
    names = [f"{'g' * 90}{number}" for number in range(50)]
    groups = {name: Group(name, DAY, was=f"{name}w") for name in names}
    note = None
    for number in range(MOST_CHANGES):
        model = replace(MODEL, version=f"v{number}", digest="1", groups=groups)
        following = take_over(note, model, number, 0, waking=True)
        if following is None:
            break
        note = following
    assert note is not None
    assert 2 < len(note.changes) < MOST_CHANGES
    assert len(note.packed()) <= LARGEST_NOTE
    assert take_over(note, MODEL, 9, 0, waking=False) is not None, "there is room once all leads were seen"


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


def lifecycle(partition: Partition) -> list[dict[str, Any]]:
    return [one for topic, one in partition.published if topic == "lifecycle-events"]


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


SITE = {**{name: one for name, one in MODEL.groups.items() if name != "web"}, "site": Group("site", 5 * DAY, was="web")}
PLACE = {**{name: one for name, one in SITE.items() if name != "site"}, "place": Group("place", 9 * DAY, was="site")}


def renamed(groups: dict[str, Group], name: str, version: str) -> Model:
    rules = {
        kind: tuple(replace(rule, group=name if rule.group == "web" else rule.group) for rule in of_kind)
        for kind, of_kind in MODEL.rules.items()
    }
    return replace(MODEL, version=version, groups=groups, rules=rules)


CHAIN = (renamed(SITE, "site", "site"), renamed(PLACE, "place", "place"))


@pytest.mark.parametrize("restarts", [False, True])
def test_leads_go_through_changes_that_came_before_they_were_seen_one_by_one(restarts: bool) -> None:
    swept, waiting = Partition(), Partition()
    for partition in (swept, waiting):
        warming_up(partition, 1)
    for number, model in enumerate(CHAIN, start=1):
        swept.clock = waiting.clock = NOW + number * 10 * DAY
        if restarts:
            swept.sweep()
            swept, waiting = swept.restarted(model), waiting.restarted(model)
        else:
            swept.logic.offer(model)
            waiting.logic.offer(model)
        swept.sweep()
        waiting.batch(limit=0)
    assert "web" in waiting.lead("u0").groups
    waiting.sweep()
    assert "place" in waiting.lead("u0").groups
    assert waiting.lead("u0").groups == swept.lead("u0").groups
    assert waiting.lead("u0").strongest == swept.lead("u0").strongest


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("ahead_goes", ["there", "here"])
def test_a_past_between_partitions_that_are_two_renames_apart_finds_its_groups(ahead_goes: str, restarts: bool) -> None:
    """Whichever of the two has gone on with the models, and though its process has seen but the last of them."""
    there, here = Partition(), Partition()
    for partition in (there, here):
        warming_up(partition, 1)
    ahead = there if ahead_goes == "there" else here
    ahead.clock = NOW
    for model in CHAIN:
        ahead.logic.offer(model)
        ahead.sweep()
    if restarts:
        ahead = ahead.restarted(CHAIN[-1])
        there, here = (ahead, here) if ahead_goes == "there" else (there, ahead)
    link = {"event_id": "link", "anonymous_id": "u0", "lead_id": "vera", "occurred_at": NOW, "revoked": False}
    record = PlainRecord("identity-links", 0, 0, NOW, b"u0", CODEC.encode("identity-links", link))
    there.batch(limit=0)
    batch = StateBatch(there.state, there.logic, there.clock)
    there.logic.begin(batch)
    batch.run([(record, there.logic.decode(record))], Clock("stream", MODEL.grace_ms))
    (stray,) = [one for one in batch.effects([]).outputs if one.topic == "strays"]
    told = CODEC.decode("strays", stray.value)
    assert isinstance(told, dict)
    here.batch(("strays", told))
    groups = here.lead("vera").groups
    assert set(groups) == ({"place"} if ahead is here else {"web"})
    assert groups[next(iter(groups))][0] > 5.0


STRICT = replace(MODEL, version="strict", digest="3", negative_personas=(), visitor_ttl_ms=3 * DAY, sla=None)
POOL = (MODEL, EAGER, STRICT, *CHAIN)
TOLD = ("mql-events", "sql-events", "lifecycle-events")


def lived(seed: int, look: Callable[[Partition, Random], None]) -> dict[str, list[dict[str, Any]]]:
    """What is told of some leads while models come and go; `look` is how many leads are seen, and when."""
    dice, looking, partition = Random(seed), Random(seed + 1), Partition()
    partition.clock, offers = NOW - MODEL.grace_ms, 0
    for number in range(40):
        if dice.random() < 0.3 and offers < 7:
            offers += 1
            partition.logic.offer(dice.choice(POOL))
            partition.batch(limit=0)
            look(partition, looking)
        topic, fields = drawn(dice)
        at = partition.clock + MODEL.grace_ms
        partition.batch((topic, event(dice.choice(("u0", "u1", "u2")), at, number, **fields)), limit=0)
        partition.clock += dice.choice([0, 3_600_000, DAY, 9 * DAY, 40 * DAY])
    partition.sweep()
    partition.clock += 100 * DAY
    while partition.batch():
        pass
    told: dict[str, list[dict[str, Any]]] = {}
    for topic, record in partition.published:
        if topic in TOLD:
            told.setdefault(record["lead_id"], []).append(record)
    return told


def drawn(dice: Random) -> tuple[str, dict[str, Any]]:
    profile = {"email": "v@example.com", "employees": 500, "job_title": dice.choice(["Director of Sales", "student"])}
    return dice.choice(
        [
            ("page-views", {"url": "https://example.com/pricing"}),
            ("page-views", {"url": "https://example.com/pricing"}),
            ("downloads", {"asset_id": "a", "funnel_stage": "BOTTOM"}),
            ("activities", {"kind": "email_reply", "attributes": {}}),
            ("demo-bookings", {"booking_id": "b", "status": dice.choice(["BOOKED", "CANCELLED"])}),
            ("lead-profiles", {**profile, "attributes": {}}),
            (
                "sales-feedback",
                {"disposition": dice.choice(["REJECTED", "LOST", "WON"]), "reason": dice.choice(REASONS)},
            ),
        ]
    )


REASONS = (None, "no_budget", "competitor")


@given(st.integers(0, 2**32))
def test_what_is_told_does_not_depend_on_when_leads_are_looked_at(seed: int) -> None:
    at_once = lived(seed, lambda partition, dice: partition.sweep())
    some = lived(seed, lambda partition, dice: [partition.batch(limit=dice.randint(0, 2)) for _ in range(2)] and None)
    assert lived(seed, lambda partition, dice: None) == some == at_once


def test_leads_go_through_a_model_that_was_in_force_between_two_times_of_another() -> None:
    swept, waiting = Partition(), Partition()
    quick = half_life_of("web", 1)
    for partition in (swept, waiting):
        warming_up(partition, 2)
        for number, model in enumerate((quick, MODEL, quick, MODEL), start=1):
            partition.clock = NOW + number * 5 * DAY
            partition.logic.offer(model)
            partition.batch(limit=500 if partition is swept else 0)
            if partition is swept:
                partition.sweep()
    waiting.sweep()
    assert waiting.lead("u0").groups == swept.lead("u0").groups
    assert waiting.lead("u0").groups["web"][0] < 0.01
    assert swept.lead("u0").judged_by == MODEL.identity
    # The next process finds the model of its file there, whatever number it has.
    again = waiting.restarted(MODEL)
    again.batch()
    assert (again.written.changed, again.written.wake_all) == ({}, False)
    again.batch(("page-views", event("u0", again.clock + MODEL.grace_ms, 9, url="https://example.com/")))
    assert again.lead("u0").judged_by == waiting.lead("u0").judged_by


def test_an_empty_partition_has_nothing_to_commit_for_a_model() -> None:
    partition = Partition()
    batch = StateBatch(partition.state, partition.logic)
    assert partition.logic.begin(batch) is False
