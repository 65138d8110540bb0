"""A model that follows another: what leads keep, and how they are judged anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp2
from typing import Any

import msgspec
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
    feedback,
    page_view,
    pricing,
    profile,
    when,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from lead_histories import LIVELY_DRAWN, Happening, models, walk

from streams.qualification.decay import value_at
from streams.qualification.events import Changed, Event, Qualified, Scored, Transition
from streams.qualification.identity import receive
from streams.qualification.interest import interest_at
from streams.qualification.lead import Lead
from streams.qualification.messages import Link, Merge
from streams.qualification.model.values import Group, Model, Rule
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import State, pack, unpack
from streams.qualification.step import After, advance, advance_owned, judged_at, step
from streams.qualification.succession import carry_over, change_to, differences, succeed


def told(events: Sequence[Event], model: Model, lead: Lead | None = None) -> Lead | None:
    stream_time = 0
    for event in events:
        at = judged_at(lead, event, stream_time, model)
        stream_time = max(stream_time, event.occurred_at)
        lead, _ = step(lead, event, at, model)
    return lead


def known(*events: Event, model: Model = DEFAULT) -> Lead:
    lead = told(events, model)
    assert lead is not None
    return lead


def with_groups(model: Model, version: str = "next", **groups: Group | None) -> Model:
    """`model` with some groups put in place of others, or (None) without them and what gives to them."""
    kept = {name: group for name, group in {**model.groups, **groups}.items() if group is not None}
    rules = {kind: tuple(rule for rule in of_kind if rule.group in kept) for kind, of_kind in model.rules.items()}
    inactivity = model.inactivity if model.inactivity and model.inactivity.group in kept else None
    return replace(model, version=version, groups=kept, rules=rules, inactivity=inactivity)


def succeeded(lead: Lead, model: Model, since: int, before: Model = DEFAULT) -> After:
    """The lead after one change, from `before` to `model`."""
    return through(lead, (before, 0), (model, since))


def through(lead: Lead, *turns: tuple[Model, int], at_hand: Sequence[Model] | None = None, arrival: int = 0) -> After:
    """The lead, judged by the first model, after the others took over; of them those `at_hand` judge it, else all."""
    models = [model for model, _ in turns] if at_hand is None else at_hand
    changes = [change_to(model, 0, since, arrival) for model, since in turns]
    own = lead.copy()
    own.judged_by = turns[0][0].identity
    due = advance_owned(lead.copy(), 0, turns[0][0]).due
    return succeed(own, due, changes, {model.identity: model for model in models})


def causes(out: Sequence[Transition]) -> list[str]:
    return [one.record["cause"] for one in out if isinstance(one, Changed)]


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


@pytest.mark.parametrize("half_life", [1, HOUR, 6 * HOUR])
def test_an_old_booking_is_taken_back_exactly_after_a_change_to_a_very_short_half_life(half_life: int) -> None:
    lead = known(profile(days(0), name="V"), booking(days(0)), activity(days(300), "email_reply"))
    model = with_groups(DEFAULT, intent=Group("intent", half_life))
    after = succeeded(lead, model, days(300)).lead
    assert after is not None
    left = after.groups["intent"][0]
    assert left == pytest.approx(60 * exp2(-300 / 45))
    back = told([booking(days(300) + half_life, "CANCELLED")], model, after)
    assert back is not None
    assert abs(value_at(*back.groups["intent"], days(300) + half_life, half_life)) < 1e-9 * left


def test_a_lower_threshold_makes_mqls_of_leads_that_do_nothing_more() -> None:
    lead = known(buyer(days(0)), pricing(days(0)))
    assert lead.stage == "lead"
    model = replace(
        DEFAULT,
        version="lower",
        mql=replace(DEFAULT.mql, interest=5.0),
        matrix=replace(DEFAULT.matrix, warm=5.0),
    )
    after = succeeded(lead, model, days(2))
    (mql,) = [one.record for one in after.transitions if isinstance(one, Qualified)]
    assert (mql["stage"], mql["occurred_at"], mql["model"], mql["threshold"]) == ("MQL", days(2), "lower", 5.0)
    assert verify_receipt(mql) == []


def test_a_higher_threshold_cools_who_is_far_below_it() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(0), "MIDDLE"), activity(days(0), "email_reply"))
    assert lead.stage == "mql"
    higher = replace(
        DEFAULT, mql=replace(DEFAULT.mql, interest=59.0, hysteresis=0.0), matrix=replace(DEFAULT.matrix, warm=59.0)
    )
    after = succeeded(lead, replace(higher, version="higher"), days(1))
    assert after.lead is not None
    assert (after.lead.stage, causes(after.transitions)) == ("lead", ["COOLED"])
    assert [one.record["model"] for one in after.transitions if isinstance(one, Changed)] == ["higher"]


def test_the_receipt_adds_up_after_a_change_of_half_lives() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(3)), download(days(4), asset_id="other"))
    model = with_groups(DEFAULT, web=Group("web", 3 * DAY, cap=40.0), content=Group("content", 200 * DAY))
    after = succeeded(lead, model, days(10))
    assert after.lead is not None
    _, out = step(after.lead, booking(days(11)), days(11), model)
    (sql,) = [one.record for one in out if isinstance(one, Qualified)]
    assert verify_receipt(sql) == []
    assert {one["name"] for one in sql["evidence"]} >= {"demo", "content"}


def test_what_would_be_restated_as_absurd_points_becomes_one_of_the_others() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(0)))
    model = with_groups(DEFAULT, web=Group("web", HOUR))
    after = succeeded(lead, model, days(90)).lead
    assert after is not None
    assert after.strongest["web"] == ()
    assert after.groups["web"][0] == pytest.approx(10 * exp2(-3))


def test_a_booking_is_taken_back_exactly_after_a_change() -> None:
    lead = known(profile(days(0), name="V"), booking(days(0)))
    model = with_groups(DEFAULT, intent=Group("intent", 9 * DAY))
    after = succeeded(lead, model, days(20)).lead
    assert after is not None
    assert value_at(*after.groups["intent"], days(20), 9 * DAY) == pytest.approx(60 * exp2(-20 / 45))
    cancelled = told([booking(days(30), "CANCELLED")], model, after)
    assert cancelled is not None
    assert value_at(*cancelled.groups["intent"], days(30), 9 * DAY) == pytest.approx(0, abs=1e-9)


def test_a_renamed_group_goes_on_and_may_join_one_that_is_there() -> None:
    lead = known(pricing(days(0)), download(days(0)))
    renamed = with_groups(DEFAULT, web=None, site=Group("site", DEFAULT.groups["web"].half_life_ms, was="web"))
    after = succeeded(lead, renamed, days(1)).lead
    assert after is not None
    assert after.groups["site"] == lead.groups["web"]
    assert [one.name for one in after.strongest["site"]] == ["pricing page"]
    joined = with_groups(DEFAULT, web=None, content=replace(DEFAULT.groups["content"], was="web"))
    after = succeeded(lead, joined, days(1)).lead
    assert after is not None
    half_life = joined.groups["content"].half_life_ms
    expected = 8 * exp2(-DAY / half_life) + 10 * exp2(-1 / 30)
    assert value_at(*after.groups["content"], days(1), half_life) == pytest.approx(expected)


def test_a_model_that_is_taken_back_takes_its_names_of_groups_along() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), pricing(days(0)), booking(days(0)))
    site = Group("site", DEFAULT.groups["web"].half_life_ms, was="web")
    plan = Group("plan", 20 * DAY, was="intent")
    renamed = with_groups(DEFAULT, "renamed", web=None, site=site, intent=None, plan=plan)
    back = through(lead, (DEFAULT, 0), (renamed, days(1)), (replace(DEFAULT, version="back"), days(2))).lead
    assert back is not None
    assert back.groups["web"] == lead.groups["web"]
    expected = 60 * exp2(-1 / 45) * exp2(-1 / 20)
    assert value_at(*back.groups["intent"], days(2), 45 * DAY) == pytest.approx(expected)
    assert [entry[1] for entry in back.bookings[0].given] == ["intent"]
    assert differences(change_to(renamed, 0, 0, 0), DEFAULT) == [
        "group site goes on as web",
        "group plan goes on as intent",
        "half-life of intent: 45 d after 20 d",
    ]


def test_a_name_that_is_here_again_is_no_old_group_s_when_it_says_what_it_was() -> None:
    lead = known(pricing(days(0)), download(days(0)))
    renamed = with_groups(DEFAULT, "renamed", web=None, site=Group("site", 30 * DAY, was="web"))
    other = with_groups(DEFAULT, "other", content=None, web=Group("web", 60 * DAY, was="content"))
    after = through(lead, (DEFAULT, 0), (renamed, days(1)), (other, days(2))).lead
    assert after is not None
    assert after.groups == {"web": lead.groups["content"]}


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


def test_whom_a_persona_disqualified_is_a_lead_again_when_there_is_no_such_persona() -> None:
    lead = known(buyer(days(0), job_title="student"))
    assert lead.stage == "disqualified"
    after = succeeded(lead, replace(DEFAULT, version="open", negative_personas=()), days(1))
    assert after.lead is not None
    assert (after.lead.stage, causes(after.transitions)) == ("lead", ["MODEL_CHANGED"])
    stays = succeeded(lead, replace(DEFAULT, version="same"), days(1))
    assert stays.lead is not None
    assert (stays.lead.stage, causes(stays.transitions)) == ("disqualified", [])


@pytest.mark.parametrize("persona_first", [True, False])
def test_whom_sales_disqualified_for_ever_stays_so_though_a_persona_on_top_of_it_goes(persona_first: bool) -> None:
    never = feedback(days(1), "REJECTED", reason="competitor")
    student = profile(days(0) if persona_first else days(2), job_title="student")
    lead = known(*sorted([buyer(days(0)), student, never], key=lambda one: one.occurred_at))
    assert (lead.stage, lead.persona) == ("disqualified", "student")
    after = succeeded(lead, replace(DEFAULT, version="open", negative_personas=()), days(3))
    assert after.lead is not None
    assert (after.lead.stage, causes(after.transitions)) == ("disqualified", [])


def test_whom_sales_took_back_is_disqualified_by_nobody_but_a_later_persona() -> None:
    never, taken_back = feedback(days(1), "REJECTED", reason="competitor"), feedback(days(2), "OPPORTUNITY")
    lead = known(buyer(days(0)), never, taken_back, feedback(days(3), "LOST"), profile(days(4), job_title="student"))
    after = succeeded(lead, replace(DEFAULT, version="open", negative_personas=()), days(5)).lead
    assert after is not None
    assert (lead.stage, after.stage) == ("disqualified", "lead")


def test_due_times_are_those_of_the_new_model() -> None:
    visitor = known(page_view(days(0)))
    hasty = replace(DEFAULT, version="hasty", visitor_ttl_ms=20 * DAY)
    soon = succeeded(visitor, hasty, days(5))
    assert (soon.lead is not None, soon.due) == (True, days(20))
    gone = succeeded(visitor, hasty, days(25))
    assert gone.lead is None
    assert causes(gone.transitions) == ["EXPIRED"]
    assert [one.record["occurred_at"] for one in gone.transitions if isinstance(one, Changed)] == [days(25)]


def test_time_never_goes_back_when_a_new_model_finds_something_overdue() -> None:
    lead = known(buyer(days(0)), pricing(days(0)))
    assert DEFAULT.inactivity is not None
    hasty = replace(DEFAULT, version="hasty", inactivity=replace(DEFAULT.inactivity, after_ms=3 * DAY))
    after = succeeded(lead, hasty, days(25))
    assert after.lead is not None
    assert after.lead.as_of == days(25)
    assert after.lead.groups["disengagement"] == (-10.0, days(25))


def test_a_lead_whose_former_model_is_unknown_keeps_its_values() -> None:
    lead = known(pricing(days(0)))
    model = with_groups(DEFAULT, web=Group("web", 7 * DAY))
    carried = lead.copy()
    carry_over(carried, None, days(10), model)
    assert carried.groups == lead.groups


def past_of(anon: str, model: Model) -> Merge:
    """What is sent to `u1` when a visitor who downloaded something turns out to be it."""
    visitor = known(download(days(1), "BOTTOM"), page_view(days(1)), model=model)
    sent = receive(anon, visitor, Link(anon, "u1", f"link of {anon}", days(2), days(2)), 0, model)
    (merge,) = [one for one in sent.transitions if isinstance(one, Merge)]
    return merge


def test_a_past_that_comes_from_a_newer_model_keeps_what_this_one_has_not_heard_of_until_it_has() -> None:
    old, new = with_groups(DEFAULT, "old", content=None, web=Group("web", 10 * DAY, cap=40)), DEFAULT
    lead: State | None = known(buyer(days(0)), model=old)
    for anon in ("a", "b"):
        lead = receive("u1", lead, past_of(anon, new), days(2), old, None).state
    assert isinstance(lead, Lead)
    assert lead.written is not None
    assert lead.written.stage == "lead", "to the old model a download is worth nothing"
    _, out = step(lead, booking(days(2)), days(2), old)
    assert [verify_receipt(one.record) for one in out if isinstance(one, Qualified)] == [[]]
    changes = [change_to(old, 0, days(0), 0), change_to(new, 0, days(3), 0)]
    after = succeed(lead, None, changes, {old.identity: old, new.identity: new})
    assert after.lead is not None
    assert value_at(*after.lead.groups["content"], days(1), 60 * DAY) == pytest.approx(40.0)
    assert [one.points for one in after.lead.strongest["content"]] == [20.0, 20.0]
    assert (after.lead.stage, set(after.lead.groups)) == ("mql", {"content", "web"})
    (granted,) = [one.record for one in after.transitions if isinstance(one, Qualified)]
    assert verify_receipt(granted) == []


def test_a_past_from_a_model_that_is_taken_back_here_has_its_groups_by_their_names_here() -> None:
    """Partitions take a model back one after the other: no further change will find a place for what comes later."""
    site = Group("site", 7 * DAY, was="web")
    renamed = with_groups(DEFAULT, "renamed", web=None, site=site)
    merge = past_of("a", carried_by(renamed))
    assert merge.lead is not None
    assert set(merge.lead.groups) == {"site", "content"}
    after = receive("u1", known(buyer(days(0))), merge, days(2), DEFAULT, None).state
    assert isinstance(after, Lead)
    assert set(after.groups) == {"web", "content"}
    assert value_at(*after.groups["web"], days(2), 30 * DAY) == pytest.approx(2 ** (-1 / 7))
    assert after.was is None
    again = receive("u2", None, past_of("b", carried_by(renamed)), days(2), renamed, None).state
    assert isinstance(again, Lead)
    assert (set(again.groups), again.was) == ({"site", "content"}, None)


def carried_by(model: Model) -> Model:
    """The model with what gives to `web` giving to `site` instead."""
    rules = {kind: tuple(replace(rule, group="site" if rule.group == "web" else rule.group) for rule in of_kind)
             for kind, of_kind in DEFAULT.rules.items()}  # fmt: skip
    return replace(model, rules=rules)


def test_what_was_renamed_travels_so_that_the_release_before_reads_it() -> None:
    renamed = with_groups(DEFAULT, "renamed", web=None, site=Group("site", 7 * DAY, was="web"))
    merge = past_of("a", carried_by(renamed))
    assert merge.lead is not None
    packed = pack(merge.lead)
    assert unpack(packed) == merge.lead
    assert merge.lead.was == {"site": "web"}
    raw = msgspec.msgpack.decode(packed)
    assert raw[-1] == {"site": "web"}, "what a release does not know of stands last: it takes no notice"


@pytest.mark.parametrize("cancelled", ["before the past comes", "after it"])
def test_a_booking_cancelled_while_its_group_is_unknown_here_is_taken_back_when_it_is_known(cancelled: str) -> None:
    """Another partition had gone on to the next model, and sent what it knew of the booking here."""
    here, there = with_groups(DEFAULT, "here", intent=None), DEFAULT
    visitor = known(booking(days(1)), page_view(days(1)), model=there)
    sent = receive("a", visitor, Link("a", "u1", "link", days(2), days(2)), 0, there)
    (merge,) = [one for one in sent.transitions if isinstance(one, Merge)]
    lead: State | None = known(buyer(days(0)), model=here)
    called_off = booking(days(3), "CANCELLED")
    if cancelled == "after it":
        lead = receive("u1", lead, merge, days(2), here, None).state
        assert isinstance(lead, Lead)
        lead, _ = step(lead, called_off, days(3), here)
        assert lead is not None
        assert lead.groups["intent"] == (60.0, days(1)), "what it is worth by now nobody here knows"
        assert [entry[1] for entry in lead.bookings[0].owed] == ["intent"]
    else:
        assert isinstance(lead, Lead)
        lead, _ = step(lead, called_off, days(3), here)
        lead = receive("u1", lead, merge, days(3), here, None).state
    assert isinstance(lead, Lead)
    changes = [change_to(here, 0, days(0), 0), change_to(there, 0, days(4), 0)]
    after = succeed(lead, None, changes, {here.identity: here, there.identity: there}).lead
    assert after is not None
    assert value_at(*after.groups["intent"], days(4), 45 * DAY) == pytest.approx(0, abs=1e-9)
    assert (after.strongest["intent"], after.bookings[0].owed, after.bookings[0].given) == ((), (), ())


def test_a_booking_whose_group_is_gone_gives_nothing_when_the_group_is_there_again() -> None:
    """A group that is gone takes its points along, so there is nothing to be taken back either."""
    lead = known(buyer(days(0)), booking(days(0)))
    gone = with_groups(DEFAULT, "gone", intent=None)
    back = replace(DEFAULT, version="back")
    waiting = through(lead, (DEFAULT, 0), (gone, days(1))).lead
    assert waiting is not None
    cancelled, _ = step(waiting, booking(days(2), "CANCELLED"), days(2), gone)
    assert cancelled is not None
    changes = [change_to(gone, 0, days(1), 0), change_to(back, 0, days(3), 0)]
    after = succeed(cancelled, None, changes, {gone.identity: gone, back.identity: back}).lead
    assert after is not None
    assert "intent" not in after.groups
    assert (after.bookings[0].given, after.bookings[0].owed) == ((), ())


def test_a_past_that_comes_from_an_older_model_brings_nothing_that_is_gone() -> None:
    old, new = DEFAULT, with_groups(DEFAULT, "new", content=None)
    after = receive("u1", known(buyer(days(0)), model=new), past_of("a", old), days(2), new, None)
    assert isinstance(after.state, Lead)
    assert interest_at(after.state, new, days(2)) == pytest.approx(2 ** (-1 / 30))
    gone = with_groups(DEFAULT, "third", content=None)
    carry_over(after.state, change_to(new, 0, days(3), 0), days(3), gone)
    assert set(after.state.groups) == {"web"}


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
