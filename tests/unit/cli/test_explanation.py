"""What `leadstream explain` says, in words and as an object, of leads made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from handmade import DAY, DEFAULT, booking, buyer, days, download, feedback, page_view, pricing, profile
from model_changes import known, with_groups

from streams.cli.explain import _object
from streams.cli.explanation import page
from streams.errors import UsageError
from streams.explaining import CannotExplain, Explained, Kept, Passed, Told, explained, of_this_life
from streams.processing.note import Note, take_over
from streams.qualification.events import Changed, Event, Qualified
from streams.qualification.missing import Missing, ToPath, What
from streams.qualification.model.values import Group, Model
from streams.qualification.step import step
from streams.qualification.unknown import Decides, Unknown

NOBODY = Told(None, [])
STORY = (
    buyer(days(0), name="Vera Buyer", company="Example Ltd", industry=None),
    page_view(days(0), "https://example.com/pricing", utm_source="news"),
    pricing(days(0)),
    pricing(days(1)),
)
TEXT = """\
lead-1: Vera Buyer, Director of Sales at Example Ltd
Has been known as: email:vera@example.com
First came from: news on 01 Jun, https://example.com/pricing
MQL since 2026-06-01 00:00, to be nurtured; stays one until 2026-07-02 00:00 if nothing more happens.
As of 2026-06-03 00:00 UTC, by model default-2026-11.

Qualified last: MQL on 2026-06-01 00:00, with interest 20.0, fit 50 (B)
  Interest 20.0 reached 20 and fit 50 (B) reached 40; most of it from pricing page (2x).
  +10.0  pricing page  https://example.com/pricing  10 points on 2026-06-01 00:00
  +10.0  pricing page  https://example.com/pricing  10 points on 2026-06-01 00:00

Interest 28.9
  web    28.9  halves in 30 days, at most 40
    +9.8  pricing page  https://example.com/pricing  10 points on 2026-06-02 00:00
    +9.5  pricing page  https://example.com/pricing  10 points on 2026-06-01 00:00
    +9.5  pricing page  https://example.com/pricing  10 points on 2026-06-01 00:00

Fit 50 (B)
  +25  company size
  +25  job title

Not known, and would matter:
  industry                           +20 fit if industry is software or finance
  budget, authority, need, timeline  SQL by bant takes 3 of budget, authority, need, timeline confirmed
  budget                             can't become an SQL if budget is ABSENT

Missing to SQL, by whichever comes first:
  demo       demo booked
  hot        interest 60 (is 28.9)
  returning  buyers content within 30d; visits on 3 days within 14d (are 2)
  bant       interest 30 (is 28.9); 3 of budget, authority, need and timeline confirmed (are 0)

Next, if nothing more happens:
  2026-07-02 00:00  MQL -> lead  nothing happened for long: interest fell below 10

What happened, newest first:
  2026-06-01 00:00  lead -> MQL      by what the lead did: Interest 20.0 reached 20 and fit 50 (B) reached 40; \
