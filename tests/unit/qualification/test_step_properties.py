"""What holds for every lead, every model and every history, whatever the oracle says."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from handmade import DAY, DEFAULT, UNLIMITED
from hypothesis import assume, given
from hypothesis import strategies as st
from lead_histories import (
    LIVELY_DRAWN,
    Happening,
    Walk,
    behaviour,
    bookings,
    histories,
    models,
    profiles,
    tell,
    walk,
)
from oracle import Oracle

from streams.qualification.decay import merge, value_at
from streams.qualification.events import Changed, Event, Qualified, Transition
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import pack, unpack
from streams.qualification.step import advance, advance_owned, judged_at, step, step_owned

#: Activities, page views, mails and downloads: leads whose groups are sums of contributions, nothing else.
CONTRIBUTIONS = histories(behaviour().filter(lambda made: "one" not in made[0] and "two" not in made[0]))


def events_of(history: Sequence[Happening], model: Model) -> list[Event]:
    return list(tell(history, Walk(None, [], Oracle(model))))


def told(events: Sequence[Event], model: Model, *, packed: bool = False) -> Lead | None:
    lead, stream_time = None, 0
    for event in events:
        at = judged_at(lead, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        lead, _ = step(lead, event, at, model)
        if packed and lead is not None:
            lead = unpack(pack(lead))
    return lead


def group_values(lead: Lead, model: Model, at: int) -> dict[str, float]:
    return {name: value_at(*sum_, at, model.groups[name].half_life_ms) for name, sum_ in lead.groups.items()}


def naive_group_values(events: Sequence[Event], model: Model, at: int) -> tuple[dict[str, float], dict[str, float]]:
    """The groups' values at `at`, and the sums of absolute contributions for the tolerance."""
    oracle = Oracle(model)
    for event in events:
        oracle.handle(event)
    assert oracle.life is not None
    given = oracle.life.given
    used = {one.group for one in given}
    return (
        {name: oracle.group_value(name, at) for name in used},
        {name: sum(abs(one.points) for one in given if one.group == name) for name in used},
    )


@given(CONTRIBUTIONS, st.integers(0, 2**32), st.booleans())
def test_groups_equal_the_naive_sums_in_any_order_and_any_batching(
    history: Sequence[Happening], seed: int, packed: bool
) -> None:
    model = replace(UNLIMITED, visitor_ttl_ms=10_000 * DAY)
    events = events_of(history, model)
    assume(events)
    shuffled = list(events)
    random.Random(seed).shuffle(shuffled)
    lead = told(shuffled, model, packed=packed)
    assert lead is not None
    end = max(event.occurred_at for event in events) + 30 * DAY
    expected, scale = naive_group_values(events, model, end)
    found = group_values(lead, model, end)
    assert found == {name: pytest.approx(value, abs=1e-9 * scale[name], rel=0) for name, value in expected.items()}


@given(CONTRIBUTIONS, st.integers(2, 4), st.integers(0, 2**32))
def test_groups_of_a_lead_in_parts_merge_to_those_of_the_whole(
    history: Sequence[Happening], number: int, seed: int
) -> None:
    model = replace(UNLIMITED, visitor_ttl_ms=10_000 * DAY)
    events = list({event.event_id: event for event in events_of(history, model)}.values())
    assume(events)
    shares: list[list[Event]] = [[] for _ in range(number)]
    for event in events:
        random.Random(f"{seed} {event.event_id}").choice(shares).append(event)
    leads = [lead for share in shares if (lead := told(share, model)) is not None]
    random.Random(seed).shuffle(leads)
    end = max(event.occurred_at for event in events)
    expected, scale = naive_group_values(events, model, end)
    merged: dict[str, Any] = {}
    for lead in leads:
        for name, sum_ in lead.groups.items():
            merged[name] = merge(merged.get(name), sum_, model.groups[name].half_life_ms)
    found = {name: value_at(*sum_, end, model.groups[name].half_life_ms) for name, sum_ in merged.items()}
    assert found == {name: pytest.approx(value, abs=1e-9 * scale[name], rel=0) for name, value in expected.items()}


