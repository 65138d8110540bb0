"""`check_model`: contradictions, dead ends, and the shortest ways with how long they last."""

from __future__ import annotations

from importlib.resources import files
from math import log2
from pathlib import Path

import pytest

from streams.qualification.decay import value_at
from streams.qualification.model.check import Report, check_model
from streams.qualification.model.loading import load_model
from streams.qualification.model.ways import MOST_TRIED, Way, in_words

DAY = 86_400_000
DEFAULT = (files("streams.qualification.model") / "default.yaml").read_text(encoding="utf-8")
SCHOOL = Path(__file__).parents[4] / "deploy" / "models" / "x-education.yaml"

SMALL = """\
model: small-1
groups:
  web: {half_life: 30d, cap: 90}
interest:
  - {name: page, on: page_view, group: web, points: 10, at_most: 3 per day}
fit: [{when: {employees: {at_least: 1}}, points: 40}]
fit_bands: {A: 40}
matrix:
  fit: {high: 40}
  interest: {warm: 20, hot: 60}
  cells: {high: [NONE, NURTURE, SALES], low: [NONE, NONE, LOW_TOUCH]}
mql: {interest: 20, fit: 40}
sql: {paths: [{name: hot, interest: 60, fit: 40}]}
"""


def report(*changes: tuple[str, str], text: str = SMALL) -> Report:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return check_model(load_model(text))


def way(report: Report, stage: str, *steps: tuple[int, str], days: int = 1, path: str | None = None) -> Way:
    (found,) = (
        one
        for one in report.ways
        if one.stage == stage and one.steps == steps and one.days == days and (path is None or one.path == path)
    )
    return found


def test_of_very_many_rules_the_strongest_are_tried() -> None:
    rules = "".join(
        f'  - {{name: r{n}, on: page_view, when: {{url: "*/x{n}*"}}, group: web, points: {n / 20}, also: true}}\n'
        for n in range(1, 481)
    )
    checked = report(("interest:\n", f"interest:\n{rules}"))
    assert way(checked, "MQL", (1, "r480")).lasts_ms
    assert all(int(name[1:]) > 480 - MOST_TRIED for one in checked.ways for _, name in one.steps)


# --- times that flood ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("sla: {respond_within: 5s, give_up: 14d}", "sla.respond_within is 5s"),
        ("sla: {respond_within: 5s, give_up: 20s}", "sla.give_up is 20s"),
        ("rest: {default: 59s}", "rest.default is 59s"),
        ("rest: {reasons: {no_budget: 1s}}", "rest.reasons.no_budget is 1s"),
        ("inactivity: {after: 1s, group: web, points: -1}", "inactivity.after is 1s"),
        ("visitor_ttl: 30s", "visitor_ttl is 30s"),
        (
            "sla: {respond_within: 5m, give_up: 20m}\nrest: {default: 10m}",
            "an SQL that nobody answers is given up and back with sales after 30m",
        ),
    ],
)
def test_times_so_short_that_they_flood_are_warned_of(section: str, says: str) -> None:
    checked = report(text=SMALL + section)
    assert checked.ok
    assert [warning for warning in checked.warnings if says in warning], checked.warnings


def test_points_that_fade_within_a_minute_are_warned_of() -> None:
    assert any("groups.web.half_life is 500ms" in one for one in report(("30d", "500ms")).warnings)


def test_times_of_minutes_and_more_are_not_warned_of() -> None:
    assert report(text=SMALL + "sla: {respond_within: 1m, give_up: 2h}\nvisitor_ttl: 1m\n").warnings == ()


def test_a_rest_without_end_of_leads_that_nobody_answered_is_warned_of() -> None:
    never = "rest: {default: never}\n"
    assert report(text=SMALL + never).warnings == ()
    (warning,) = report(text=SMALL + "sla: {respond_within: 1m, give_up: 2h}\n" + never).warnings
    assert "nobody answers in time is disqualified" in warning