most of it from pricing page (2x).
  2026-06-01 00:00  visitor -> lead  the visitor has said who it is"""


def note_of(model: Model) -> Note:
    note = take_over(None, model, 0, 0, waking=False)
    assert note is not None
    return note


def found(
    events: Sequence[Event],
    at: int,
    model: Model = DEFAULT,
    judged_by: Model = DEFAULT,
    passed: tuple[Passed, ...] = (),
) -> Explained:
    """The lead that `judged_by` has judged, as a changelog keeps it, explained by `model`."""
    return explained(Kept(known(*events, model=judged_by), None, note_of(judged_by), tuple(passed)), at, model, now=at)


def told(events: Sequence[Event]) -> Told:
    """What is said of the lead while the events happen."""
    lead, out = None, []
    for one in events:
        lead, more = step(lead, one, one.occurred_at, DEFAULT)
        out += more
    qualified = [one.record for one in out if isinstance(one, Qualified)]
    return Told(qualified[-1] if qualified else None, [one.record for one in out if isinstance(one, Changed)])


def text_of(*events: Event, at: int) -> str:
    return "\n".join(page(found(events, at), NOBODY))


def test_an_explanation_has_a_section_for_each_question() -> None:
    assert "\n".join(page(found(STORY, days(2)), told(STORY))) == TEXT


def test_an_object_says_the_same_with_times_that_programs_read() -> None:
    passed = (Passed("visitor-1", days(0)),)
    made = _object("visitor-1", found(STORY, days(2), passed=passed), told(STORY))
    shown = json.loads(msgspec.json.encode(made))
    assert (shown["asked"], shown["lead_id"], shown["stage"]) == ("visitor-1", "lead-1", "mql")
    assert shown["passed"] == [{"id": "visitor-1", "since": "2026-06-01T00:00:00.000Z"}]
    assert (shown["as_of"], shown["qualified_until"]) == ("2026-06-03T00:00:00.000Z", "2026-07-02T00:00:00.000Z")
    assert shown["evidence"][0]["occurred_at"] == "2026-06-02T00:00:00.000Z"
    assert shown["ahead"][0]["at"] == "2026-07-02T00:00:00.000Z"
    assert shown["qualification"]["occurred_at"] == "2026-06-01T00:00:00.000Z"
    assert [one["to_stage"] for one in shown["lifecycle"]] == ["lead", "mql"]
    assert shown["to_mql"] is None
    assert shown["to_sql"][1]["missing"][0]["needs"] == 60


def test_every_name_in_the_object_is_in_the_readme() -> None:
    made = _object("lead-1", found((download(days(0)),), days(2)), NOBODY)
    told_of = (Path(__file__).parents[3] / "README.md").read_text().partition("`--json` prints one object")[2]
    told_of = told_of.partition("\n### ")[0]
    names = {*made, *Missing.__struct_fields__, *ToPath.__struct_fields__, *Unknown.__struct_fields__}
    assert {name for name in names if f"`{name}`" not in told_of} == {"missing"}  # what it holds is told instead
    assert all(f"`{one}`" in told_of for one in (*get_args(What), *get_args(Decides)))


def test_aliases_are_told_of_one_by_one() -> None:
    passed = (Passed("visitor-1", days(0)), Passed("email:vera@example.com", days(1)))
    lines = list(page(found(STORY, days(2), passed=passed), NOBODY))
    assert lines[:2] == [
        "visitor-1 is an alias of email:vera@example.com since 2026-06-01 00:00.",
        "email:vera@example.com is an alias of lead-1 since 2026-06-02 00:00.",
    ]


def test_what_is_missing_to_an_mql_is_said_in_words() -> None:
    text = text_of(profile(days(0), job_title="Director", unsubscribed=True), pricing(days(0)), at=days(0))
    assert (
        "Missing to MQL:\n  interest 20 (is 10.0)\n  fit 40 (is 25)\n  to be known: email\n"
        "  blocked, as unsubscribed is true\n"
    ) in text
    assert "  email                              must be known of an MQL\n" in text


def test_an_sql_waits_for_sales_and_lacks_nothing() -> None:
    text = text_of(buyer(days(0)), booking(days(0)), at=days(0))
    assert "SQL since 2026-06-01 00:00, a matter for sales; sales is to answer by 2026-06-02 00:00." in text
    assert "Missing to" not in text
    assert "  2026-06-02 00:00  still SQL    sales did not answer in time\n" in text


def test_who_rests_is_told_until_when_and_what_would_end_it() -> None:
    text = text_of(buyer(days(0)), booking(days(0)), feedback(days(1), "REJECTED"), at=days(1))
    assert "lead since 2026-06-02 00:00, to be nurtured; sales has sent it to rest until 2026-07-02 00:00." in text
    assert "Missing to MQL:\n  the end of its rest on 2026-07-02 00:00\n" in text
    assert "demo booked, after 2026-06-02 00:00" in text


def test_whom_a_persona_disqualified_is_told_of_it() -> None:
    text = text_of(buyer(days(0), job_title="student"), pricing(days(0)), at=days(0))
    assert "disqualified since 2026-06-01 00:00; matches the negative persona student." in text


def test_of_who_is_disqualified_nothing_is_asked_that_could_make_it_neither_mql_nor_sql() -> None:
    text = text_of(profile(days(0), job_title="Director"), feedback(days(1), "LOST", reason="competitor"), at=days(1))
    assert "Missing to MQL and SQL:\n  it is disqualified, and stays so unless sales sells to it" in text
    assert "SQL by bant" not in text
    assert "persona" not in text
    assert "+25 fit if employees at least 200" in text  # of use to whoever sorts leads by fit


def test_interest_that_is_missing_never_looks_like_what_is_needed() -> None:
    resting = (buyer(days(0)), feedback(days(0), "REJECTED"), pricing(days(0)), pricing(days(0)))
    assert "interest 20 (is 19.9)" in text_of(*resting, at=days(0.01))


def test_who_has_done_nothing_and_fits_nowhere_is_told_to_be_worth_nothing() -> None:
    assert "\n\nInterest 0.0\n\nFit 0 (D)\n\nNot known" in text_of(profile(days(0), country="DE"), at=days(0))


def test_an_interest_that_takes_ages_to_fade_is_explained_all_the_same() -> None:
    ages = with_groups(DEFAULT, "ages", web=Group("web", 36_500 * DAY))
    rules = {"page_view": tuple(replace(rule, points=1e200, points_per=None) for rule in DEFAULT.rules["page_view"])}
    ages = replace(ages, rules={**DEFAULT.rules, **rules}, sql_paths=(), inactivity=None)
    seen = found((buyer(days(0)), pricing(days(0))), days(1), ages, ages)
    assert "stays one until after the year 9999 if nothing more happens" in "\n".join(page(seen, NOBODY))
    shown = _object("lead-1", seen, NOBODY)
    assert shown["qualified_until"] == seen.explanation.qualified_until


def test_what_an_id_was_granted_in_an_earlier_life_is_not_what_it_was_granted_last() -> None:
    def granted(name: str, sequence: int, at: int) -> tuple[dict[str, Any], dict[str, Any]]:
        said = {"occurred_at": at, "from_stage": "lead", "to_stage": "sql", "cause": "QUALIFIED"}
        return (
            {"event_id": name, "occurred_at": at, "sequence": sequence},
            {**said, "sequence": sequence + 1, "qualification_id": name},
        )

    before, told_before = granted("before", 5, days(1))
    now, told_now = granted("now", 1, days(1))
    end = {**told_before, "sequence": 7, "from_stage": "sql", "to_stage": "visitor", "cause": "ERASED"}
    about_before = {**told_before, "sequence": 3, "from_stage": "sql", "cause": "FEEDBACK"}
    assert of_this_life([before], [told_before]) == Told(before, [told_before])
    assert of_this_life([before], [told_before, end, about_before]) == Told(None, [about_before])
    assert of_this_life([before, now], [told_before, end, told_now, about_before]) == Told(
        now, [told_now, about_before]
    )


def test_a_cap_that_cuts_is_shown() -> None:
    text = text_of(buyer(days(0)), *(download(days(0), "BOTTOM") for _ in range(3)), at=days(0))
    assert "  content    40.0  cut from 60.0, halves in 60 days, at most 40\n" in text


def test_what_time_has_done_since_the_workers_looked_is_told_apart() -> None:
    text = text_of(*STORY, at=days(40))
    assert "Since the workers' last look, without news of the lead:\n  2026-07-02 00:00  MQL -> lead" in text


def test_a_visitor_ends_as_nothing_and_is_then_not_to_be_explained() -> None:
    visitor = (download(days(0)),)
    assert "visitor -> nothing  forgotten, as a visitor who does nothing" in text_of(*visitor, at=days(1))
    with pytest.raises(CannotExplain, match=r"As of 2026-12-18T00:00:00.000Z nothing is known of lead-1 any more"):
        found(visitor, days(200))


def test_what_strangers_have_written_does_not_steer_the_terminal() -> None:
    text = text_of(buyer(days(0), name="Vera\x1b[2J\nBuyer"), pricing(days(0), referrer="\x1b]0;x"), at=days(0))
    assert "\x1b" not in text
    assert "Vera\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}Buyer" in text


def test_another_model_than_the_workers_is_explained_by_as_if_it_took_over_now() -> None:
    other = with_groups(DEFAULT, "candidate", web=Group("web", 15 * DAY, cap=40))
    other = replace(other, digest="another file")
    seen = found(STORY, days(31), other, DEFAULT)
    same = found(STORY, days(31))
    assert seen.explanation.interest == pytest.approx(same.explanation.interest)  # it faded by the old one until now
    assert (seen.explanation.model, seen.workers_model) == ("candidate", "default-2026-11")
    assert [group["half_life_s"] for group in seen.explanation.groups if group["group"] == "web"] == [15 * 86_400]
    assert any(line.startswith("Attention: the workers judge by another model") for line in page(seen, NOBODY))
    assert same.workers_model is None


def test_another_model_takes_over_now_also_for_whom_it_is_asked_how_it_will_stand_later() -> None:
    candidate = replace(DEFAULT, version="candidate", digest="candidate")
    kept = Kept(known(buyer(days(0)), booking(days(0))), None, note_of(DEFAULT), ())
    seen = explained(kept, days(20), candidate, now=days(0.5))
    assert [(one.cause, one.at) for one in seen.explanation.meanwhile] == [
        ("SLA_BREACHED", days(1)),
        ("GAVE_UP", days(14)),
    ]


def test_a_file_of_the_same_version_that_says_something_else_is_another_model() -> None:
    seen = found(STORY, days(2), replace(DEFAULT, digest="edited"), replace(DEFAULT, digest="0123456789abcdef"))
    assert seen.workers_model == "default-2026-11, of another file (0123456789ab)"


def test_a_lead_that_the_workers_model_has_not_judged_yet_is_judged_by_it_first() -> None:
    lower = replace(
        DEFAULT,
        version="lower",
        digest="lower",
        mql=replace(DEFAULT.mql, interest=5.0),
        matrix=replace(DEFAULT.matrix, warm=5.0),
    )
    note = take_over(note_of(DEFAULT), lower, days(1), days(1), waking=True)
    seen = explained(Kept(known(buyer(days(0)), pricing(days(0))), None, note, ()), days(2), lower, now=days(2))
    assert (seen.workers_model, seen.explanation.stage, seen.explanation.since) == (None, "mql", days(1))
    assert [(one.at, one.cause) for one in seen.explanation.meanwhile] == [(days(1), "MODEL_CHANGED")]


def test_a_time_before_what_is_known_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"only known as of 2026-06-02T00:00:00.000Z and later"):
        found(STORY, days(0.5))


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ([""], 2, "LEAD is empty"),
        (["é" * 501], 2, "LEAD has 1,002 bytes. Ids have at most 1,000"),
        (["u1", "--at", "tomorrow"], 2, "--at: 'tomorrow' is no time with a time zone"),
        (["u1", "--at", "2026-12-24T12:00:00"], 2, "is no time with a time zone"),
        (["u1", "--model", "/nowhere.yaml"], 2, "the model file /nowhere.yaml can't be read"),
        (["u1", "--bootstrap", "127.0.0.1:1"], 1, "No Kafka broker answers at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_the_reason(arguments: list[str], code: int, reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", "explain", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr
