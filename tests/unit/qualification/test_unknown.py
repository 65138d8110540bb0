"""What is not known of a lead and would matter: no more than that, and no less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

from handmade import BUYER, DEFAULT, when
from hypothesis import given
from hypothesis import strategies as st

from streams.qualification.fit import confirmed_bant, fit_of, persona_of
from streams.qualification.model.conditions import Condition, compile_condition
from streams.qualification.model.fields import FIELDS
from streams.qualification.model.values import FitRule, Model, Persona
from streams.qualification.unknown import Unknown, unknown_facts

#: Values that meet and that fail the tests below.
VALUES: Mapping[str, tuple[Any, ...]] = {
    "employees": (10, 500),
    "industry": ("software", "farming"),
    "job_title": ("Director of Sales", "student"),
    "country": ("DE", "US"),
    "unsubscribed": (True, False),
    "budget": ("CONFIRMED", "ABSENT"),
    "need": ("CONFIRMED", "ABSENT"),
    "email": ("vera@example.com",),
    "attributes.plan": ("pro", "free"),
    "attributes.seats": ("40", "many"),
}
_TESTS: Mapping[str, tuple[Any, ...]] = {
    "employees": ({"at_least": 200}, {"at_most": 50}),
    "industry": (["software", "finance"], {"lacks": "farming"}),
    "job_title": ("*director*", {"lacks": "student"}),
    "country": ("DE",),
    "unsubscribed": (True,),
    "budget": ("ABSENT",),
    "attributes.plan": ("pro", {"lacks": "free"}),
    "attributes.seats": ({"at_least": 20},),
    "attributes": ({"has": "plan"}, {"lacks": "seats"}),
}


def drawn_condition(dice: Random, *, any_of: bool = False) -> Condition:
    fields = dice.sample(list(_TESTS), dice.choice([1, 1, 2, 3]))
    spec = {name: dice.choice(_TESTS[name]) for name in fields}
    return compile_condition(spec, FIELDS["lead_profile"], any_of=any_of)


def drawn_model(dice: Random) -> Model:
    points = [float(dice.choice([-15, 5, 10, 25])) for _ in range(dice.randint(0, 6))]
    requires = tuple(dice.sample(["email", "country"], dice.randint(0, 2)))
    return replace(
        DEFAULT,
        version="drawn",
        fit=tuple(FitRule(f"rule {n}", drawn_condition(dice), one) for n, one in enumerate(points)),
        negative_personas=tuple(Persona(f"persona {n}", drawn_condition(dice)) for n in range(dice.randint(0, 2))),
        mql=replace(DEFAULT.mql, requires=requires, blocked_by=drawn_condition(dice, any_of=True)),
        sql_blocked_by=dice.choice([None, drawn_condition(dice, any_of=True)]),
    )


def with_facts(profile: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in facts.items() if not name.startswith("attributes.")}
    attributes = {name.removeprefix("attributes."): facts[name] for name in facts if name.startswith("attributes.")}
    attributes = {**profile.get("attributes", {}), **attributes}
    return {**profile, **flat, **({"attributes": attributes} if attributes else {})}


def drawn_facts(dice: Random, profile: Mapping[str, Any]) -> dict[str, Any]:
    """Values of some facts that are not known of the profile."""
    known = {*profile, *(f"attributes.{key}" for key in profile.get("attributes", {}))}
    unknown = [name for name in VALUES if name not in known]
    return {name: dice.choice(VALUES[name]) for name in dice.sample(unknown, dice.randint(0, len(unknown)))}


def condition_of(one: Unknown, model: Model) -> Condition:
    """The condition that an entry is about."""
    if one.decides == "fit":
        return next(rule.when for rule in model.fit if rule.name == one.name)
    if one.decides == "persona":
        return next(persona.when for persona in model.negative_personas if persona.name == one.name)
    found = model.mql.blocked_by if one.decides == "mql_blocked" else model.sql_blocked_by
    assert found is not None
    return found


OF_CONDITIONS = ("fit", "persona", "mql_blocked", "sql_blocked")


@given(st.integers(0, 2**32))
def test_whatever_becomes_known_changes_fit_by_the_points_that_were_told_and_nothing_that_was_not(seed: int) -> None:
    dice = Random(seed)
    model = drawn_model(dice)
    profile = with_facts({}, drawn_facts(dice, {}))
    told = unknown_facts(profile, model)
    learnt = with_facts(profile, drawn_facts(dice, profile))
    turned = [
        one
        for one in told
        if one.decides in OF_CONDITIONS and (bool(learnt) and condition_of(one, model).matches(learnt)) != one.holds
    ]
    gained = sum(one.points for one in turned if one.decides == "fit")
    assert fit_of(learnt, model) - fit_of(profile, model) == gained
    if not any(one.decides == "persona" for one in turned):
        before, after = (persona_of(one, model) if one else None for one in (profile, learnt))
        assert before == after
    for decides, condition in (("mql_blocked", model.mql.blocked_by), ("sql_blocked", model.sql_blocked_by)):
        if profile and condition is not None and condition.matches(profile) != condition.matches(learnt):
            assert decides in {one.decides for one in turned}
    lacking = {field for field in model.mql.requires if profile.get(field) is None}
    assert {one.facts for one in told if one.decides == "mql_requires"} == {(field,) for field in lacking}


@given(st.integers(0, 2**32))
def test_what_is_told_is_not_known_and_can_turn_the_rule(seed: int) -> None:
    dice = Random(seed)
    model = drawn_model(dice)
    profile = with_facts({"name": "Vera"}, drawn_facts(dice, {}))
    for one in unknown_facts(profile, model):
        if one.decides not in OF_CONDITIONS or ("attributes" in one.facts and len(one.facts) > 1):
            continue  # the map and its keys do not become known one without the other
        asked = [name if name != "attributes" else "attributes.plan" for name in one.facts]
        pools = [(None, *VALUES[name]) for name in asked]
        if "attributes" in one.facts:
            asked.append("attributes.seats")
            pools.append((None, *VALUES["attributes.seats"]))
        tried = [
            with_facts(profile, {name: value for name, value in zip(asked, values, strict=True) if value is not None})
            for values in product(*pools)
        ]
        assert any(condition_of(one, model).matches(learnt) != one.holds for learnt in tried), one
        assert not {name for name in one.facts if name != "attributes" and profile.get(name) is not None}


def fit_told(profile: Mapping[str, Any], model: Model = DEFAULT) -> list[tuple[tuple[str, ...], float]]:
    return [(one.facts, one.points) for one in unknown_facts(profile, model) if one.decides == "fit"]


def test_what_is_known_and_does_not_match_is_not_unknown() -> None:
    assert fit_told({"employees": 10, "job_title": "clerk"}) == [(("industry",), 20.0)]
    assert fit_told(BUYER) == []


def test_of_a_rule_about_several_facts_each_unknown_one_is_named_unless_another_settles_it() -> None:
    both = FitRule("both", when("lead_profile", country="DE", employees={"at_least": 5}), 9.0)
    model = replace(DEFAULT, fit=(both,))
    assert fit_told({"name": "Vera"}, model) == [(("country", "employees"), 9.0)]
    assert fit_told({"country": "DE"}, model) == [(("employees",), 9.0)]
    assert fit_told({"country": "US"}, model) == []


def test_points_for_what_a_fact_lacks_may_be_lost_when_it_becomes_known() -> None:
    lacking = FitRule("no student", when("lead_profile", job_title={"lacks": "student"}), 5.0)
    assert fit_told({"name": "Vera"}, replace(DEFAULT, fit=(lacking,))) == [(("job_title",), -5.0)]


def test_budget_authority_need_and_timeline_are_asked_for_while_they_can_suffice() -> None:
    def asked(**profile: str) -> list[tuple[str, ...]]:
        return [one.facts for one in unknown_facts(profile, DEFAULT) if one.decides == "sql_path"]

    assert confirmed_bant({"budget": "CONFIRMED"}) == 1
    assert asked(budget="CONFIRMED") == [("authority", "need", "timeline")]
    assert asked(budget="ABSENT", need="ABSENT") == []
    assert asked(budget="CONFIRMED", need="CONFIRMED", timeline="CONFIRMED") == []
