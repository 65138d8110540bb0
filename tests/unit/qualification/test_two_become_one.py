"""What becomes of two leads that turn out to be one: episodes, bookings, profiles, limits, silences."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from handmade import (
    DAY,
    DEFAULT,
    booking,
    buyer,
    days,
    feedback,
    page_view,
    pricing,
    profile,
    when,
)
from town import Town, by, link, warm

from streams.qualification.decay import value_at
from streams.qualification.model.values import Rule


def two_episodes(*, booked: str | None = None) -> Town:
    """`a` is an MQL since day 1, `b` since day 2; `booked` has a demo and so is an SQL since day 3."""
    town = Town(by("a", buyer(days(0))), by("b", buyer(days(0))), *warm("a", days(1)), *warm("b", days(2)))
    if booked:
        town.tell(by(booked, booking(days(3))))
    return town


def test_of_two_open_episodes_the_further_one_stays() -> None:
    for booked in "ab":
        town = two_episodes(booked=booked)
        episodes = {id_: town.lead(id_).episode for id_ in "ab"}
        town.tell(link("a", "b", days(3.5)))
        b = town.lead("b")
        assert (b.stage, b.episode) == ("sql", episodes[booked])
        other = episodes["a" if booked == "b" else "b"]
        assert other is not None
        (ended,) = [
            one for one in town.changes("b") if one["cause"] == "MERGED" and one["episode_id"] == other.episode_id
        ]
        assert ended["qualification_id"] == other.mql_id
        assert b.episode_ended == 0


def test_of_two_open_episodes_at_one_stage_the_one_begun_first_stays() -> None:
    for source, target in ("ab", "ba"):
        town = two_episodes()
        first = town.lead("a").episode
        town.tell(link(source, target, days(4)))
        episode = town.lead(target).episode
        assert first is not None
        assert episode is not None
        assert (episode.episode_id, episode.started_at) == (first.episode_id, first.started_at)
        town.tell(by(source, booking(days(5))))
        episodes = Counter((one["episode_id"], one["stage"]) for one in town.granted())
        assert set(episodes.values()) == {1}
        assert (first.episode_id, "SQL") in episodes


def test_whom_sales_has_rejected_does_not_stay_an_mql() -> None:
    for source, target in ("ab", "ba"):
        town = two_episodes()
        town.tell(by("b", feedback(days(3), "REJECTED", reason="no_budget")), link(source, target, days(4)))
        lead = town.lead(target)
        assert (lead.stage, lead.resting_until, lead.episode) == ("lead", days(93), None)
        assert town.changes(target)[-1]["cause"] == "MERGED"
        assert lead.stage_since == days(3)


def test_an_opportunity_or_a_customer_wins_over_a_rejection() -> None:
    for answer, stage in (("OPPORTUNITY", "opportunity"), ("WON", "customer")):
        for source, target in ("ab", "ba"):
            town = two_episodes()
            town.tell(by("a", feedback(days(3), answer)), by("b", feedback(days(3), "REJECTED")))
            town.tell(link(source, target, days(4)))
            assert (town.lead(target).stage, town.lead(target).resting_until) == (stage, 0)


def test_the_disqualified_stay_so_but_for_opportunities() -> None:
    for source, target in ("ab", "ba"):
        town = two_episodes()
        town.tell(by("a", feedback(days(3), "REJECTED", reason="competitor")), link(source, target, days(4)))
        assert (town.lead(target).stage, town.lead(target).episode) == ("disqualified", None)


def test_an_sla_that_ran_out_on_the_way_is_breached_when_the_leads_meet() -> None:
    town = two_episodes(booked="a")
    town.people.take(by("b", page_view(days(9))), days(9))
    town.tell(link("a", "b", days(3) + 1))
    assert town.changes("b")[-1]["cause"] == "SLA_BREACHED"
    assert town.changes("b")[-1]["occurred_at"] == days(9)


def test_a_booking_known_to_both_gives_once() -> None:
    town = Town(by("a", booking(days(1))), by("b", booking(days(2), "ATTENDED")), link("a", "b", days(3)))
    assert value_at(*town.lead("b").groups["intent"], days(1), 45 * DAY) == 60.0
    assert [one.occurred_at for one in town.lead("b").strongest["intent"]] == [days(1)]


def test_a_booking_called_off_on_one_side_gives_nothing_on_either() -> None:
    for source, target in ("ab", "ba"):
        town = Town(by("a", booking(days(1))), by("b", booking(days(2), "CANCELLED")), link(source, target, days(3)))
        lead = town.lead(target)
        assert abs(lead.groups["intent"][0]) < 1e-9
        assert lead.strongest["intent"] == ()
        town.tell(by(source, booking(days(1) + 1)))
        assert abs(town.lead(target).groups["intent"][0]) < 1e-9


def test_what_a_cancellation_costs_it_costs_once_though_both_sides_hear_of_it_at_one_instant() -> None:
    cancelled = when("demo_booking", status="CANCELLED")
    costly = Rule("cancelled", "demo_booking", cancelled, "disengagement", points=-20.0)
    model = replace(DEFAULT, rules={**DEFAULT.rules, "demo_booking": (*DEFAULT.rules["demo_booking"], costly)})
    told = [by("a", booking(days(1))), *(by(id_, booking(days(2), "CANCELLED")) for id_ in "ab")]
    for source, target in ("ab", "ba"):
        lead = Town(*told, link(source, target, days(2)), model=model).lead(target)
        assert lead.groups["disengagement"] == (-20.0, days(2))
        assert abs(lead.groups["intent"][0]) < 1e-9


def test_what_was_booked_again_after_it_was_called_off_stays() -> None:
    town = Town(by("a", booking(days(1), "CANCELLED")), by("b", booking(days(2))), link("a", "b", days(3)))
    assert value_at(*town.lead("b").groups["intent"], days(2), 45 * DAY) == 60.0


def test_of_two_profiles_the_newest_of_each_value_stays() -> None:
    for source, target in ("ab", "ba"):
        town = Town(
            by("a", profile(days(1), company="Old", job_title="Clerk", attributes={"x": "old", "y": "1"})),
            by("b", profile(days(2), company="New", country="DE", attributes={"x": "new"})),
            link(source, target, days(3)),
        )
        assert town.lead(target).profile == {
            "company": "New",
            "job_title": "Clerk",
            "country": "DE",
            "attributes": {"x": "new", "y": "1"},
        }


def test_frequency_limits_add_up_and_take_nothing_back() -> None:
    town = Town(*(by(id_, pricing(days(1) + n)) for id_ in "ab" for n in range(2)), link("a", "b", days(1) + 9))
    assert town.lead("b").limits["pricing page"] == {days(1) // DAY: 4}
    assert value_at(*town.lead("b").groups["web"], days(1), 30 * DAY) > 39.9
    town.tell(by("a", pricing(days(1) + 20)))
    assert town.ignored() == ["exhausted"]


def test_a_silence_is_that_of_the_side_that_was_heard_of_last() -> None:
    town = Town(by("a", pricing(days(0))), by("b", pricing(days(20))), link("a", "b", days(35)))
    b = town.lead("b")
    assert (b.last_scored, b.inactive) == (days(20), False)
    assert "disengagement" in b.groups, "what the silence of a took stays"
