"""Conditions: what `when:` may say, and when it holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.qualification.model.conditions import Condition, ConditionError, compile_condition
from streams.qualification.model.fields import FIELDS
from streams.qualification.model.patterns import compile_globs
from streams.topics import TOPICS

SCHEMAS = Path(__file__).parents[4] / "schemas"


def on(kind: str, **spec: Any) -> Condition:
    return compile_condition(spec, FIELDS[kind])


def page(spec: Any, url: str | None) -> bool:
    return on("page_view", url=spec).matches({"url": url})


def profile(spec: dict[str, Any], **fields: Any) -> bool:
    return compile_condition(spec, FIELDS["lead_profile"]).matches(fields)


# --- text patterns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        ("student", "Student", True),
        ("student", "Student Affairs Director", False),
        ("*director*", "Student Affairs Director", True),
        ("head of *", "Head  of\tSales", True),
        ("head of *", "  head of sales", True),
        ("head of*", "Ahead of time", False),
        ("*of sales", "Head of\nSales ", True),
        ("*/pricing*", "https://x.example/PRICING?a=1", True),
        ("*/pricing*", "https://x.example/pricey", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*ab*ab*", "xabx", False),
        ("ceo|cto|chief *", "CTO", True),
        ("ceo|cto|chief *", "chief of staff", True),
        ("ceo|cto|chief *", "cfo", False),
        ("ceo | cto", "ceo", True),
        ("what?", "what?", True),
        ("what?", "whats", False),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
        ("*", "", True),
        ("straße", "STRASSE", True),
    ],
)
def test_a_pattern_describes_the_whole_text(pattern: str, text: str, holds: bool) -> None:
    assert page(pattern, text) is holds


def naive_glob(pattern: str, text: str) -> bool:
    """`*` tries every length."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive_glob(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and naive_glob(pattern[1:], text[1:])


def naive(pattern: str, text: str) -> bool:
    def plain(one: str) -> str:
        return " ".join(one.casefold().split())

    return any(naive_glob(plain(part), plain(text)) for part in pattern.split("|"))


ALPHABET = "abAB *.?[\\ \t"


@given(
    st.lists(st.text(ALPHABET, max_size=7).filter(str.strip), min_size=1, max_size=3).map("|".join),
    st.text("abAB .?[\\ \t", max_size=9),
)
@example("a*b*ab", "aab ab")
@example("* b", "a b")
@example("*b ", " b ")
@example("ab|*a b*|b*", " a  b ")
def test_compiled_patterns_agree_with_a_naive_matcher(pattern: str, text: str) -> None:
    assert compile_globs([pattern])(text) is naive(pattern, text)


def test_a_pattern_with_many_stars_takes_no_longer_on_a_text_made_to_hurt_it() -> None:
    """A backtracking matcher would need longer than anybody waits."""
    assert compile_globs(["*a" * 25 + "*b"])("a" * 5_000) is False


# --- the other tests ------------------------------------------------------------------------------------


def test_all_fields_of_a_condition_must_hold() -> None:
    spec = {"employees": {"at_least": 200}, "industry": "software", "country": ["DE", "AT"]}
    assert profile(spec, employees=200, industry="Software", country="at")
    assert not profile(spec, employees=199, industry="Software", country="at")
    assert not profile(spec, employees=200, industry="Software", country="ch")


def test_one_field_is_enough_where_any_blocks() -> None:
    spec = {"unsubscribed": True, "country": "cuba"}
    blocks = compile_condition(spec, FIELDS["lead_profile"], any_of=True)
    assert blocks.matches({"country": "Cuba"})
    assert blocks.matches({"unsubscribed": True, "country": "Chile"})
    assert not blocks.matches({"unsubscribed": False, "country": "Chile"})
    assert blocks.text == "unsubscribed is true or country is cuba"


def test_an_empty_condition_always_holds() -> None:
    always = compile_condition({}, FIELDS["page_view"])
    assert always.always
    assert always.matches({})
    assert not on("page_view", url="*").always


