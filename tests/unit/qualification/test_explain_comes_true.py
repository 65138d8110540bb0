"""Once what an explanation says is missing is there, it is so; with a little less interest it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from random import Random
from typing import Any

from handmade import BUYER, DAY, DEFAULT, activity, booking, download, page_view, profile, when
from hypothesis import assume, given
from hypothesis import strategies as st
from lead_histories import EVENTFUL, Happening, lively, walk

from streams.qualification.events import Event, Qualified
from streams.qualification.explain import Explanation, explain
from streams.qualification.lead import DISQUALIFIED, MQL, SQL, Lead
from streams.qualification.missing import Missing
from streams.qualification.model.values import Group, PointsPer, Rule
from streams.qualification.step import step

_THOUSANDTHS = PointsPer("value", each=0.001, points=0.001)
_GIFT = Rule("gift", "activity", when("activity", kind="gift"), "gift", points_per=_THOUSANDTHS)
#: The default model, with interest to the thousandth of a point for whom it is short of.
GENEROUS = replace(
    DEFAULT,
    version="generous",
    digest="generous",
    groups={**DEFAULT.groups, "gift": Group("gift", 30 * DAY)},
    rules={**DEFAULT.rules, "activity": (_GIFT, *DEFAULT.rules["activity"])},
)


def lacking(found: Explanation | None) -> dict[str, tuple[Missing, ...]]:
    """What is missing to an MQL, and to an SQL by each path."""
    if found is None:
        return {}
    to_mql = {"mql": found.to_mql} if found.to_mql is not None else {}
    return {**to_mql, **{path.name: path.missing for path in found.to_sql}}


def brought(missing: Sequence[Missing], at: int) -> Iterator[Event]:
    """Events that bring all that is missing but interest, and the end of a rest."""
    learnt: dict[str, Any] = {}
    for one in missing:
        if one.what == "contact":
            learnt |= dict.fromkeys(one.names, "vera@example.com")
        elif one.what == "fit":
            learnt |= {name: value for name, value in BUYER.items() if name != "email"}
        elif one.what == "bant":
            learnt |= dict.fromkeys(("budget", "authority", "need", "timeline"), "CONFIRMED")
        elif one.what == "blocked":
            learnt |= {"unsubscribed": False} if one.names == ("unsubscribed is true",) else {"budget": "CONFIRMED"}
        elif one.what == "visits":
            yield from (page_view(at - day * DAY) for day in range(int(one.needs or 0)))
        elif one.what == "fact":
            yield booking(at, booking_id="another") if one.names == ("demo_booked",) else download(at, "BOTTOM")
        else:
            assert one.what in ("interest", "rest"), one
    if learnt:
        yield profile(at, **learnt)


def given_more(lead: Lead, at: int, thousandths: int) -> tuple[Lead, bool, set[str | None]]:
    """The lead after a gift of interest; whether it is an MQL, or further, then; by which paths it became an SQL."""
    more = activity(at, "gift", value=thousandths / 1000 + 0.0001)
    after, out = step(lead, more, at, GENEROUS)
    assert after is not None
    return after, after.stage in (MQL, SQL), {one.record["path"] for one in out if isinstance(one, Qualified)}


LATER = st.sampled_from([0, 0, DAY // 24, 5 * DAY, 40 * DAY])


@given(lively(EVENTFUL, 14), LATER, st.integers(0, 2**32))
def test_what_is_missing_makes_it_so_once_it_is_there_and_not_before(
    history: Sequence[Happening], later: int, seed: int
) -> None:
    lead = walk(history, GENEROUS).lead
    assume(lead is not None)
    assert lead is not None
    at = lead.as_of + later
    found = explain(lead, at, GENEROUS)
    assume(found is not None and found.to_sql and found.stage != DISQUALIFIED)
    goal = Random(seed).choice(sorted(lacking(found)))
    rests = [one.until for one in lacking(found)[goal] if one.what == "rest"]
    if rests and rests[0] is not None:
        at = rests[0]
        found = explain(lead, at, GENEROUS)
        if goal not in lacking(found):
            return  # that was all
    at += 1  # a fact must be newer than the end of an episode
    for event in brought(lacking(found)[goal], at):
        after, _ = step(lead, event, at, GENEROUS)
        assert after is not None
        lead = after
    short = [one for one in lacking(explain(lead, at, GENEROUS)).get(goal, ()) if one.what == "interest"]
    if short:
        assert short[0].needs is not None
        assert short[0].has is not None
        thousandths = ceil((short[0].needs - short[0].has) * 1000)
        if thousandths > 2:
            _, is_one, paths = given_more(lead, at, thousandths - 2)
            assert goal not in paths
            assert goal != "mql" or not is_one or paths - {None}
        lead, is_one, _ = given_more(lead, at, thousandths + 1)
        assert is_one
    assert lead.stage == SQL or (goal == "mql" and lead.stage == MQL)
