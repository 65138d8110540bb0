"""Models that follow each other on a partition before all leads have been seen: they queue, and none is passed over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_partition import CHAIN, CODEC, DAY, EAGER, MODEL, NOW, Partition, event, half_life_of, renamed, warming_up

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.seam import PlainRecord
from streams.processing.note import LARGEST_NOTE, MOST_CHANGES, ChangesPending, noted, take_over
from streams.qualification.model.values import Group, Model


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
    another = replace(MODEL, version="another")
    again = again.restarted(another)
    again.sweep()
    assert again.lead("u0").judged_by == another.identity


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
    (stray,) = [one for one in batch.effects({}).outputs if one.topic == "strays"]
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
