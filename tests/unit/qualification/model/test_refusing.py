"""Model files that are refused, and with which words."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_model import SMALL

from streams.qualification.model.loading import MOST_GROUPS, ModelError, load_model
from streams.qualification.model.nodes import LARGEST, MOST_SHOWN
from streams.qualification.model.sections import LONGEST_NAME

DAY = 86_400_000
DEFAULT = (files("streams.qualification.model") / "default.yaml").read_text(encoding="utf-8")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ModelError) as refused:
        load_model(text, "m.yaml")
    return refused.value.problems


def changed(old: str, new: str) -> tuple[str, ...]:
    """The problems of the small model with one thing changed."""
    assert SMALL.count(old) == 1
    return problems(SMALL.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("30d", "30 days", '3: groups.web.half_life: found "30 days", expected a duration such as 30d'),
        ("30d", "-30d", "3: groups.web.half_life: "),
        ("30d", "0d", "3: groups.web.half_life: found 0d, expected a duration longer than nothing"),
        ("30d", "99999d", "3: groups.web.half_life: "),
        ("{half_life: 30d}", "{half_life: 30d, halflife: 3d}", "did you mean half_life? allowed: "),
        ("{half_life: 30d}", "{half_life: 30d, floor: 5}", "groups.web.floor: found 5, expected 0 or less"),
        ("{half_life: 30d}", "{half_life: 30d, cap: -5}", "3: groups.web.cap: found -5, expected 0 or more"),
        ("{half_life: 30d}", "{half_life: 30d, cap: .inf}", "3: groups.web.cap: "),
        ("{half_life: 30d}", "30d", '3: groups.web: found "30d", expected a mapping of half_life'),
        ("  web: {half_life: 30d}", "  {}", "3: groups: found no group"),
        ("  web:", "  web: {half_life: 1d}\n  web:", "4: groups.web: given twice, first in line 3"),
        ("group: web", "group: wep", '5: interest[0].group: found "wep"; did you mean web? allowed: web'),
        ("points: 1}", "points: many}", '5: interest[0].points: found "many", expected a number'),
        ("points: 1}", "points: 1e999}", "5: interest[0].points: "),
        ("points: 1}", "points: 1.5e999}", "5: interest[0].points: "),
        ("points: 1}", "points: 1.5e308}", "5: interest[0].points: found 1.5e308, expected 0 or a number from 1e-09"),
        ("points: 1}", "points: -1000000001}", "5: interest[0].points: found -1000000001, expected 0 or a number"),
        ("points: 1}", "points: 1.0e-10}", "5: interest[0].points: found 1.0e-10, expected 0 or a number"),
        ("{half_life: 30d}", "{half_life: 30d, cap: 1.0e10}", "3: groups.web.cap: found 1.0e10"),
        ("{half_life: 30d}", "{half_life: 30d, floor: -1.0e-320}", "3: groups.web.floor: found -1.0e-320"),
        ("{half_life: 30d}", "{half_life: 30d, was: %s}" % ("w" * 101), "3: groups.web.was: found 101 characters"),
        ("interest: {warm: 20,", "interest: {warm: 1.0e-320,", "8: matrix.interest.warm: found 1.0e-320"),
        ("mql: {interest: 20", "mql: {interest: 1.5e308", "10: mql.interest: found 1.5e308"),
        (
            "points: 1}",
            "points_per: {field: duration_ms, each: 1.0e19, points: 1}}",
            "5: interest[0].points_per.each: found 1.0e19",
        ),
        (
            "points: 1}",
            "points: 1, when: {duration_ms: {at_least: 1.0e300}}}",
            "5: interest[0].when.duration_ms.at_least: found 1.0e300, expected a number from -1e+18 to 1e+18",
        ),
        (
            "points: 1}",
            "points_per: {field: duration_ms, each: 1, points: 1, at_most: 2147483648}}",
            "5: interest[0].points_per.at_most: found 2147483648, expected a whole number from 1 to 1000000000",
        ),
        ("name: page", 'name: "a\\ud800"', "5: interest[0].name: found half a character"),
        ("model: small-1", 'model: "v\\uD800"', "1: model: found half a character"),
        ("model: small-1", 'model: "\\ud83d\\ude00"', "1: model: found half a character"),
        ("{half_life: 30d}", '{half_life: 30d, "\\udfff": 1}', "3: groups.web: found half a character"),
        ("model: small-1", f"model: {'v' * 101}", "1: model: found 101 characters, expected at most 100"),
        ("  web:", '  " ": {half_life: 3d}\n  web:', "3: groups. : found an entry without a name"),
        (", points: 1}", "}", "5: interest[0]: found neither points nor points_per"),
        (
            "points: 1}",
            "points: 1, points_per: {field: duration_ms, each: 1, points: 1}}",
            "5: interest[0]: found both points and points_per",
        ),
        (
            "points: 1}",
            "points_per: {field: url, each: 1, points: 1}}",
            "5: interest[0].points_per.field: found \"url\"; allowed: duration_ms",
        ),
        (
            "points: 1}",
            "points_per: {field: duration_ms, each: 0, points: 1}}",
            "interest[0].points_per.each: found 0, expected a number above 0",
        ),
        ("points: 1}", "points: 1, at_most: 3}", "found 3, expected a frequency such as 3 per day"),
        ("points: 1}", "points: 1, at_most: 0 per day}", "5: interest[0].at_most: "),
        ("points: 1}", "points: 1, also: yes}", 'interest[0].also: found "yes", expected true or false'),
        ("points: 1}", "points: 1, when: {ulr: x}}", "5: interest[0].when.ulr: no such field; "),
        ("on: page_view", "on: lead_profile", "5: interest[0].on: "),
        ("on: page_view, ", "", "5: interest[0].on: missing, and required"),
        ("{high: 40}", "{}", "7: matrix.fit.high: missing, and required"),
        ("warm: 20", "warm: 60", "8: matrix.interest.warm: found 60, expected less than hot, 60"),
        ("warm: 20", "warm: 0", "8: matrix.interest.warm: found 0, expected a number above 0"),
        ("NURTURE, SALES", "NURTURE", "9: matrix.cells.high: found 2 routes, expected three"),
        ("LOW_TOUCH", "LOWTOUCH", "9: matrix.cells.low[2]: found \"LOWTOUCH\"; did you mean LOW_TOUCH?"),
        ("mql: {interest: 20", "mql: {interest: -1", "10: mql.interest: found -1, expected a number above 0"),
        ("fit: 40}\nsql", "fit: 40, hysteresis: 1}\nsql", "10: mql.hysteresis: found 1"),
        ("fit: 40}\nsql", "fit: 40, requires: [mail]}\nsql", "10: mql.requires[0]: "),
        ("fit: 40}\nsql", "fit: 40, blocked_by: {}}\nsql", "10: mql.blocked_by: asks nothing"),
        ("fit: 40}\nsql", "fit: 40, blocked_by: {unsubscribed: 1}}\nsql", "mql.blocked_by.unsubscribed: "),
        ("paths: [{name: hot, interest: 60, fit: 40}]", "paths: []", "11: sql.paths: found no path"),
        (", interest: 60, fit: 40}]", "}]", "11: sql.paths[0]: asks nothing"),
        (", interest: 60, fit: 40}]", ", fact: f}]", "11: sql.paths[0].fact: "),
        (", interest: 60, fit: 40}]", ", interest: 60, within: 3d}]", "expected only beside fact"),
        (", interest: 60, fit: 40}]", ", bant: 5}]", "11: sql.paths[0].bant: found 5, expected 1 to 4"),
        (", interest: 60, fit: 40}]", ", visits: {at_least: 0, within: 3d}}]", "expected a whole number"),
        ("name: hot", "name: sales", "11: sql.paths[0].name: sales is the path"),
        ("fit: 40}]", "fit: 40}, {name: hot, fit: 3}]", "hot is taken in line 11"),
        ("model: small-1\n", "", "1: model: missing, and required"),
        ("model: small-1", "modle: small-1", "1: modle: no such key; did you mean model?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_line_and_key(old: str, new: str, says: str) -> None:
    found = changed(old, new)
    assert any(says in problem for problem in found), found
    assert all(re.match(r"m\.yaml:\d+: ", problem) for problem in found)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("sla: {respond_within: 14d, give_up: 14d}", "12: sla.respond_within: expected less than give_up"),
        ("sla: {respond_within: 5ms, give_up: 14d}", "12: sla.respond_within: found 5ms, expected 1s or longer"),
        ("rest: {default: 999ms}", "12: rest.default: found 999ms, expected 1s or longer or never"),
        ("rest: {default: nevr}", "expected a duration such as 30d, 12h, 45m, 90s or never"),
        ("rest: {reasons: {no_budget: 0s}}", "12: rest.reasons.no_budget: "),
        ("fit_bands: {A: 10, B: 20}", "12: fit_bands.B: found 20, expected less than A, 10"),
        ("fit_bands: {D: 10}", "12: fit_bands.D: no such key"),
        ("fit_bands: {}", "12: fit_bands: found no band"),
        ("facts: {f: {on: download, when: {funnel_stage: BOTOM}}}", "12: facts.f.when.funnel_stage: "),
        ("facts: {f: {on: download, until: {}}}", "12: facts.f.until: asks nothing"),
        ("facts: {f: {on: demo_booking, until: {funnel_stage: TOP}}}", "12: facts.f.until.funnel_stage: "),
        ("fit: [{points: 5}]", "12: fit[0].when: missing, and required"),
        ("fit: [{when: {}, points: 5}]", "12: fit[0].when: asks nothing"),
        ("fit: [{when: {employees: big}, points: 5}]", '12: fit[0].when.employees: found "big"'),
        ("negative_personas: [{when: {country: x}}]", "12: negative_personas[0].name: missing"),
        (
            "negative_personas: [{name: a, when: {country: x}}, {name: a, when: {country: y}}]",
            "12: negative_personas[1].name: a is taken in line 12",
        ),
        (
            "inactivity: {after: 3d, group: web, points: 3}",
            "12: inactivity.points: found 3, expected a number below 0",
        ),
        ("noise: {internal: [10.0.0.1/8]}", "12: noise.internal[0]: found 10.0.0.1/8, expected a network"),
        ("noise: {bots: 1}", "12: noise.bots: found 1, expected true or false"),
        ("visitor_ttl: 0d", "12: visitor_ttl: "),
        ("grace: soon", "12: grace: "),
        ("facts: []", "12: facts: found a list, expected a mapping of names"),
        ("fit: {}", "12: fit: found a mapping, expected a list"),
    ],
)
def test_a_wrong_optional_section_is_refused_with_its_line_and_key(section: str, says: str) -> None:
    found = problems(SMALL + section)
    assert any(says in problem for problem in found), found


RULES = """\
  - {name: all pages, on: page_view, group: web, points: 1}
  - {name: pricing, on: page_view, when: {url: "*/pricing*"}, group: web, points: 5}
