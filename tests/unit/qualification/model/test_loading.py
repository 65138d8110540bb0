"""Model files: what loads, and how durations are read."""

from __future__ import annotations

from importlib.resources import files
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_model import SMALL

from streams.qualification.model.loading import load_model
from streams.qualification.model.units import LONGEST_MS, format_duration, parse_duration, parse_per_day
from streams.qualification.model.values import Inactivity, PointsPer, Rest, Sla, Visits

DAY = 86_400_000
DEFAULT = (files("streams.qualification.model") / "default.yaml").read_text(encoding="utf-8")


def test_the_default_model_says_what_its_file_says() -> None:
    model = load_model(DEFAULT, "default.yaml")
    assert model.version == "default-2026-11"
    assert model.groups["web"].half_life_ms == 30 * DAY
    assert (model.groups["web"].cap, model.groups["disengagement"].floor) == (40.0, -60.0)
    assert [rule.name for rule in model.rules["page_view"]] == [
        "pricing page",
        "case study",
        "page",
        "time on page",
    ]
    pricing, _, page, time = model.rules["page_view"]
    assert (pricing.points, pricing.at_most, pricing.also, pricing.group) == (10.0, 2, False, "web")
    assert page.when.always
    assert time.points_per == PointsPer("duration_ms", 60_000.0, 1.0, 5)
    assert time.also
    assert model.inactivity == Inactivity(30 * DAY, "disengagement", -10.0)
    assert [fact.name for fact in model.facts_on["demo_booking"]] == ["demo_booked"]
    until = model.facts["demo_booked"].until
    assert until is not None
    assert until.matches({"status": "NO_SHOW"})
    assert sum(rule.points for rule in model.fit) == 70
    assert model.fit[0].name == "employees at least 200"
    assert model.band(59.9) == "B"
    assert model.band(0) == "D"
    assert model.matrix.cell(40, 60) == "SALES"
    assert model.mql.requires == ("email",)
    assert model.mql.blocked_by is not None
    assert model.mql.blocked_by.matches({"unsubscribed": True})
    returning = model.sql_paths[2]
    assert (returning.fact, returning.within_ms) == ("buyers_content", 30 * DAY)
    assert returning.visits == Visits(3, 14 * DAY)
    assert model.sql_blocked_by is not None
    assert model.sql_blocked_by.matches({"budget": "ABSENT"})
    assert model.sla == Sla(DAY, 14 * DAY)
    assert model.rest == Rest(30 * DAY, {"no_budget": 90 * DAY, "competitor": None})
    assert model.noise.internal == (ip_network("10.0.0.0/8"),)


def test_a_small_model_gets_defaults_for_the_rest() -> None:
    model = load_model(SMALL)
    assert model.inactivity is None
    assert model.sla is None
    assert model.facts == {}
    assert model.fit == ()
    assert model.negative_personas == ()
    assert model.fit_bands == (("A", 60.0), ("B", 40.0), ("C", 20.0))
    assert model.rest == Rest(30 * DAY, {})
    assert (model.visitor_ttl_ms, model.grace_ms) == (180 * DAY, 120_000)
    assert (model.noise.scanner_window_ms, model.noise.internal, model.noise.bots) == (10_000, (), True)
    assert (model.mql.hysteresis, model.mql.requires, model.mql.blocked_by) == (0.5, (), None)


def test_an_optional_key_with_nothing_behind_it_is_as_good_as_absent() -> None:
    assert load_model(SMALL + "facts:\nsla:\n") == load_model(SMALL)


def test_words_that_old_yaml_takes_for_booleans_are_texts() -> None:
    model = load_model(SMALL + "fit:\n  - {when: {country: [NO, yes, off]}, points: 5}\n")
    assert model.fit[0].when.text == "country is NO or yes or off"
    assert model.fit[0].when.matches({"country": "no"})


def test_numbers_keep_the_zeros_they_begin_with() -> None:
    model = load_model(SMALL + "fit: [{when: {attributes.zip: 01067}, points: 5}]")
    assert model.fit[0].when.matches({"attributes": {"zip": "01067"}})
    assert not model.fit[0].when.matches({"attributes": {"zip": "1067"}})


def test_a_version_may_look_like_a_number() -> None:
    assert load_model(SMALL.replace("small-1", "2026.10")).version == "2026.10"


def test_rest_may_be_for_ever() -> None:
    assert load_model(SMALL + "rest: {default: never}").rest.lasts("whatever") is None


@pytest.mark.parametrize("written", ["12", "1.5", "1.50", "+49301234", "-0", "12e4", "2.10", "007"])
def test_a_text_is_what_stands_in_the_file_though_it_may_be_a_number(written: str) -> None:
    model = load_model(
        SMALL.replace("points: 1}", f"points: 1, when: {{title: {written}, session_id: [{written}, x]}}}}")
    )
    (rule,) = model.rules["page_view"]
    assert rule.when.matches({"title": written, "session_id": written})
    assert not rule.when.matches({"title": f"{written}0", "session_id": "x"})


@pytest.mark.parametrize("written", ["100", "1e2", "1E+2", "100.", "1.0e2", "+100.0", "1000e-1"])
def test_a_number_may_be_written_in_any_way_that_yaml_has(written: str) -> None:
    model = load_model(SMALL.replace("{half_life: 30d}", f"{{half_life: 30d, cap: {written}}}"))
    assert model.groups["web"].cap == 100.0
    told = load_model(SMALL.replace("points: 1}", f"points: 1, when: {{duration_ms: {{at_least: {written}}}}}}}"))
    assert [told.rules["page_view"][0].when.matches({"duration_ms": one}) for one in (99, 100)] == [False, True]


@given(st.integers(0, LONGEST_MS))
def test_a_duration_is_read_as_it_is_written(duration_ms: int) -> None:
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("30d", 30 * DAY), ("12h", DAY // 2), ("45m", 2_700_000), ("90s", 90_000), ("5ms", 5), ("2 d", 2 * DAY)],
)
def test_durations_have_a_number_and_a_unit(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize("text", ["", "30", "d", "1.5h", "-1d", "1d12h", "1w", "٣d", "1 000d", "1D"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- the text itself, for the caller to explain
        parse_duration(text)


def test_a_frequency_is_so_many_per_day() -> None:
    assert parse_per_day("3 per day") == 3
    for text in ("3", "0 per day", "3 per week", "three per day"):
        with pytest.raises(ValueError, match=text):
            parse_per_day(text)