# --- contradictions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [SMALL, DEFAULT, SCHOOL.read_text(encoding="utf-8")], ids=["small", "default", "school"]
)
def test_a_model_whose_cells_agree_with_its_thresholds_works_without_warnings(text: str) -> None:
    checked = check_model(load_model(text))
    assert checked.ok
    assert checked.problems == ()
    assert checked.warnings == ()
    assert {way.stage for way in checked.ways} == {"MQL", "SQL"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("mql: {interest: 20", "mql: {interest: 25"), "matrix.cells.high[1] (warm) is NURTURE, but some"),
        (("mql: {interest: 20, fit: 40}", "mql: {interest: 20, fit: 41}"), "high[1] (warm) is NURTURE, but"),
        (("low: [NONE, NONE,", "low: [NONE, NURTURE,"), "matrix.cells.low[1] (warm) is NURTURE"),
        (("high: [NONE,", "high: [NURTURE,"), "matrix.cells.high[0] (cold) is NURTURE"),
        (("[{name: hot, interest: 60", "[{name: hot, interest: 61"), "high[2] (hot) is SALES, but no path"),
        (("interest: 60, fit: 40}]", "interest: 60, fit: 40, bant: 1}]"), "high[2] (hot) is SALES, but no"),
        (("mql: {interest: 20", "mql: {interest: 70"), "high[2] (hot) is SALES, but some of its leads are below"),
        (("mql: {interest: 20, fit: 40}", "mql: {interest: 20, fit: 41}"), "high[2] (hot) is SALES, but some"),
        (("NURTURE, SALES]", "NONE, SALES]"), "high[1] (warm) is NONE, but some of its leads reach the mql"),
        (("NURTURE, SALES]", "LOW_TOUCH, SALES]"), "high[1] (warm) is LOW_TOUCH, but some"),
        (("mql: {interest: 20", "mql: {interest: 15"), "high[0] (cold) is NONE, but some of its leads reach"),
        (("mql: {interest: 20, fit: 40}", "mql: {interest: 20, fit: 30}"), "low[1] (warm) is NONE, but some"),
        (("NURTURE, SALES]", "NURTURE, NURTURE]"), "high[2] (hot) is NURTURE, but the sql path hot"),
        (("interest: 60, fit: 40}]", "interest: 60}]"), "low[2] (hot) is LOW_TOUCH, but the sql path hot"),
        (("interest: 60, fit: 40}]", "interest: 50, fit: 40}]"), "high[1] (warm) is NURTURE, but the sql"),
    ],
)  # fmt: skip
def test_a_cell_that_contradicts_a_threshold_is_refused(change: tuple[str, str], says: str) -> None:
    checked = report(change)
    assert not checked.ok
    assert any(says in problem for problem in checked.problems), checked.problems
    assert checked.ways == ()


def test_a_row_that_no_fit_reaches_is_not_judged() -> None:
    """A school that takes everybody sets high fit to 0: then nobody's fit is low."""
    everybody = [
        ("fit: {high: 40}", "fit: {high: 0}"),
        ("mql: {interest: 20, fit: 40}", "mql: {interest: 20, fit: 0}"),
    ]
    everybody.append(("interest: 60, fit: 40}]", "interest: 60}]"))
    assert report(*everybody).ok
    assert not report(*everybody, ("points: 40}]", "points: -1}]"), ("{A: 40}", "{A: -2}")).ok


# --- warnings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("  web:", "  idle: {half_life: 1d}\n  web:"), "group idle: no rule gives it points"),
        (("fit: [", "facts: {f: {on: download}}\nfit: ["), "fact f: no sql path asks for it"),
        (("cap: 90", "cap: 50"), "no lead can be hot (60): the groups' caps add up to 50"),
        (("cap: 90", "cap: 50"), "sql path hot: interest 60 is out of reach"),
        (("points: 10,", "points: 100,"), "rule page: of its 100 points the cap of web leaves 90"),
        (("points: 40}]", "points: 30}]"), "no profile can have high fit (40): fit rules give at most 30"),
        (("{A: 40}", "{A: 50}"), "no profile can be in band A (50)"),
        (
            ("interest: 60, fit: 40}]", "interest: 60, fit: 40}, {name: x, fit: 50, bant: 1}]"),
            "sql path x: fit 50",
        ),
        (
            (
                "interest: 60, fit: 40}]",
                "interest: 60, fit: 40}, {name: x, visits: {at_least: 3, within: 1d}}]",
            ),
            "sql path x: 3 visits, one a day, don't fit",
        ),
        (
            ("mql: {interest: 20, fit: 40}", "mql: {interest: 20, fit: 40, hysteresis: 0}"),
            "mql.hysteresis is 0",
        ),
    ],
)
def test_what_can_never_happen_is_worth_a_warning(change: tuple[str, str], says: str) -> None:
    checked = report(change)
    assert checked.ok
    assert any(says in warning for warning in checked.warnings), checked.warnings


def test_a_rule_that_gives_points_when_a_demo_is_called_off_is_worth_a_warning() -> None:
    rule = "when: {status: [BOOKED, ATTENDED]}, group: intent, points: 60"
    warning = "rule demo: gives points for demos that are called off, too: say when, by their status"
    for odd in ("", "when: {status: [BOOKED, CANCELLED]}, ", "when: {product: crm}, ", "when: {status: NO_SHOW}, "):
        assert warning in report((rule, f"{odd}group: intent, points: 60"), text=DEFAULT).warnings, odd
    for sound in ("when: {status: BOOKED, product: crm}, group: intent, points: 60", "group: intent, points: -60"):
        assert warning not in report((rule, sound), text=DEFAULT).warnings, sound