@pytest.mark.parametrize(
    "spec",
    [
        {"industry": "*"},
        {"employees": {"at_most": 5}},
        {"employees": 0},
        {"unsubscribed": False},
        {"budget": "ABSENT"},
        {"job_title": {"has": "head"}},
        {"job_title": {"matches": ".*"}},
        {"attributes.plan": "*"},
        {"attributes.seats": {"at_least": -1}},
        {"attributes": {"has": "plan"}},
    ],
    ids=str,
)
def test_what_is_unknown_meets_no_test(spec: dict[str, Any]) -> None:
    unknown = dict.fromkeys(FIELDS["lead_profile"])
    assert not profile(spec)
    assert not profile(spec, **unknown)
    assert not profile(spec, attributes={})


def test_only_lacks_holds_for_what_is_unknown() -> None:
    assert profile({"job_title": {"lacks": "student"}})
    assert profile({"attributes.plan": {"lacks": "free"}}, attributes=None)
    assert profile({"attributes": {"lacks": "plan"}}, attributes=None)
    assert not profile({"job_title": {"lacks": "student", "has": "engineer"}})


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ({"at_least": 50}, True),
        ({"at_least": 50.5}, False),
        ({"at_most": 50}, True),
        ({"between": [50, 60]}, True),
        ({"between": [10, 49]}, False),
        ({"at_least": 10, "at_most": 49}, False),
        ({"at_least": 10, "at_most": 50}, True),
        (50, True),
        (50.0, True),
        ([10, 50], True),
        ([10, 51], False),
    ],
    ids=str,
)
def test_numbers_are_compared_inclusively(test: Any, holds: bool) -> None:
    assert profile({"employees": test}, employees=50) is holds


@pytest.mark.parametrize(
    ("words", "title", "has"),
    [
        ("student", "Student Affairs", True),
        ("student", "Studentship", False),
        ("vice president", "Senior Vice-President, EMEA", True),
        ("vice president", "Vice acting president", False),
        ("c++", "C++ developer", True),
        ("vp", "MVP owner", False),
        ("annual_report", "annual_report.pdf", True),
        ("report", "annual_report.pdf", True),
        (["intern", "trainee"], "Trainee (legal)", True),
        (["intern", "trainee"], "International", False),
    ],
)
def test_words_are_found_whole(words: Any, title: str, has: bool) -> None:
    assert profile({"job_title": {"has": words}}, job_title=title) is has
    assert profile({"job_title": {"lacks": words}}, job_title=title) is not has


def test_a_regular_expression_searches_without_regard_to_case() -> None:
    assert page({"matches": r"/blog/\d{4}/"}, "https://x.example/Blog/2026/a")
    assert not page({"matches": r"/blog/\d{4}/"}, "https://x.example/blog/latest")


def test_attributes_are_read_as_the_test_needs_them() -> None:
    known = {"plan": "Gold", "seats": "12", "vip": "true", "zip": "010"}
    for spec in (
        {"attributes.plan": "gold|silver"},
        {"attributes.seats": {"at_least": 10, "at_most": 12}},
        {"attributes.seats": 12},
        {"attributes.vip": True},
        {"attributes.zip": "010"},
        {"attributes": {"has": ["plan", "team"], "lacks": "trial"}},
    ):
        assert profile(spec, attributes=known), spec
    assert not profile({"attributes.plan": {"at_least": 1}}, attributes=known)
    for text in ("inf", "1e999", "nan"):
        assert not profile({"attributes.seats": {"at_least": 1}}, attributes={"seats": text})
    assert not profile({"attributes": {"has": "Plan"}}, attributes=known)


def test_a_condition_says_itself_in_words() -> None:
    assert on("page_view", url="*/pricing*").text == "url is */pricing*"
    assert on("demo_booking", status=["BOOKED", "ATTENDED"]).text == "status is BOOKED or ATTENDED"
    both = on("lead_profile", employees={"between": [10, 1e3]}, job_title={"lacks": "intern"})
    assert both.text == "employees between 10 and 1000 and job_title lacks intern"
    assert both.fields == {"employees", "job_title"}


