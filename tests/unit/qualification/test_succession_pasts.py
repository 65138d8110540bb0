"""Pasts that come to a lead from where another model judges."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from handmade import (
    DAY,
    DEFAULT,
    booking,
    buyer,
    days,
    download,
    page_view,
)
from model_changes import known, with_groups

from streams.qualification.decay import value_at
from streams.qualification.events import Qualified
from streams.qualification.identity import receive
from streams.qualification.interest import interest_at
from streams.qualification.lead import Lead
from streams.qualification.messages import Link, Merge
from streams.qualification.model.values import Group, Model
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import State, pack, unpack
from streams.qualification.step import step
from streams.qualification.succession import carry_over, change_to, succeed


def past_of(anon: str, model: Model) -> Merge:
    """What is sent to `u1` when a visitor who downloaded something turns out to be it."""
    visitor = known(download(days(1), "BOTTOM"), page_view(days(1)), model=model)
    sent = receive(anon, visitor, Link(anon, "u1", f"link of {anon}", days(2), days(2)), 0, model)
    (merge,) = [one for one in sent.transitions if isinstance(one, Merge)]
    return merge


def test_a_past_that_comes_from_a_newer_model_keeps_what_this_one_has_not_heard_of_until_it_has() -> None:
    old, new = with_groups(DEFAULT, "old", content=None, web=Group("web", 10 * DAY, cap=40)), DEFAULT
    lead: State | None = known(buyer(days(0)), model=old)
    for anon in ("a", "b"):
        lead = receive("u1", lead, past_of(anon, new), days(2), old, None).state
    assert isinstance(lead, Lead)
    assert lead.written is not None
    assert lead.written.stage == "lead", "to the old model a download is worth nothing"
    _, out = step(lead, booking(days(2)), days(2), old)
    assert [verify_receipt(one.record) for one in out if isinstance(one, Qualified)] == [[]]
    changes = [change_to(old, 0, days(0), 0), change_to(new, 0, days(3), 0)]
    after = succeed(lead, None, changes, {old.identity: old, new.identity: new})
    assert after.lead is not None
    assert value_at(*after.lead.groups["content"], days(1), 60 * DAY) == pytest.approx(40.0)
    assert [one.points for one in after.lead.strongest["content"]] == [20.0, 20.0]
    assert (after.lead.stage, set(after.lead.groups)) == ("mql", {"content", "web"})
    (granted,) = [one.record for one in after.transitions if isinstance(one, Qualified)]
    assert verify_receipt(granted) == []


def test_a_past_from_a_model_that_is_taken_back_here_has_its_groups_by_their_names_here() -> None:
    """Partitions take a model back one after the other: no further change will find a place for what comes later."""
    site = Group("site", 7 * DAY, was="web")
    renamed = with_groups(DEFAULT, "renamed", web=None, site=site)
    merge = past_of("a", carried_by(renamed))
    assert merge.lead is not None
    assert set(merge.lead.groups) == {"site", "content"}
    after = receive("u1", known(buyer(days(0))), merge, days(2), DEFAULT, None).state
    assert isinstance(after, Lead)
    assert set(after.groups) == {"web", "content"}
    assert value_at(*after.groups["web"], days(2), 30 * DAY) == pytest.approx(2 ** (-1 / 7))
    assert after.was is None
    again = receive("u2", None, past_of("b", carried_by(renamed)), days(2), renamed, None).state
    assert isinstance(again, Lead)
    assert (set(again.groups), again.was) == ({"site", "content"}, None)


def carried_by(model: Model) -> Model:
    """The model with what gives to `web` giving to `site` instead."""
    rules = {kind: tuple(replace(rule, group="site" if rule.group == "web" else rule.group) for rule in of_kind)
             for kind, of_kind in DEFAULT.rules.items()}  # fmt: skip
    return replace(model, rules=rules)


def test_what_was_renamed_travels_so_that_the_release_before_reads_it() -> None:
    renamed = with_groups(DEFAULT, "renamed", web=None, site=Group("site", 7 * DAY, was="web"))
    merge = past_of("a", carried_by(renamed))
    assert merge.lead is not None
    packed = pack(merge.lead)
    assert unpack(packed) == merge.lead
    assert merge.lead.was == {"site": "web"}
    raw = msgspec.msgpack.decode(packed)
    assert raw[-1] == {"site": "web"}, "what a release does not know of stands last: it takes no notice"


@pytest.mark.parametrize("cancelled", ["before the past comes", "after it"])
def test_a_booking_cancelled_while_its_group_is_unknown_here_is_taken_back_when_it_is_known(cancelled: str) -> None:
    """Another partition had gone on to the next model, and sent what it knew of the booking here."""
    here, there = with_groups(DEFAULT, "here", intent=None), DEFAULT
    visitor = known(booking(days(1)), page_view(days(1)), model=there)
    sent = receive("a", visitor, Link("a", "u1", "link", days(2), days(2)), 0, there)
    (merge,) = [one for one in sent.transitions if isinstance(one, Merge)]
    lead: State | None = known(buyer(days(0)), model=here)
    called_off = booking(days(3), "CANCELLED")
    if cancelled == "after it":
        lead = receive("u1", lead, merge, days(2), here, None).state
        assert isinstance(lead, Lead)
        lead, _ = step(lead, called_off, days(3), here)
        assert lead is not None
        assert lead.groups["intent"] == (60.0, days(1)), "what it is worth by now nobody here knows"
        assert [entry[1] for entry in lead.bookings[0].owed] == ["intent"]
    else:
        assert isinstance(lead, Lead)
        lead, _ = step(lead, called_off, days(3), here)
        lead = receive("u1", lead, merge, days(3), here, None).state
    assert isinstance(lead, Lead)
    changes = [change_to(here, 0, days(0), 0), change_to(there, 0, days(4), 0)]
    after = succeed(lead, None, changes, {here.identity: here, there.identity: there}).lead
    assert after is not None
    assert value_at(*after.groups["intent"], days(4), 45 * DAY) == pytest.approx(0, abs=1e-9)
    assert (after.strongest["intent"], after.bookings[0].owed, after.bookings[0].given) == ((), (), ())


def test_a_past_that_comes_from_an_older_model_brings_nothing_that_is_gone() -> None:
    old, new = DEFAULT, with_groups(DEFAULT, "new", content=None)
    after = receive("u1", known(buyer(days(0)), model=new), past_of("a", old), days(2), new, None)
    assert isinstance(after.state, Lead)
    assert interest_at(after.state, new, days(2)) == pytest.approx(2 ** (-1 / 30))
    gone = with_groups(DEFAULT, "third", content=None)
    carry_over(after.state, change_to(new, 0, days(3), 0), days(3), gone)
    assert set(after.state.groups) == {"web"}
