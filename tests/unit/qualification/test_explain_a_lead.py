"""An explanation is what the core decides by: it adds up, what it says is missing is, and what comes next does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from handmade import (
    BUYER,
    DAY,
    DEFAULT,
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
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lead_histories import LIVELY, LIVELY_DRAWN, Happening, models, walk
from model_changes import known

from streams.qualification.events import Event
from streams.qualification.explain import Explanation, explain, steps_of
from streams.qualification.fit import confirmed_bant
from streams.qualification.lead import CUSTOMER, LEAD, MQL, OPPORTUNITY, SQL, VISITOR, Lead
from streams.qualification.lifecycle import judge, may_be_mql, sql_path
from streams.qualification.memory import visits_within
from streams.qualification.missing import Missing, missing_to_mql, missing_to_paths
from streams.qualification.model.values import Matrix, Model, Visits
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import pack
from streams.qualification.step import advance
from streams.qualification.turn import Turn

CASES = st.one_of(
    st.tuples(st.just(DEFAULT), LIVELY),
    st.tuples(models(), LIVELY_DRAWN),
)
#: What Hypothesis draws by itself is mostly too soon for anything to have become due.
LATER = st.integers(0, 2**32).map(lambda seed: Random(seed).choice([0, 0, 5 * DAY, seed % (20 * DAY), 100 * DAY]))
MORE = settings(max_examples=max(250, settings.default.max_examples if settings.default else 0))


def explained(lead: Lead, at: int, model: Model = DEFAULT) -> Explanation:
    found = explain(lead, at, model)
    assert found is not None
    return found


def lead_of(case: tuple[Model, Sequence[Happening]]) -> tuple[Model, Lead]:
    model, history = case
    lead = walk(history, model).lead
    assume(lead is not None)
    assert lead is not None
    return model, lead


@given(CASES, LATER)
def test_an_explanation_adds_up_as_a_receipt_does(case: tuple[Model, Sequence[Happening]], later: int) -> None:
    model, lead = lead_of(case)
    found = explain(lead, lead.as_of + later, model)
    assume(found is not None)
    assert found is not None
    receipt = {
        "occurred_at": found.as_of,
        "threshold": 0.0,
        **{name: getattr(found, name) for name in ("interest", "fit", "groups", "evidence", "fit_evidence")},
    }
    assert verify_receipt(receipt) == []


@given(CASES, LATER)
def test_explaining_changes_nothing_in_the_lead_and_shows_it_as_time_leaves_it(
    case: tuple[Model, Sequence[Happening]], later: int
) -> None:
    model, lead = lead_of(case)
    before, at = pack(lead), lead.as_of + later
    found = explain(lead, at, model)
    assert pack(lead) == before
    after, out = advance(lead, at, model)
    if after is None:
        assert found is None
        return
    assert found is not None
    turn = Turn(after, model)
    assert (found.stage, found.since, found.fit, found.sequence) == (
        after.stage,
        after.stage_since,
        after.fit,
        after.sequence,
    )
    assert (found.interest, found.route) == (turn.interest(at), turn.route(at))
    assert found.meanwhile == steps_of(out)


@given(CASES, LATER)
def test_whom_nothing_is_missing_to_something_is_that_already(
    case: tuple[Model, Sequence[Happening]], later: int
) -> None:
    model, lead = lead_of(case)
    at = lead.as_of + later
    found = explain(lead, at, model)
    assume(found is not None)
    assert found is not None
    assert (found.to_mql is None) == (found.stage in (MQL, SQL, OPPORTUNITY, CUSTOMER))
    assert (found.to_sql == ()) == (found.stage in (SQL, OPPORTUNITY, CUSTOMER))
    assert found.to_mql != ()
    assert all(path.missing for path in found.to_sql)


def other_demands(model: Model, lead: Lead, at: int, dice: Random) -> Model:
    """The model with other thresholds, often just those that the lead reaches, so that it may be due for a stage."""
    week = replace(Visits(1, 7 * DAY), at_least=visits_within(lead, at, Visits(1, 7 * DAY)) or 1)
    confirmed = confirmed_bant(lead.profile) or 1
    warm, hot = dice.choice([2.0, 10.0, 25.0]), dice.choice([30.0, 50.0])
    low = (dice.choice(["NONE", "NURTURE"]), "LOW_TOUCH")
    return replace(
        model,
        version="other",
        digest="other",
        matrix=Matrix(dice.choice([0.0, 40.0]), warm, hot, ("NONE", "NURTURE", "SALES"), ("NONE", *low)),
        mql=replace(
            model.mql,
            interest=warm,
            fit=dice.choice([0.0, 40.0, lead.fit]),
            requires=dice.choice([(), ("email",), ("phone",)]),
            blocked_by=dice.choice([None, when("lead_profile", unsubscribed=True)]),
        ),
        sql_paths=tuple(
            replace(
                path,
                interest=None if path.interest is None else dice.choice([5.0, 20.0, 60.0]),
                fit=dice.choice([None, 0.0, lead.fit, 60.0]),
                visits=dice.choice([path.visits, week, None]),
                bant=None if path.bant is None else dice.choice([confirmed, 3]),
            )
            for path in dice.sample(model.sql_paths, len(model.sql_paths))
        ),
        sql_blocked_by=dice.choice([None, when("lead_profile", budget="ABSENT")]),
        negative_personas=(),
    )


@MORE
@given(CASES, LATER, st.integers(0, 2**32))
def test_nothing_is_missing_to_a_stage_just_where_the_core_would_grant_it(
    case: tuple[Model, Sequence[Happening]], later: int, seed: int
) -> None:
    model, lead = lead_of(case)
    at = lead.as_of + later
    turn = Turn(lead.copy(), other_demands(model, lead, at, Random(seed)))
    lacking = missing_to_paths(turn, at)
    open_paths = [path.name for path in lacking if not path.missing]
    may_be = not missing_to_mql(turn, at)
    if turn.lead.stage in (VISITOR, LEAD, MQL):
        path = sql_path(turn, at)
        assert open_paths[:1] == ([path.name] if path is not None else [])
        assert may_be == may_be_mql(turn, at)
        before = turn.lead.stage
        judge(turn, at, "PROFILE")
        if open_paths:
            assert turn.lead.stage == SQL
        elif before != MQL:
            assert turn.lead.stage == (MQL if may_be else before)
    else:
        assert open_paths == []
        assert not may_be


@given(CASES, LATER)
def test_what_lies_ahead_is_what_time_brings_about_and_an_mql_cools_when_it_was_told(
    case: tuple[Model, Sequence[Happening]], later: int
) -> None:
    model, lead = lead_of(case)
    at = lead.as_of + later
    found = explain(lead, at, model)
    assume(found is not None and found.ahead)
    assert found is not None
    last = found.ahead[-1].at
    _, out = advance(lead, last, model)
    told = [one for one in found.ahead if one.cause != "INACTIVE" or one.from_stage != one.to_stage]
    assert told == [one for one in steps_of(out) if one.at > at]
    left = [one for one in told if one.from_stage == MQL and one.to_stage != MQL]
    if found.stage == MQL and left and left[0].cause in ("COOLED", "INACTIVE"):
        assert left[0].at == found.qualified_until


# --- by hand --------------------------------------------------------------------------------------------


def test_a_lead_lacks_interest_fit_and_its_address_for_an_mql() -> None:
    lead = known(profile(days(0), employees=500), pricing(days(0)))
    found = explained(lead, days(0))
    assert found.to_mql == (
        Missing("interest", 10.0, 20),
        Missing("fit", 25.0, 40),
        Missing("contact", names=("email",)),
    )
    assert {path.name: path.missing for path in found.to_sql} == {
        "demo": (Missing("fact", names=("demo_booked",)),),
        "hot": (Missing("interest", 10.0, 60), Missing("fit", 25.0, 40)),
        "returning": (
            Missing("fact", names=("buyers_content",), within_ms=30 * DAY),
            Missing("visits", 1, 3, within_ms=14 * DAY),
            Missing("fit", 25.0, 40),
        ),
        "bant": (Missing("interest", 10.0, 30), Missing("fit", 25.0, 40), Missing("bant", 0, 3)),
    }


def test_three_of_budget_authority_need_and_timeline_are_three() -> None:
    lead = known(buyer(days(0), budget="CONFIRMED", need="CONFIRMED", timeline="CONFIRMED"), pricing(days(0)))
    paths = {path.name: path.missing for path in explained(lead, days(0)).to_sql}
    assert paths["bant"] == (Missing("interest", 10.0, 30),)


def test_a_matrix_that_has_no_place_for_whom_the_thresholds_take_is_told_of() -> None:
    model = replace(DEFAULT, matrix=replace(DEFAULT.matrix, high_fit=100.0))
    lead = known(buyer(days(0)), pricing(days(0)), pricing(days(0)), model=model)
    assert explained(lead, days(0), model).to_mql == (Missing("cell", names=("NONE",)),)


def test_what_blocks_is_told_in_the_words_of_the_model() -> None:
    lead = known(buyer(days(0), unsubscribed=True, budget="ABSENT"), pricing(days(0)), pricing(days(0)))
    found = explained(lead, days(0))
    assert found.to_mql == (Missing("blocked", names=("unsubscribed is true",)),)
    assert all(Missing("blocked", names=("budget is ABSENT",)) in path.missing for path in found.to_sql)


def test_who_rests_lacks_the_end_of_it_but_not_for_a_demo_that_is_booked_anew() -> None:
    lead = known(buyer(days(0)), booking(days(0)), feedback(days(1), "REJECTED"))
    found = explained(lead, days(2))
    assert found.resting_until == days(31)
    rests = Missing("rest", until=days(31))
    assert found.to_mql is not None
    assert rests in found.to_mql
    paths = {path.name: path.missing for path in found.to_sql}
    assert paths["demo"] == (Missing("fact", names=("demo_booked",), after=days(1)),)
    assert rests in paths["hot"]
    assert ("REST_ENDED", days(31)) in [(one.cause, one.at) for one in found.ahead]


def test_whom_a_persona_disqualified_lacks_a_stage_from_which_to_qualify() -> None:
    found = explained(known(buyer(days(0), job_title="student"), pricing(days(0))), days(0))
    assert (found.stage, found.persona) == ("disqualified", "student")
    assert found.to_mql is not None
    assert Missing("stage", names=("disqualified",)) in found.to_mql


def test_an_sql_lacks_nothing_and_waits_for_sales() -> None:
    found = explained(known(buyer(days(0)), booking(days(0))), days(0))
    assert (found.stage, found.route, found.to_mql, found.to_sql) == ("sql", "SALES", None, ())
    assert found.respond_by == days(1)
    assert [(one.at, one.cause) for one in found.ahead[:2]] == [(days(1), "SLA_BREACHED"), (days(14), "GAVE_UP")]


def test_what_would_decide_a_stage_that_a_lead_has_already_is_not_asked_for() -> None:
    def decided(*events: Event) -> set[str]:
        return {one.decides for one in explained(known(*events), days(0)).unknown}

    lead = profile(days(0), employees=500)
    assert decided(lead) == {"fit", "persona", "mql_requires", "mql_blocked", "sql_path", "sql_blocked"}
    mql = (profile(days(0), **{**BUYER, "industry": None}), pricing(days(0)), pricing(days(0)))
    assert decided(*mql) == {"fit", "sql_path", "sql_blocked"}
    assert decided(*mql, booking(days(0))) == {"fit"}


def test_inactivity_points_are_ahead_though_they_change_no_stage() -> None:
    found = explained(known(buyer(days(0)), page_view(days(0))), days(0))
    assert [(one.at, one.cause, one.from_stage, one.to_stage) for one in found.ahead] == [
        (days(30), "INACTIVE", "lead", "lead")
    ]


def test_a_visitor_is_forgotten_in_the_end_and_then_there_is_nothing_to_explain() -> None:
    lead = known(download(days(0)))
    assert explained(lead, days(0)).ahead[-1].cause == "EXPIRED"
    assert explain(lead, days(180), DEFAULT) is None


@pytest.mark.parametrize("day", [0, 3, 25])
def test_an_mql_is_explained_as_of_any_later_time(day: int) -> None:
    lead = known(buyer(days(0)), pricing(days(0)), pricing(days(0)))
    found = explained(lead, days(day))
    assert found.interest == pytest.approx(20.0 * 2 ** (-day / 30))
    assert found.to_mql is None
    assert found.profile is not None
    assert found.profile["email"] == BUYER["email"]


def test_who_has_cooled_meanwhile_is_told_to_have() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), pricing(days(0)))
    assert lead.stage == "mql"
    until = explained(lead, days(1)).qualified_until
    assert until is not None
    found = explained(lead, until + DAY)
    assert found.stage == "lead"
    assert [(one.at, one.from_stage, one.to_stage) for one in found.meanwhile] == [(until, "mql", "lead")]