# --- ways -----------------------------------------------------------------------------------------------


def test_repetitions_on_one_day_last_until_they_have_decayed_by_half() -> None:
    found = way(report(), "MQL", (2, "page"))
    lasts = found.lasts_ms
    assert lasts is not None
    assert value_at(20, 0, lasts, 30 * DAY) < 10 <= value_at(20, 0, lasts - 1, 30 * DAY)
    assert found.text == "2 × page on one day: MQL for 30 days"


def test_no_more_counts_on_a_day_than_the_frequency_limit_allows() -> None:
    checked = report(("3 per day", "1 per day"))
    assert [(one.steps, one.days) for one in checked.ways if one.stage == "MQL"] == [(((3, "page"),), 3)]


def test_points_of_earlier_days_have_decayed_when_the_last_is_made() -> None:
    """20 points are reached on the third day only: on the second the first ten are worth less."""
    lasts = way(report(), "MQL", (3, "page"), days=3).lasts_ms
    assert lasts is not None
    total = 10 + value_at(10, 0, DAY, 30 * DAY) + value_at(10, 0, 2 * DAY, 30 * DAY)
    assert lasts == pytest.approx(30 * DAY * log2(total / 10), abs=2)


def test_silence_ends_an_mql_before_decay_does() -> None:
    checked = report(
        ("fit: [", "inactivity: {after: 10d, group: gone, points: -10}\nfit: ["),
        ("  web:", "  gone: {half_life: 30d, floor: -50}\n  web:"),
    )
    assert way(checked, "MQL", (2, "page")).lasts_ms == 10 * DAY


def test_a_cap_shortens_what_much_interest_lasts() -> None:
    """24 points count as 20 until they have decayed to the cap; to half the threshold they decay from 24."""
    reply = way(check_model(load_model(DEFAULT)), "MQL", (2, "reply"))
    assert reply.lasts_ms == pytest.approx(21 * DAY * log2(24 / 10), abs=2)
    assert reply.text == "2 × reply on one day: MQL for 26 days"


def test_rules_that_also_match_count_with_the_first() -> None:
    checked = report(("fit: [", "  - {name: any page, on: page_view, group: web, points: 10, also: true}\nfit: ["))
    assert way(checked, "MQL", (1, "page")).text == "1 × page: MQL for 30 days"


def test_less_hysteresis_means_less_time() -> None:
    checked = report(("mql: {interest: 20, fit: 40}", "mql: {interest: 20, fit: 40, hysteresis: 0.2}"))
    lasts = way(checked, "MQL", (2, "page")).lasts_ms
    assert lasts == pytest.approx(30 * DAY * log2(20 / 16), abs=2)


def test_two_things_together_are_a_way_when_they_are_shorter_than_either_alone() -> None:
    checked = report(
        (
            "  web: {half_life: 30d, cap: 90}",
            "  web: {half_life: 30d, cap: 30}\n  doc: {half_life: 30d, cap: 40}",
        ),
        ("fit: [", "  - {name: guide, on: download, group: doc, points: 20}\nfit: ["),
    )
    assert [one.steps for one in checked.ways if one.stage == "SQL"] == [((2, "page"), (2, "guide"))]
    assert [one.steps for one in checked.ways if one.stage == "MQL"] == [
        ((1, "guide"),),
        ((2, "page"),),
        ((3, "page"),),
    ]


def test_a_fact_alone_is_a_way_to_sql_at_once() -> None:
    found = way(check_model(load_model(DEFAULT)), "SQL", (1, "demo_booked"))
    assert found.text == "1 × demo_booked: SQL at once (path demo)"
    assert found.lasts_ms is None
    assert found.fit is None  # the path asks for none


def test_a_path_names_what_it_needs_besides() -> None:
    checked = check_model(load_model(DEFAULT))
    texts = {one.text for one in checked.ways}
    assert "1 × buyers_content within 30d, given page views on 3 days within 14d: SQL (path returning)" in texts
    bant = way(checked, "SQL", (3, "webinar"), path="bant")
    assert bant.needs == ("3 of budget, authority, need and timeline confirmed",)


@pytest.mark.parametrize(
    ("length_ms", "words"),
    [
        (11 * DAY + DAY // 2, "11 days"),
        (2 * DAY - 1, "47 hours"),
        (3_600_000, "1 hour"),
        (60_000, "1 minute"),
        (59_999, "less than a minute"),
    ],
)
def test_lengths_of_time_are_rounded_down(length_ms: int, words: str) -> None:
    assert in_words(length_ms) == words
