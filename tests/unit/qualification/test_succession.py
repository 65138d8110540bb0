"""A model that follows another: what leads keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp2
from typing import Any

import pytest
from handmade import (
    DAY,
    DEFAULT,
    HOUR,
    LEAD_ID,
    UNLIMITED,
    activity,
    booking,
    buyer,
    days,
    download,
    page_view,
    pricing,
    when,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from lead_histories import LIVELY_DRAWN, Happening, models, walk
from model_changes import known, succeeded, through, told, with_groups

from streams.qualification.decay import value_at
from streams.qualification.events import Changed, Qualified, Scored, Transition
from streams.qualification.lead import Lead
from streams.qualification.model.values import Group, Model, Rule
from streams.qualification.receipt import verify_receipt
from streams.qualification.step import advance, step
from streams.qualification.succession import carry_over, change_to, differences

HALF_LIVES = st.integers(6 * HOUR, 120 * DAY)


@given(
    moments=st.lists(st.floats(0, 60), min_size=1, max_size=12),
    split=st.floats(0, 60),
    old=HALF_LIVES,
    new=HALF_LIVES,
    newest=HALF_LIVES,
    gap=st.floats(0, 40),
)
def test_each_contribution_fades_by_the_half_life_that_was_in_force(
    moments: list[float], split: float, old: int, new: int, newest: int, gap: float
) -> None:
    """Against the naive sum over all contributions, through two changes."""
    lengths = (old, new, newest)
    models = [with_groups(UNLIMITED, str(number), web=Group("web", one)) for number, one in enumerate(lengths)]
    turns = [days(split), days(split + gap)]
    events = [page_view(at) for at in sorted(map(days, moments))]
    stages = [
        [event for event in events if event.occurred_at < turns[0]],
        [event for event in events if turns[0] <= event.occurred_at < turns[1]],
        [event for event in events if event.occurred_at >= turns[1]],
    ]
    lead: Lead | None = None
    for number, stage in enumerate(stages):
        if lead is not None:
            lead = succeeded(lead, models[number], turns[number - 1], models[number - 1]).lead
        lead = told(stage, models[number], lead)
    assert lead is not None
    end = max(*turns, *(event.occurred_at for event in events))
    expected = 0.0
    for event in events:
        bounds = [event.occurred_at, *(max(turn, event.occurred_at) for turn in turns), end]
        halvings = sum(
            (after - before) / length for before, after, length in zip(bounds, bounds[1:], lengths, strict=False)
        )
        expected += exp2(-halvings)
    assert value_at(*lead.groups["web"], end, newest) == pytest.approx(expected, abs=1e-9 * len(events))


def test_a_group_that_keeps_its_half_life_keeps_its_value_to_the_bit() -> None:
    lead = known(pricing(days(0)), download(days(1)), activity(days(2), "email_reply"))
    after = succeeded(lead, with_groups(DEFAULT, web=Group("web", 7 * DAY)), days(10)).lead
    assert after is not None
    for group in ("content", "email"):
        assert (after.groups[group], after.strongest[group]) == (lead.groups[group], lead.strongest[group])
    assert after.groups["web"] != lead.groups["web"]


def test_it_does_not_matter_when_a_lead_is_looked_at() -> None:
    """By the sweep through all leads, or when its next event comes."""
    lead = known(buyer(days(0)), pricing(days(0)), download(days(0)))
    model = with_groups(DEFAULT, web=Group("web", 5 * DAY), content=Group("content", 5 * DAY))
    event = pricing(days(40))

    swept = succeeded(lead, model, days(1))
    assert swept.lead is not None
    assert swept.lead.as_of == days(1)
    waited, while_waiting = advance(swept.lead, days(20), model)
    early = step(waited, event, days(40), model)
    late = succeeded(lead, model, days(1))
    there = step(late.lead, event, days(40), model)
    assert (early[0], while_waiting + early[1]) == there


@given(models(), models(), models(), LIVELY_DRAWN, st.lists(st.integers(0, 60), min_size=3, max_size=3))
def test_a_lead_that_waited_for_several_models_is_as_one_that_was_seen_by_each(
    first: Model, second: Model, third: Model, history: Sequence[Happening], gaps: list[int]
) -> None:
    lead = walk(history, first).lead
    assume(lead is not None)
    assert lead is not None
    chain = [replace(model, version=str(number)) for number, model in enumerate((first, second, third, second))]
    since = lead.as_of
    turns = [(chain[0], 0)]
    for model, gap in zip(chain[1:], gaps, strict=True):
        since += gap * DAY
        turns.append((model, since))
    seen: Lead | None = lead
    said: list[Transition] = []
    for before, after in pairwise(turns):
        if seen is not None:
            now = through(seen, before, after)
            said += now.transitions
            seen = now.lead
    waited = through(lead, *turns)
    assert (waited.lead, waited.transitions) == (seen, said)


GROUPS = ("a", "b", "c")


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[Model, int]]:
    """Models with groups that come, go, are called otherwise and fade otherwise, and when each takes over."""
    turns: list[tuple[Model, int]] = []
    at, names = 0, GROUPS
    for number in range(draw(st.integers(2, 5))):
        lives = {
            name: draw(st.sampled_from([6 * HOUR, 3 * DAY, 30 * DAY])) for name in draw(st.permutations(GROUPS))[:2]
        }
        old = [name for name in names if name not in lives]
        was = dict(zip([name for name in lives if name not in names], old, strict=False)) if draw(st.booleans()) else {}
        groups = {name: Group(name, life, was=was.get(name)) for name, life in lives.items()}
        rules = {"activity": (Rule("any", "activity", when("activity"), next(iter(groups)), points=1.0),)}
        turns.append((replace(UNLIMITED, version=str(number), groups=groups, rules=rules, inactivity=None), days(at)))
        names = tuple(groups)
        at += draw(st.integers(0, 30))
    return turns


@given(chains(), st.integers(0, 20))
def test_groups_go_through_models_that_are_not_at_hand_any_more(turns: list[tuple[Model, int]], number: int) -> None:
    models = [model for model, _ in turns]
    lead = known(buyer(days(0)), *(activity(days(0) + n, "x") for n in range(number)), model=models[0])
    here, gone = through(lead, *turns).lead, through(lead, *turns, at_hand=models[-1:]).lead
    assert here is not None
    assert gone is not None
    assert (gone.groups, gone.strongest, gone.as_of) == (here.groups, here.strongest, here.as_of)
    assert gone.judged_by == models[-1].identity


@given(models(), models(), models(), LIVELY_DRAWN, st.integers(0, 90), st.integers(0, 90))
def test_time_never_goes_back_whatever_was_due_while_no_worker_ran(
    first: Model, second: Model, third: Model, history: Sequence[Happening], gap: int, other: int
) -> None:
    lead = walk(history, first).lead
    assume(lead is not None)
    assert lead is not None
    second, third = replace(second, version="second"), replace(third, version="third")
    since = lead.as_of + gap * DAY
    turns = ((first, 0), (second, since), (third, since + other * DAY))
    after = through(lead, *turns, at_hand=[third])
    times = [one.record["occurred_at"] for one in after.transitions if isinstance(one, (Changed, Qualified))]
    assert times == sorted(times)
    assert all(at >= since + other * DAY for at in times)
    assert after.lead is None or after.lead.as_of == since + other * DAY
    assert all(verify_receipt(one.record) == [] for one in after.transitions if isinstance(one, Qualified))


def test_a_group_that_is_gone_takes_its_points_and_evidence_with_it() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(0)), booking(days(0)))
    after = succeeded(lead, with_groups(DEFAULT, intent=None), days(1)).lead
    assert after is not None
    assert set(after.groups) == set(after.strongest) == {"web", "content"}
    assert after.bookings[0].given == ()
    back = succeeded(after, DEFAULT, days(2), with_groups(DEFAULT, intent=None)).lead
    assert back is not None
    assert "intent" not in back.groups


def test_facts_and_limits_of_rules_that_are_gone_are_dropped() -> None:
    lead = known(pricing(days(0)), download(days(0), "BOTTOM"), booking(days(0)))
    facts: Mapping[str, Any] = {"demo_booked": DEFAULT.facts["demo_booked"]}
    rules = {"page_view": tuple(rule for rule in DEFAULT.rules["page_view"] if rule.name == "page")}
    after = succeeded(lead, replace(DEFAULT, version="next", facts=facts, rules=rules), days(1)).lead
    assert after is not None
    assert set(after.limits) == set()
    assert "buyers_content" not in after.facts


def test_a_lead_whose_former_model_is_unknown_keeps_its_values() -> None:
    lead = known(pricing(days(0)))
    model = with_groups(DEFAULT, web=Group("web", 7 * DAY))
    carried = lead.copy()
    carry_over(carried, None, days(10), model)
    assert carried.groups == lead.groups


def test_the_same_again_says_nothing() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(0)))
    after = succeeded(lead, replace(DEFAULT, version="again"), days(1))
    assert not [one for one in after.transitions if not isinstance(one, Scored)]
    assert after.lead is not None
    assert (after.lead.lead_id, after.lead.groups) == (LEAD_ID, lead.groups)


def test_changes_are_said_in_words() -> None:
    model = with_groups(
        DEFAULT, email=None, web=None, site=Group("site", 7 * DAY, was="web"), content=Group("content", 90 * DAY)
    )
    assert differences(change_to(DEFAULT, 0, 0, 0), model) == [
        "group web goes on as site",
        "half-life of site: 7 d after 30 d",
        "group email is dropped with its points",
        "half-life of content: 90 d after 60 d",
    ]
    assert differences(change_to(DEFAULT, 0, 0, 0), DEFAULT) == []
