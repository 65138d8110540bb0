"""The stories that the demo tells come out as told, whenever it is run."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from streams.backtest.replay import Replay, replay
from streams.local.demo.journeys import CAST, journeys, stories
from streams.local.demo.office_hours import HISTORY_MS, OfficeHours
from streams.modelfile import read_model
from streams.qualification.events import Changed, Qualified
from streams.qualification.model.values import Model
from streams.wire.codec import Codec

HOUR_MS = 3_600_000
A_SUNDAY_EVENING = int(datetime(2026, 11, 22, 21, 40, tzinfo=UTC).timestamp() * 1000)
CAST_IDS = {person.lead_id for person, _ in CAST}

#: Lead -> each stage that it comes to and why.
STORIES = {
    "reader-bakery": "lead IDENTIFIED",
    "researcher-software": "lead IDENTIFIED, mql QUALIFIED",
    "planner-airways": "lead IDENTIFIED, mql QUALIFIED, lead COOLED",
    "buyer-robotics": ("lead IDENTIFIED, mql QUALIFIED, sql QUALIFIED, sql FEEDBACK, opportunity FEEDBACK"),
    "risk-lead-finance": "lead IDENTIFIED, mql QUALIFIED, sql QUALIFIED",
    "strategist-energy": "lead IDENTIFIED, mql QUALIFIED, sql QUALIFIED",
    "student-university": "lead IDENTIFIED, disqualified PERSONA",
    "organiser-travel": "lead IDENTIFIED, mql QUALIFIED, lead COOLED",
    "freelancer-studio": "lead IDENTIFIED, lead LOW_TOUCH",
    "manager-hotels": "lead IDENTIFIED, sql QUALIFIED, lead FEEDBACK",
}
SQL_PATHS = {
    "buyer-robotics": "demo",
    "risk-lead-finance": "returning",
    "strategist-energy": "hot",
    "manager-hotels": "demo",
}


@cache
def default_model() -> Model:
    return read_model()


def played(happenings: list[tuple[str, dict[str, Any]]], end: int) -> Replay:
    """What the core makes of it until `end`, every event having been over the wire."""
    codec = Codec()
    # Somebody is there at the very end, so that the replay goes on until then.
    last = {"event_id": "last", "lead_id": "last", "occurred_at": end, "url": "https://www.vendor.example/"}
    events = []
    for topic, fields in [*happenings, ("page-views", last)]:
        event = codec.decode(topic, codec.encode(topic, fields))
        assert isinstance(event, dict)
        events.append((topic, event))
    return replay(events, default_model(), end)


def stories_until(end: int) -> Replay:
    return played(stories(1, OfficeHours(end)), end)


def story_of(result: Replay, lead_id: str) -> str:
    return ", ".join(
        f"{one.record['to_stage']} {one.record['cause']}"
        for one in result.transitions
        if isinstance(one, Changed) and one.record["lead_id"] == lead_id
    )


@pytest.mark.parametrize("hours", range(0, 7 * 24, 4))
def test_every_story_comes_out_as_told_at_any_hour_of_the_week(hours: int) -> None:
    result = stories_until(A_SUNDAY_EVENING + hours * HOUR_MS)
    assert {lead_id: story_of(result, lead_id) for lead_id in CAST_IDS} == STORIES


def test_each_sql_path_of_a_story_is_the_one_meant() -> None:
    result = stories_until(A_SUNDAY_EVENING)
    paths = {
        one.record["lead_id"]: one.record["path"]
        for one in result.transitions
        if isinstance(one, Qualified) and one.record["stage"] == "SQL"
    }
    assert paths == SQL_PATHS


def test_the_lead_that_was_turned_down_rests_although_it_comes_back() -> None:
    result = stories_until(A_SUNDAY_EVENING)
    assert result.leads["manager-hotels"].resting


@pytest.mark.parametrize("seed", [1, 2])
def test_the_crowd_brings_qualifications_of_its_own_but_most_stay_visitors(seed: int) -> None:
    result = played(journeys(seed, A_SUNDAY_EVENING), A_SUNDAY_EVENING)
    stages = [lead.stage for lead in result.leads.values()]
    assert stages.count("visitor") > len(stages) / 2
    qualified = {one.record["lead_id"] for one in result.transitions if isinstance(one, Qualified)} - CAST_IDS
    assert 5 <= len(qualified) <= 40
    assert result.ignored["machine_open"] > 0


def test_the_same_arguments_give_the_same_journeys() -> None:
    assert journeys(7, A_SUNDAY_EVENING) == journeys(7, A_SUNDAY_EVENING)


def test_another_seed_gives_another_crowd() -> None:
    assert journeys(7, A_SUNDAY_EVENING) != journeys(8, A_SUNDAY_EVENING)


def test_journeys_are_in_order_and_within_the_thirty_days() -> None:
    times = [event["occurred_at"] for _, event in journeys(1, A_SUNDAY_EVENING)]
    assert times == sorted(times)
    assert times[0] >= A_SUNDAY_EVENING - HISTORY_MS
    assert times[-1] < A_SUNDAY_EVENING
    assert 5_000 <= len(times) <= 10_000


def test_no_event_id_comes_twice() -> None:
    ids = [event["event_id"] for _, event in journeys(1, A_SUNDAY_EVENING)]
    assert len(set(ids)) == len(ids)


def test_a_suffix_keeps_the_leads_of_two_runs_apart() -> None:
    one = {event["lead_id"] for _, event in journeys(1, A_SUNDAY_EVENING, "-a")}
    other = {event["lead_id"] for _, event in journeys(1, A_SUNDAY_EVENING, "-b")}
    assert not one & other


def test_everybody_lives_in_a_domain_that_cannot_exist() -> None:
    profiles = [event for topic, event in journeys(1, A_SUNDAY_EVENING) if "email" in event]
    assert len(profiles) > 50
    for profile in profiles:
        assert profile["email"].endswith(".example")
        assert profile["company"].startswith("Example ")
        assert profile["name"].endswith(profile["company"])


def test_working_days_are_busier_than_weekends_and_noon_than_night() -> None:
    moments = [
        datetime.fromtimestamp(event["occurred_at"] / 1000, UTC)
        for topic, event in journeys(1, A_SUNDAY_EVENING)
        if topic == "page-views"
    ]
    weekend = sum(moment.weekday() >= 5 for moment in moments) / 2
    working = sum(moment.weekday() < 5 for moment in moments) / 5
    assert working > 2 * weekend
    assert sum(9 <= moment.hour < 17 for moment in moments) > len(moments) / 2


@pytest.mark.parametrize("hours", range(0, 7 * 24, 4))
def test_people_with_a_story_keep_to_working_days(hours: int) -> None:
    for _, event in stories(1, OfficeHours(A_SUNDAY_EVENING + hours * HOUR_MS)):
        assert datetime.fromtimestamp(event["occurred_at"] / 1000, UTC).weekday() < 5
