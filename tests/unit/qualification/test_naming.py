"""Groups by former names, where a lead comes to a partition that is several changes ahead of its own, or behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import exp2

import msgspec
import pytest
from handmade import (
    DAY,
    DEFAULT,
    booking,
    buyer,
    days,
    download,
    pricing,
)
from hypothesis import given
from hypothesis import strategies as st
from model_changes import known, succeeded, through, with_groups

from streams.processing.note import Note, noted
from streams.qualification.decay import value_at
from streams.qualification.identity import receive
from streams.qualification.lead import Lead
from streams.qualification.messages import Link, Merge
from streams.qualification.model.values import Group, Model
from streams.qualification.naming import MOST_NAMES, heirs_of, line_of
from streams.qualification.succession import Change, change_to, differences, succeed

LIFE = DEFAULT.groups["web"].half_life_ms


def called(version: str, name: str, was: str | None = None, **more: Group | None) -> Model:
    """The default model, whose group `web` is called `name`."""
    return with_groups(DEFAULT, version, **{"web": None, name: Group(name, LIFE, was=was), **more})


WEB = called("0", "web")
SITE, PORTAL = called("1", "site", "web"), called("2", "portal", "site")


def line(*models: Model) -> list[Model]:
    """The models of a partition that took one over after the other, as it has them at hand."""
    before: Change | None = None
    found = []
    for number, model in enumerate(models):
        before = change_to(model, 0, days(number), 0, before)
        found.append(model.knowing(before.names))
    return found


def moved(there: Model, here: Model) -> Lead:
    """A lead under `here`, that a visitor turns out to be whose 10 points a partition under `there` has."""
    group = next(name for name in there.groups if name in ("web", "site", "portal", "start"))
    visitor = known(pricing(days(0)), model=WEB)
    visitor.groups = {group: visitor.groups["web"]}
    visitor.strongest = {group: visitor.strongest["web"]}
    visitor.judged_by = there.identity
    sent = receive("anon", visitor, Link("anon", "vera", "link", days(0), days(0)), 0, there)
    (merge,) = [one for one in sent.transitions if isinstance(one, Merge)]
    state = receive("vera", known(buyer(days(0)), model=here), merge, 0, here).state
    assert isinstance(state, Lead)
    return state


def assert_points(lead: Lead, group: str) -> None:
    assert {name: value for name, (value, _) in lead.groups.items()} == {group: 10.0}
    assert [one.points for one in lead.strongest[group]] == [10.0]


def test_a_renamed_group_goes_on_and_may_join_one_that_is_there() -> None:
    lead = known(pricing(days(0)), download(days(0)))
    renamed = with_groups(DEFAULT, web=None, site=Group("site", DEFAULT.groups["web"].half_life_ms, was="web"))
    after = succeeded(lead, renamed, days(1)).lead
    assert after is not None
    assert after.groups["site"] == lead.groups["web"]
    assert [one.name for one in after.strongest["site"]] == ["pricing page"]
    joined = with_groups(DEFAULT, web=None, content=replace(DEFAULT.groups["content"], was="web"))
    after = succeeded(lead, joined, days(1)).lead
    assert after is not None
    half_life = joined.groups["content"].half_life_ms
    expected = 8 * exp2(-DAY / half_life) + 10 * exp2(-1 / 30)
    assert value_at(*after.groups["content"], days(1), half_life) == pytest.approx(expected)


def test_a_model_that_is_taken_back_takes_its_names_of_groups_along() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), pricing(days(0)), booking(days(0)))
    site = Group("site", DEFAULT.groups["web"].half_life_ms, was="web")
    plan = Group("plan", 20 * DAY, was="intent")
    renamed = with_groups(DEFAULT, "renamed", web=None, site=site, intent=None, plan=plan)
    back = through(lead, (DEFAULT, 0), (renamed, days(1)), (replace(DEFAULT, version="back"), days(2))).lead
    assert back is not None
    assert back.groups["web"] == lead.groups["web"]
    expected = 60 * exp2(-1 / 45) * exp2(-1 / 20)
    assert value_at(*back.groups["intent"], days(2), 45 * DAY) == pytest.approx(expected)
    assert [entry[1] for entry in back.bookings[0].given] == ["intent"]
    assert differences(change_to(renamed, 0, 0, 0), DEFAULT) == [
        "group site goes on as web",
        "group plan goes on as intent",
        "half-life of intent: 45 d after 20 d",
    ]


def test_a_name_that_is_here_again_is_no_old_group_s_when_it_says_what_it_was() -> None:
    lead = known(pricing(days(0)), download(days(0)))
    renamed = with_groups(DEFAULT, "renamed", web=None, site=Group("site", 30 * DAY, was="web"))
    other = with_groups(DEFAULT, "other", content=None, web=Group("web", 60 * DAY, was="content"))
    after = through(lead, (DEFAULT, 0), (renamed, days(1)), (other, days(2))).lead
    assert after is not None
    assert after.groups == {"web": lead.groups["content"]}


@pytest.mark.parametrize(("there", "here"), list(permutations(range(3), 2)))
def test_a_lead_finds_its_groups_again_however_many_renames_are_between_partitions(there: int, here: int) -> None:
    models = line(WEB, SITE, PORTAL)
    assert_points(moved(models[there], models[here]), ("web", "site", "portal")[here])


@given(
    st.lists(st.sampled_from(["web", "site", "portal", "start"]), min_size=2, max_size=8),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_that_is_so_through_any_line_of_names(names: Sequence[str], there: int, here: int) -> None:
    """Back and forth, with `was` where the name changes."""
    models, before = [], None
    for number, name in enumerate(names):
        models.append(called(str(number), name, before if before not in (None, name) else None))
        before = name
    at_hand = line(*models)
    there, here = there % len(names), here % len(names)
    assert_points(moved(at_hand[there], at_hand[here]), names[here])


@pytest.mark.parametrize("there", [0, 1])
def test_a_name_that_the_file_says_no_more_is_still_known(there: int) -> None:
    models = line(WEB, SITE, called("2", "site"), called("3", "site"))
    assert_points(moved(models[there], models[3]), "site")
    assert_points(moved(models[3], models[there]), ("web", "site")[there])


def test_a_new_group_of_an_old_name_is_not_what_had_it() -> None:
    models = line(WEB, SITE, called("2", "portal", "site", site=Group("site", LIFE)))
    assert models[2].names == {"portal": "site"}
    assert_points(moved(models[1], models[2]), "site")
    again = line(WEB, SITE, called("2", "site", None, web=Group("web", LIFE)))
    assert again[2].names == {}


@pytest.mark.parametrize("to", [WEB, SITE, called("1b", "site")])
def test_a_file_that_is_taken_back_by_more_than_one_change_takes_all_names_along(to: Model) -> None:
    before: Change | None = None
    changes = [before := change_to(one, 0, days(n), 0, before) for n, one in enumerate((WEB, SITE, PORTAL, to))]
    lead = known(pricing(days(0)), model=WEB)
    after = succeed(lead, None, changes, {one.identity: one for one in (WEB, SITE, PORTAL, to)}).lead
    assert after is not None
    assert_points(after, next(name for name in ("web", "site") if name in to.groups))


def test_a_partition_that_began_with_the_new_name_knows_one_name_before_it_and_drops_what_has_an_older_one() -> None:
    """Such as one that was added since: no change told it. What comes counts for nothing, and goes with the next."""
    (new,) = line(PORTAL)
    assert_points(moved(SITE, new), "portal")
    stranger = moved(WEB, new)
    assert set(stranger.groups) == {"web"}
    changes = [change_to(PORTAL, 0, days(0), 0)]
    changes.append(change_to(called("3", "portal"), 0, days(1), 0, changes[0]))
    after = succeed(stranger, None, changes, {"3 ": called("3", "portal")}).lead
    assert after is not None
    assert after.groups == {}


def test_evidence_and_half_lives_are_restated_across_two_renames() -> None:
    short = called("2", "portal", portal=Group("portal", 10 * DAY, was="site"))
    models = line(WEB, SITE, short)
    lead = moved(models[0], models[2])
    assert value_at(*lead.groups["portal"], days(0), 10 * DAY) == pytest.approx(10.0)
    back = moved(models[2], models[0])
    assert value_at(*back.groups["web"], days(0), LIFE) == pytest.approx(10.0)


def test_a_note_of_a_release_before_is_read_and_one_of_this_is_read_by_it() -> None:
    first = change_to(WEB, 0, 1, 2)
    second = change_to(SITE, 0, 3, 4, first)
    third = change_to(PORTAL, 0, 5, 6, second)
    assert (third.was, third.older) == ({"portal": "site"}, {"site": "web"}), "that release looks at `was` alone"
    note = Note((first, second, third))
    assert noted(note.packed()) == note
    (raw,) = msgspec.msgpack.decode(Note((second,)).packed())
    assert noted(msgspec.msgpack.encode([[raw[0][:-1]]])) == Note((second,))


def test_names_are_remembered_for_so_many_changes_only() -> None:
    names: dict[str, str] = {}
    for number in range(MOST_NAMES + 50):
        names = line_of({f"g{number + 1}": Group(f"g{number + 1}", LIFE, was=f"g{number}")}, [f"g{number}"], names)
    assert len(names) == MOST_NAMES
    heirs = heirs_of([f"g{MOST_NAMES + 50}"], names)
    assert ("g51" in heirs, "g49" in heirs) == (True, False)


def test_lines_that_go_round_end() -> None:
    round_ = {"a": "b", "b": "a"}
    assert heirs_of(["c"], round_, ["a"], round_) == {"c": "c"}