@given(histories(behaviour(), bookings(), profiles()), st.data())
def test_groups_equal_the_naive_sums_with_limits_bookings_and_inactivity_in_one_order(
    history: Sequence[Happening], data: st.DataObject
) -> None:
    done = walk(history, DEFAULT)
    lead, life = done.lead, done.oracle.life
    assume(lead is not None and life is not None)
    assert lead is not None
    assert life is not None
    at = lead.as_of + data.draw(st.integers(0, 100 * DAY))
    # What was taken back has been added twice; its rounding counts too.
    scale = Counter(dict.fromkeys(DEFAULT.groups, 200.0))
    for one in life.given:
        scale[one.group] += abs(one.points)
    for name, value in group_values(lead, DEFAULT, at).items():
        assert value == pytest.approx(done.oracle.group_value(name, at), abs=1e-9 * scale[name], rel=0)


@given(models(), LIVELY_DRAWN)
def test_a_step_leaves_the_lead_that_it_was_given_untouched(model: Model, history: Sequence[Happening]) -> None:
    lead, stream_time = None, 0
    for event in events_of(history, model):
        before = pack(lead) if lead is not None else b""
        at = judged_at(lead, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        after, first = step(lead, event, at, model)
        again, second = step(lead, event, at, model)
        assert (pack(lead) if lead is not None else b"") == before
        assert (after, first) == (again, second)
        if after is not None:
            packed = pack(after)
            advance(after, at + 100 * DAY, model)
            assert pack(after) == packed
        lead = after


def in_hops(lead: Lead, end: int, hop_ms: int, model: Model) -> tuple[Lead | None, list[Transition]]:
    """The lead advanced to `end` hop by hop."""
    known: Lead | None = lead
    out: list[Transition] = []
    at = lead.as_of
    while known is not None and at < end:
        at = min(at + hop_ms, end)
        known, transitions = advance(known, at, model)
        out += transitions
    return known, out


@given(models(), LIVELY_DRAWN, st.integers(1, 9), st.integers(0, DAY))
def test_time_in_many_hops_brings_about_what_it_does_in_one(
    model: Model, history: Sequence[Happening], whole: int, part: int
) -> None:
    lead = walk(history, model).lead
    assume(lead is not None)
    assert lead is not None
    end = lead.as_of + 200 * DAY
    assert in_hops(lead, end, whole * DAY + part, model) == advance(lead, end, model)


@given(models(), LIVELY_DRAWN, st.integers(0, 2**32))
def test_timers_between_events_change_nothing_but_when_it_is_seen(
    model: Model, history: Sequence[Happening], seed: int
) -> None:
    """A partition's clock is stream time less grace; a timer may fire at any time up to it, or not at all."""
    events = events_of(history, model)
    dice = random.Random(seed)
    plain: tuple[Lead | None, list[Transition]] = (None, [])
    timed_: tuple[Lead | None, list[Transition]] = (None, [])
    stream_time = 0
    for event in events:
        plain = _next(plain, event, stream_time, model)
        timed_ = _next(timed_, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        if timed_[0] is not None and dice.random() < 0.7:
            lead, out = advance(timed_[0], stream_time - model.grace_ms, model)
            timed_ = lead, timed_[1] + out
    end = stream_time + 100 * DAY
    for known in (plain, timed_):
        if known[0] is not None:
            lead, out = advance(known[0], end, model)
            known[1].extend(out)
    assert plain[1] == timed_[1]


def _next(
    known: tuple[Lead | None, list[Transition]], event: Event, stream_time: int, model: Model
) -> tuple[Lead | None, list[Transition]]:
    lead, out = step(known[0], event, judged_at(known[0], event, stream_time, model), model)
    return lead, known[1] + out


@given(models(), LIVELY_DRAWN)
def test_nothing_happens_before_it_is_due(model: Model, history: Sequence[Happening]) -> None:
    lead = walk(history, model).lead
    asked = lead.as_of if lead is not None else 0
    for _ in range(20):
        due = advance_owned(lead.copy(), asked, model).due if lead is not None else None
        if due is None or lead is None:
            break
        assert due > asked or due == lead.as_of
        same, nothing = advance(lead, max(due - 1, asked), model)
        if due > asked:
            assert (same, nothing) == (lead, [])
        lead, _ = advance(lead, due, model)
        asked = due
    else:
        assume(False)
    if lead is not None:
        assert advance(lead, asked + 2_000 * DAY, model) == (lead, [])


@given(models(), LIVELY_DRAWN)
def test_who_knows_when_something_is_due_need_not_look_before(model: Model, history: Sequence[Happening]) -> None:
    looking: Lead | None = None
    knowing: Lead | None = None
    stream_time, due = 0, None
    for event in events_of(history, model):
        at = judged_at(looking, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        looking, expected = step(looking, event, at, model)
        after = step_owned(knowing, event, at, model, due)
        knowing, due = after.lead, after.due
        assert (knowing, after.transitions) == (looking, expected)


@given(models(), LIVELY_DRAWN)
def test_records_are_numbered_without_gaps_and_never_alike(model: Model, history: Sequence[Happening]) -> None:
    transitions = walk(history, model).transitions
    records = [one.record for one in transitions if isinstance(one, (Changed, Qualified))]
    expected, times = 1, 0
    for record in records:
        assert record["sequence"] == expected
        assert record["occurred_at"] >= times
        times = record["occurred_at"]
        ended = record.get("cause") in ("EXPIRED", "ERASED")
        expected = 1 if ended else expected + 1
    ids = [record["event_id"] for record in records]
    assert len(set(ids)) == len(ids)
    assert transitions == walk(history, model).transitions


@given(models(), LIVELY_DRAWN)
def test_an_episode_has_at_most_one_mql_and_one_sql(model: Model, history: Sequence[Happening]) -> None:
    done = walk(history, model)
    granted = Counter((one["episode_id"], one["stage"]) for one in done.qualifications)
    assert set(granted.values()) <= {1}
    # Every qualification is followed by its lifecycle event.
    records = [one.record for one in done.transitions if isinstance(one, (Changed, Qualified))]
    for one, following in pairwise(records):
        if "path" in one:
            assert following["qualification_id"] == one["event_id"]
            assert following["to_stage"] == one["stage"].lower()
            assert following["from_stage"] == one["previous_stage"]
            assert (following["route"], following["interest"]) == (one["route"], one["interest"])


@given(models(), LIVELY_DRAWN)
def test_every_stage_change_is_told_from_the_stage_before(model: Model, history: Sequence[Happening]) -> None:
    done = walk(history, model)
    stage = "visitor"
    for change in done.changes:
        assert change["from_stage"] == stage
        stage = change["to_stage"]
    assert stage == (done.lead.stage if done.lead is not None else "visitor")


@given(models(), LIVELY_DRAWN)
def test_every_receipt_adds_up(model: Model, history: Sequence[Happening]) -> None:
    for record in walk(history, model).qualifications:
        assert verify_receipt(record) == []
        assert record["reason"].endswith(".")
        assert record["threshold"] == 0.0 or record["interest"] >= record["threshold"]


@given(models(), LIVELY_DRAWN)
def test_an_mql_cools_when_its_receipt_says_if_nothing_more_happens(model: Model, history: Sequence[Happening]) -> None:
    lead, stream_time = None, 0
    for event in events_of(history, model):
        at = judged_at(lead, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        lead, out = step(lead, event, at, model)
        promised = [one.record for one in out if isinstance(one, Qualified) and one.record["stage"] == "MQL"]
        if not promised or lead is None or lead.stage != "mql":
            continue
        if promised[-1]["occurred_at"] < at:
            continue  # time alone made it an MQL, and then this event happened
        _, later = advance(lead, at + 1_000 * DAY, model)
        left = next(
            (
                one.record
                for one in later
                if isinstance(one, Changed) and one.record["from_stage"] == "mql" and one.record["to_stage"] != "mql"
            ),
            None,
        )
        assert left is not None
        if left["to_stage"] == "lead":  # else interest rose by itself and it became an SQL
            assert left["occurred_at"] == promised[-1]["qualified_until"]


@given(models(), LIVELY_DRAWN)
def test_a_lead_is_unpacked_as_it_was_packed(model: Model, history: Sequence[Happening]) -> None:
    lead = walk(history, model).lead
    if lead is not None:
        assert unpack(pack(lead)) == lead
        assert pack(unpack(pack(lead))) == pack(lead)
