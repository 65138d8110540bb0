"""Sales' answers, cell by cell of the table, and those that come late or are about another episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from handmade import (
    DAY,
    DEFAULT,
    HOUR,
    MINUTE,
    activity,
    booking,
    buyer,
    days,
    download,
    feedback,
    page_view,
    profile,
)
from oracle import CELLS

from streams.qualification.events import Changed, Event, Ignored, Qualified, Transition
from streams.qualification.lead import Lead
from streams.qualification.step import advance, judged_at, step

#: How a lead gets to each stage, and when.
WAYS: dict[str, list[Event]] = {
    "visitor": [page_view(days(0))],
    "lead": [buyer(days(0))],
    "mql": [buyer(days(0)), download(days(0), "BOTTOM")],
    "sql": [buyer(days(0)), booking(days(0))],
    "opportunity": [buyer(days(0)), booking(days(0)), feedback(days(0), "OPPORTUNITY")],
    "customer": [buyer(days(0)), feedback(days(0), "WON")],
    "disqualified": [profile(days(0), job_title="student")],
}


def told(*events: Event, lead: Lead | None = None, stream_time: int = 0) -> tuple[Lead, list[Transition]]:
    """The lead after the events, in the order of telling, and what they brought about."""
    out: list[Transition] = []
    for event in events:
        at = judged_at(lead, event, stream_time, DEFAULT)
        stream_time = max(stream_time, event.occurred_at)
        lead, transitions = step(lead, event, at, DEFAULT)
        out += transitions
    assert lead is not None
    return lead, out


def changes(out: Sequence[Transition]) -> list[dict[str, Any]]:
    return [one.record for one in out if isinstance(one, Changed)]


def qualifications(out: Sequence[Transition]) -> list[dict[str, Any]]:
    return [one.record for one in out if isinstance(one, Qualified)]


@pytest.mark.parametrize(("stage", "disposition"), CELLS)
def test_every_cell_of_the_table(stage: str, disposition: str) -> None:
    before, _ = told(*WAYS[stage])
    assert before.stage == stage
    after, out = told(feedback(days(0) + HOUR, disposition), lead=before)
    cell = CELLS[stage, disposition]
    expected = {".": stage, "rest": "lead"}.get(cell, cell)
    assert after.stage == expected
    assert after.resting == (cell == "rest")
    (change,) = changes(out)
    assert (change["cause"], change["from_stage"], change["to_stage"]) == ("FEEDBACK", stage, expected)
    granted = [(one["stage"], one["path"], one["previous_stage"]) for one in qualifications(out)]
    assert granted == ([("SQL", "sales", stage)] if cell == "sql" else [])


@pytest.mark.parametrize("stage", WAYS)
def test_an_unknown_disposition_changes_nothing_at_any_stage(stage: str) -> None:
    before, _ = told(*WAYS[stage])
    after, out = told(feedback(days(0) + HOUR, "UNKNOWN"), lead=before)
    assert after.stage == stage
    assert not changes(out)
    assert Ignored("unknown_disposition") in out


def test_an_unknown_disposition_leaves_nothing_of_an_unknown_lead() -> None:
    said = feedback(days(0), "UNKNOWN")
    assert step(None, said, days(0), DEFAULT) == (None, [Ignored("unknown_disposition")])


@pytest.mark.parametrize(("stage", "disposition"), CELLS)
def test_feedback_older_than_the_stage_is_recorded_and_changes_nothing(stage: str, disposition: str) -> None:
    before, _ = told(*WAYS[stage])
    after, out = told(feedback(days(0) - HOUR, disposition), lead=before, stream_time=days(0))
    assert (after.stage, after.resting, after.episode) == (stage, False, before.episode)
    assert [(one["cause"], one["to_stage"]) for one in changes(out)] == [("FEEDBACK", stage)]


@pytest.mark.parametrize(("stage", "disposition"), CELLS)
def test_feedback_about_an_earlier_episode_is_recorded_and_changes_nothing(stage: str, disposition: str) -> None:
    before, _ = told(*WAYS[stage])
    after, out = told(feedback(days(0) + HOUR, disposition, "an earlier one"), lead=before)
    assert (after.stage, after.resting, after.episode) == (stage, False, before.episode)
    (change,) = changes(out)
    assert (change["cause"], change["to_stage"], change["qualification_id"]) == (
        "FEEDBACK",
        stage,
        "an earlier one",
    )


def test_answers_in_order_all_count_though_they_reach_us_late_together() -> None:
    sold = [feedback(days(1), "OPPORTUNITY"), feedback(days(2), "WON")]
    after, _ = told(buyer(days(0)), *sold, stream_time=days(50))
    assert after.stage == "customer"


def test_answers_a_few_minutes_late_count_while_other_leads_move_the_clock() -> None:
    before, _ = told(*WAYS["sql"])
    opened, _ = told(feedback(days(1), "OPPORTUNITY"), lead=before, stream_time=days(1) + 10 * MINUTE)
    lost, _ = told(feedback(days(1) + 5 * MINUTE, "LOST"), lead=opened, stream_time=days(1) + 10 * MINUTE)
    assert (lost.stage, lost.resting) == ("lead", True)


def test_of_two_answers_out_of_order_the_older_changes_nothing() -> None:
    before, _ = told(*WAYS["sql"])
    won, _ = told(feedback(days(3), "OPPORTUNITY"), lead=before)
    after, _ = told(feedback(days(2), "REJECTED"), lead=won, stream_time=days(3))
    assert after.stage == "opportunity"


@pytest.mark.parametrize("stage", ["visitor", "lead", "mql", "sql"])
@pytest.mark.parametrize("older", ["ACCEPTED", "MEETING_HELD", "OPPORTUNITY", "WON"])
def test_an_answer_older_than_the_one_that_made_the_lead_rest_changes_nothing(stage: str, older: str) -> None:
    before, _ = told(*WAYS[stage])
    resting, _ = told(feedback(days(2), "LOST"), lead=before)
    after, out = told(feedback(days(1), older), lead=resting, stream_time=days(2))
    assert (after.stage, after.resting, after.resting_until) == ("lead", True, resting.resting_until)
    assert [(one["cause"], one["to_stage"]) for one in changes(out)] == [("FEEDBACK", "lead")]


def test_feedback_may_name_the_mql_or_the_sql_of_the_episode() -> None:
    before, out = told(*WAYS["mql"], booking(days(1)))
    mql, sql = qualifications(out)
    for answered in (mql, sql):
        after, _ = told(feedback(days(2), "OPPORTUNITY", answered["event_id"]), lead=before)
        assert after.stage == "opportunity"


@pytest.mark.parametrize("disposition", ["ACCEPTED", "MEETING_HELD", "OPPORTUNITY"])
def test_an_answer_in_time_meets_the_sla(disposition: str) -> None:
    before, _ = told(*WAYS["sql"])
    answered, _ = told(feedback(days(0) + HOUR, disposition), lead=before)
    _, out = advance(answered, days(30), DEFAULT)
    assert not {"SLA_BREACHED", "GAVE_UP"} & {one["cause"] for one in changes(out)}


def test_an_unanswered_sql_is_told_after_a_day_and_rests_after_a_fortnight() -> None:
    before, _ = told(*WAYS["sql"])
    after, out = advance(before, days(15), DEFAULT)
    assert after is not None
    assert [(one["cause"], one["occurred_at"], one["to_stage"]) for one in changes(out)] == [
        ("SLA_BREACHED", days(1), "sql"),
        ("GAVE_UP", days(14), "lead"),
    ]
    assert after.resting_until == days(44)


def test_the_sla_runs_from_when_the_event_reached_us() -> None:
    late = booking(days(0), scheduled_for=days(9))
    before, _ = told(buyer(days(0)))
    held = Event(late.kind, late.lead_id, late.event_id, late.occurred_at, days(3), late.fields)
    after, out = told(held, lead=before)
    (sql,) = qualifications(out)
    assert sql["occurred_at"] == days(0)
    assert sql["respond_by"] == days(4)
    assert after.episode is not None
    assert after.episode.give_up_at == days(17)


@pytest.mark.parametrize(
    ("reason", "lasts"),
    [(None, 30), ("no_budget", 90), ("something else", 30)],
    ids=["none", "no_budget", "other"],
)
def test_a_lead_rests_as_long_as_the_reason_says(reason: str | None, lasts: int) -> None:
    before, _ = told(*WAYS["sql"])
    after, _ = told(feedback(days(1), "REJECTED", reason=reason), lead=before)
    assert after.resting_until == days(1 + lasts)


def test_never_means_disqualified() -> None:
    before, _ = told(*WAYS["sql"])
    after, out = told(feedback(days(1), "LOST", reason="competitor"), lead=before)
    assert (after.stage, after.resting, after.episode) == ("disqualified", False, None)
    assert changes(out)[0]["qualification_id"] == before.episode.sql_id  # type: ignore[union-attr]


def test_rest_ends_with_a_second_look() -> None:
    before, _ = told(*WAYS["sql"], activity(days(1), "webinar_attended"))
    resting, _ = told(feedback(days(1), "REJECTED"), lead=before)
    after, out = advance(resting, days(31), DEFAULT)
    assert after is not None
    assert [(one["cause"], one["to_stage"], one["occurred_at"]) for one in changes(out)][:2] == [
        ("REST_ENDED", "lead", days(31)),
        ("REST_ENDED", "mql", days(31)),
    ]


def test_a_resting_lead_that_books_another_demo_goes_straight_back_to_sales() -> None:
    before, _ = told(*WAYS["sql"])
    resting, _ = told(feedback(days(1), "REJECTED"), lead=before)
    still, out = told(download(days(2), "BOTTOM"), lead=resting)
    assert (still.stage, still.resting) == ("lead", True)
    after, out = told(booking(days(3), booking_id="demo-2"), lead=still)
    (sql,) = qualifications(out)
    assert (sql["stage"], sql["path"], sql["previous_stage"]) == ("SQL", "demo", "lead")
    assert (after.stage, after.resting) == ("sql", False)
    assert sql["episode_id"] != before.episode.episode_id  # type: ignore[union-attr]


def test_the_demo_of_an_ended_episode_makes_no_second_sql() -> None:
    before, _ = told(*WAYS["sql"])
    resting, _ = told(feedback(days(1), "LOST"), lead=before)
    after, out = advance(resting, days(1) + 60 * DAY, DEFAULT)
    assert after is not None
    assert not [one for one in qualifications(out) if one["stage"] == "SQL"]


def reports(*events: Event) -> list[tuple[int | None, str | None, int | None]]:
    """(time in the stage that was left, reason of a rest, time to sales' first answer) of what sales said."""
    _, out = told(*events)
    return [
        (one.stayed, one.rested, one.answered)
        for one in out
        if isinstance(one, Changed) and one.record["cause"] == "FEEDBACK"
    ]


def test_only_the_first_answer_to_an_sql_is_a_response_timed_by_when_both_happened() -> None:
    assert reports(
        *WAYS["sql"], feedback(days(0) + HOUR, "ACCEPTED"), feedback(days(1), "OPPORTUNITY"), feedback(days(9), "WON")
    ) == [(None, None, HOUR), (DAY, None, None), (8 * DAY, None, None)]


def test_a_rejection_is_a_response_and_rests_for_a_reason_that_the_model_names() -> None:
    assert reports(*WAYS["sql"], feedback(days(2), "REJECTED", reason="no_budget")) == [(2 * DAY, "no_budget", 2 * DAY)]
    assert reports(*WAYS["sql"], feedback(days(2), "REJECTED", reason="said so")) == [(2 * DAY, "other", 2 * DAY)]
    assert reports(*WAYS["sql"], feedback(days(2), "REJECTED", reason="competitor")) == [(2 * DAY, None, 2 * DAY)]


def test_what_sales_says_of_its_own_accord_is_no_response() -> None:
    assert reports(*WAYS["mql"], feedback(days(1), "ACCEPTED"), feedback(days(2), "OPPORTUNITY")) == [
        (DAY, None, None),
        (DAY, None, None),
    ]


def test_an_sql_that_was_given_up_rests_without_a_response() -> None:
    lead, _ = told(*WAYS["sql"])
    _, out = advance(lead, days(20), DEFAULT)
    assert [(one.record["cause"], one.stayed, one.rested, one.answered) for one in out if isinstance(one, Changed)] == [
        ("SLA_BREACHED", None, None, None),
        ("GAVE_UP", 14 * DAY, "other", None),
    ]
