"""A model that follows another: how leads are judged anew, and what is due for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade import (
    DAY,
    DEFAULT,
    activity,
    buyer,
    days,
    download,
    feedback,
    page_view,
    pricing,
    profile,
)
from model_changes import causes, known, succeeded

from streams.qualification.events import Changed, Qualified
from streams.qualification.receipt import verify_receipt


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
