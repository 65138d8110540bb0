"""What is due is done at its millisecond and not before; a threshold is reached at its number and not below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from handmade import DAY, DEFAULT, booking, buyer, days, download, feedback, page_view, pricing, profile
from test_feedback import WAYS
from test_scenarios import Story, interested

from streams.qualification.events import Event
from streams.qualification.model.values import Visits

SQL = [buyer(days(0)), booking(days(0))]
DUE: dict[str, tuple[Sequence[Event], int, str]] = {
    "an SLA's breach": (SQL, days(1), "SLA_BREACHED"),
    "giving up": (SQL, days(14), "GAVE_UP"),
    "the end of a rest": ([*SQL, feedback(days(1), "REJECTED")], days(31), "REST_ENDED"),
    "the end of a longer rest": ([*SQL, feedback(days(1), "LOST", reason="no_budget")], days(91), "REST_ENDED"),
    "the end of a rest after giving up": (SQL, days(44), "REST_ENDED"),
    "the end of a visitor": ([page_view(days(0))], days(180), "EXPIRED"),
    "the end of a visitor who came back": ([page_view(days(0)), page_view(days(5))], days(185), "EXPIRED"),
}


@pytest.mark.parametrize(("told", "at", "cause"), DUE.values(), ids=DUE)
def test_what_is_due_happens_at_its_millisecond(told: Sequence[Event], at: int, cause: str) -> None:
    story = Story(*told)
    story.wait_until(at - 1)
    assert cause not in story.causes
    story.wait_until(at)
    assert [one["occurred_at"] for one in story.changes if one["cause"] == cause][-1] == at


@pytest.mark.parametrize(("at", "breached"), [(days(1) - 1, False), (days(1), True)])
def test_an_answer_at_the_millisecond_of_the_breach_is_late_and_an_answer_all_the_same(at: int, breached: bool) -> None:
    story = Story(*SQL, feedback(at, "ACCEPTED"))
    assert ("SLA_BREACHED" in story.causes) == breached
    story.wait_until(days(60))
    assert (story.stage, "GAVE_UP" in story.causes) == ("sql", False)


def test_silence_costs_its_points_at_its_millisecond() -> None:
    story = Story(buyer(days(0)), download(days(0)))
    story.wait_until(days(30) - 1)
    assert story.lead is not None
    assert "disengagement" not in story.lead.groups
    story.wait_until(days(30))
    assert story.lead.groups["disengagement"] == (-10.0, days(30))


@pytest.mark.parametrize("confirmed", range(5))
@pytest.mark.parametrize("other", [None, "ABSENT", "UNKNOWN"])
def test_bant_counts_what_is_confirmed_and_nothing_else(confirmed: int, other: str | None) -> None:
    facts = ["need", "authority", "timeline", "budget"]
    known = dict.fromkeys(facts[:confirmed], "CONFIRMED") | dict.fromkeys(facts[confirmed:], other)
    blocked = known["budget"] == "ABSENT"
    story = Story(buyer(days(0), **known), *interested(days(0)), pricing(days(0)))
    assert story.stage == ("sql" if confirmed >= 3 and not blocked else "mql")


@pytest.mark.parametrize(("points", "stage"), [(29, "mql"), (30, "sql")])
def test_bant_alone_is_not_enough_of_interest(points: int, stage: str) -> None:
    views = [page_view(days(0)) for _ in range(points - 20)]
    bant = dict.fromkeys(["budget", "authority", "need"], "CONFIRMED")
    story = Story(buyer(days(0), **bant), *interested(days(0)), *views)
    assert story.stage == stage


@pytest.mark.parametrize(("stage", "after"), [*((one, "disqualified") for one in ("lead", "mql", "sql")),
                                              *((one, one) for one in ("opportunity", "customer"))])  # fmt: skip
def test_a_later_persona_disqualifies_whom_sales_has_not_made_more_of(stage: str, after: str) -> None:
    story = Story(*WAYS[stage])
    episode = story.lead.episode if story.lead is not None else None
    assert story.stage == stage
    story.tell(profile(days(0) + 1, job_title="Student"))
    assert story.stage == after
    if after == "disqualified":
        assert (story.causes[-1], story.changes[-1]["from_stage"]) == ("PERSONA", stage)
        assert story.changes[-1]["qualification_id"] == (episode.qualification_id if episode else None)
        assert story.lead is not None
        assert story.lead.episode is None
        story.tell(booking(days(1), booking_id="another"))
        assert story.stage == "disqualified"


def test_a_persona_that_sales_takes_on_nonetheless_is_theirs_until_they_lose_it() -> None:
    story = Story(*WAYS["disqualified"], feedback(days(1), "OPPORTUNITY"))
    assert story.stage == "opportunity"
    story.tell(feedback(days(2), "LOST"))
    assert (story.stage, story.causes[-2:]) == ("disqualified", ["FEEDBACK", "PERSONA"])


@pytest.mark.parametrize(("gap", "stage"), [(14, "sql"), (15, "mql")])
def test_visits_are_counted_by_utc_days(gap: int, stage: str) -> None:
    """A day counts that the window reaches into: of 14 days before this instant the first began 15 days ago at most."""
    model = replace(
        DEFAULT, sql_paths=tuple(one for one in DEFAULT.sql_paths if one.name == "returning"), inactivity=None
    )
    assert model.sql_paths[0].visits == Visits(3, 14 * DAY)
    views = [page_view(days(1) - 1), page_view(days(1)), page_view(days(gap) + DAY - 1)]
    story = Story(buyer(days(0)), download(days(0), "BOTTOM"), *views, model=model)
    assert story.stage == stage