def test_conditions_that_ask_the_same_are_equal() -> None:
    assert on("page_view", url="*/a*") == on("page_view", url="*/a*")
    assert on("page_view", url="*/a*") != on("page_view", url="*/b*")


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("page_view", "pricing", 'when: found "pricing", expected fields with tests'),
        ("page_view", {"ulr": "x"}, "when.ulr: no such field; did you mean url?"),
        ("page_view", {"attributes.x": "x"}, "no such field"),
        ("activity", {"attributes.": "x"}, "no such field"),
        ("page_view", {"url": True}, "found true, expected a text pattern"),
        ("page_view", {"url": ""}, "found an empty text"),
        ("page_view", {"url": ["a", "b||c"]}, "when.url[1]: found an empty alternative"),
        ("page_view", {"url": []}, "found an empty list"),
        ("page_view", {"url": None}, "found nothing"),
        ("page_view", {"url": {}}, "found no test; allowed: has, lacks, matches"),
        ("page_view", {"url": {"at_least": 5}}, "when.url.at_least: no test of a text field"),
        ("page_view", {"url": {"hass": "x"}}, "no such test; did you mean has?"),
        ("page_view", {"url": {"has": " "}}, "expected words"),
        ("page_view", {"url": {"matches": "a(b"}}, "not a regular expression: missing ), unterminated"),
        ("page_view", {"url": {"matches": "a(b"}}, "at character 2"),
        ("page_view", {"duration_ms": "*5*"}, 'found "*5*", expected a number'),
        ("page_view", {"duration_ms": True}, "found true, expected a number"),
        ("page_view", {"duration_ms": {"at_least": float("nan")}}, "expected a number"),
        ("page_view", {"duration_ms": {"between": [5]}}, "expected two numbers"),
        ("page_view", {"duration_ms": {"between": [9, 5]}}, "expected the smaller number first"),
        ("page_view", {"duration_ms": {"between": [9, "x"]}}, "when.duration_ms.between[1]: "),
        ("demo_booking", {"status": "booked"}, 'found "booked"; did you mean BOOKED?'),
        ("demo_booking", {"status": ["BOOKED", "HELD"]}, "when.status[1]: "),
        ("demo_booking", {"status": "UNKNOWN"}, "UNKNOWN stands for what is not known"),
        ("lead_profile", {"unsubscribed": "yes"}, 'found "yes", expected true or false'),
        ("lead_profile", {"attributes": "plan"}, "expected has: KEY, lacks: KEY, or attributes.KEY"),
        ("lead_profile", {"attributes.plan": {"between": "x"}}, "when.attributes.plan.between: "),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(kind: str, spec: Any, says: str) -> None:
    with pytest.raises(ConditionError, match=re.escape(says)):
        compile_condition(spec, FIELDS[kind])


# --- the table of fields --------------------------------------------------------------------------------

TYPES = {"string": "text", "long": "number", "int": "number", "double": "number", "boolean": "boolean"}


def described(avro: Any) -> tuple[str, frozenset[str]] | None:
    """Type and symbols that the fields table should give, None for times."""
    if isinstance(avro, list):
        (avro,) = (one for one in avro if one != "null")
    if isinstance(avro, str):
        return (TYPES[avro], frozenset()) if avro in TYPES else ("symbol", frozenset({"CONFIRMED", "ABSENT"}))
    if avro["type"] == "enum":
        return "symbol", frozenset(avro["symbols"]) - {"UNKNOWN"}
    if avro["type"] == "map":
        return "attributes", frozenset()
    return None if "logicalType" in avro else (TYPES[avro["type"]], frozenset())


@pytest.mark.parametrize("kind", FIELDS)
def test_the_fields_are_those_of_the_schema(kind: str) -> None:
    (topic,) = (topic for topic in TOPICS.values() if topic.kind == kind)
    schema = json.loads((SCHEMAS / f"{topic.name}.avsc").read_text())
    wanted = {
        field["name"]: described(field["type"])
        for field in schema["fields"]
        if field["name"] not in ("event_id", "lead_id") and described(field["type"]) is not None
    }
    assert {name: (field.type, frozenset(field.symbols)) for name, field in FIELDS[kind].items()} == wanted


def test_conditions_are_equal_when_they_ask_the_same_whatever_the_words() -> None:
    def asked(**spec: object) -> Condition:
        return compile_condition(spec, FIELDS["download"])

    assert asked(title="trial|demo").text == asked(title="trial or demo").text
    assert asked(title="trial|demo") != asked(title="trial or demo")
    assert asked(title="a", funnel_stage="TOP") == asked(funnel_stage="TOP", title=["a"])
    assert len({asked(title="a"), asked(title="a"), asked(title="b")}) == 2