"""


def test_a_rule_that_nothing_can_reach_is_refused() -> None:
    (problem,) = changed("  - {name: page, on: page_view, group: web, points: 1}\n", RULES)
    assert problem.startswith("m.yaml:6: interest[1]: never reached: all pages (line 5) takes every page_view")


def test_a_rule_behind_one_with_the_same_condition_is_refused() -> None:
    rule = '  - {name: %s, on: page_view, when: {url: "*/x*"}, group: web, points: 1}\n'
    (problem,) = changed("  - {name: page, on: page_view, group: web, points: 1}\n", rule % "a" + rule % "b")
    assert "never reached: a (line 5) takes the same page_view" in problem


def test_rules_that_are_also_counted_are_reached_from_everywhere() -> None:
    rules = RULES.replace("points: 5}", "points: 5, also: true}")
    model = load_model(SMALL.replace("  - {name: page, on: page_view, group: web, points: 1}\n", rules))
    assert len(model.rules["page_view"]) == 2


def test_rules_of_different_kinds_may_not_share_a_name() -> None:
    """Frequency limits and evidence go by the name."""
    rules = RULES.replace('on: page_view, when: {url: "*/pricing*"}', "on: download").replace("pricing", "all pages")
    (problem,) = changed("  - {name: page, on: page_view, group: web, points: 1}\n", rules)
    assert problem.startswith("m.yaml:6: interest[1].name: all pages is taken in line 5")


def test_all_problems_are_shown_at_once_in_the_order_of_lines() -> None:
    text = SMALL.replace("30d", "x").replace("points: 1", "points: y").replace("warm: 20", "warm: z")
    found = problems(text)
    assert [problem.split(":")[1] for problem in found] == ["3", "5", "8"]


def test_of_very_many_problems_the_first_are_shown_and_the_rest_counted() -> None:
    text = SMALL + "fit:\n" + "  - {when: {employees: x}, points: 1}\n" * 25
    with pytest.raises(ModelError) as refused:
        load_model(text)
    assert len(refused.value.problems) == 25
    assert str(refused.value).count("\n") == MOST_SHOWN
    assert str(refused.value).endswith("and 5 more")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: [1", "m.yaml:1: not YAML"),
        ("model: x\n\tgroups: {}", "m.yaml:2: not YAML"),
        ("model: x\n---\nmodel: y", "m.yaml:2: not YAML"),
        ("model: \x00", "not YAML"),
        ("a: &a {b: c}\nd: *a", "m.yaml:2: not YAML: aliases"),
        ("a: !!python/name:os.system x", "m.yaml:1: not YAML: tags"),
        ("[" * 5_000, "nested deeper than"),
        ("x" * (LARGEST + 1), "characters, expected a model of at most"),
        ("- 1", "m.yaml:1: found a list, expected a mapping of model"),
        ("? [a]\n: b", "found a list or mapping as a key"),
        ('model: "\\U00110000"', "not YAML"),
        ('model: "\\UFFFFFFFF"', "not YAML"),
        ("%YAML 1." + "9" * 5_000 + "\n---\nmodel: x", "not YAML"),
    ],
    ids=lambda value: value[:25],
)
def test_what_is_no_model_at_all_is_refused(text: str, says: str) -> None:
    found = problems(text)
    assert any(says in problem for problem in found), found


@given(st.data())
def test_a_damaged_model_loads_or_is_refused_and_never_breaks_the_loader(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(DEFAULT) - 1))
    end = data.draw(st.integers(start, min(len(DEFAULT), start + 40)))
    inserted = data.draw(st.text("{}[]:,-'\"#&*!|>?%@ \n\tab0.d", max_size=6))
    text = DEFAULT[:start] + inserted + DEFAULT[end:]
    try:
        model = load_model(text)
    except ModelError:
        return
    assert model.sql_paths


def many(count: int, line: str) -> str:
    return "".join(line % {"n": number} for number in range(count))


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("facts:\n" + many(101, "  f%(n)d: {on: download}\n"), "facts: found 101 entries, expected at most 100"),
        ("fit:\n" + many(501, "  - {when: {company: c%(n)d}, points: 1}\n"), "fit: found 501 entries"),
        (
            "negative_personas:\n" + many(501, "  - {name: p%(n)d, when: {company: c%(n)d}}\n"),
            "negative_personas: found 501 entries",
        ),
    ],
)
def test_more_than_a_lead_s_record_could_hold_is_refused(section: str, says: str) -> None:
    found = problems(SMALL + section)
    assert any(says in problem for problem in found), found


def test_more_groups_than_a_receipt_could_show_are_refused() -> None:
    groups = many(MOST_GROUPS, "  g%(n)d: {half_life: 1d}\n")
    found = changed("  web: {half_life: 30d}\n", f"  web: {{half_life: 30d}}\n{groups}")
    assert f"groups: found {MOST_GROUPS + 1} entries, expected at most {MOST_GROUPS}" in found[0]


def test_a_fit_rule_is_called_by_the_beginning_of_a_long_condition() -> None:
    model = load_model(
        SMALL + f"fit: [{{when: {{job_title: [{', '.join(f'boss{n}' for n in range(90))}]}}, points: 5}}]"
    )
    (rule,) = model.fit
    assert len(rule.name) == LONGEST_NAME
    assert rule.name.endswith("…")
    assert rule.when.matches({"job_title": "Boss89"})


@pytest.mark.parametrize(
    "pattern", ["a{99999999999}", "(?L)a", "(?au)a", "(" * 5_000, "[", "(?P<1>a)", "(?<=a*)b", r"\N{nothing}"]
)
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    found = problems(SMALL + f"fit: [{{when: {{company: {{matches: '{pattern}'}}}}, points: 5}}]")
    assert any("not a regular expression" in problem for problem in found), found
