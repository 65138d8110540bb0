"""What is forgotten with a lead: all ids that are it, whatever links say, when, and how often."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from handmade import DEFAULT, UNLIMITED, activity, buyer, days, erasure, page_view, pricing
from hypothesis import given
from hypothesis import strategies as st
from network import Network
from town import Town, by, link, unmarked, warm

from streams.qualification import aliases
from streams.qualification.events import Event
from streams.qualification.identity import receive
from streams.qualification.messages import MOST_PASSED, Forget
from streams.qualification.state import Alias, State, pack


def test_erasing_a_lead_forgets_its_aliases_and_later_events_begin_anew() -> None:
    town = Town(*warm("anon", days(0)), by("vera", buyer(days(1))), link("anon", "vera", days(2)))
    town.tell(link("older", "anon", days(2)), by("vera", erasure(days(3))))
    assert town.known == {}
    assert town.changes("vera")[-1]["cause"] == "ERASED"
    town.tell(*(by(id_, page_view(days(4))) for id_ in ("anon", "vera", "older", "email:vera@example.com")))
    assert set(town.people.leads) == {"anon", "vera", "older", "email:vera@example.com"}
    assert all(lead.groups["web"][0] == 1.0 and not lead.aliases for lead in town.people.leads.values())


def test_an_erasure_is_heard_whatever_else_had_its_id() -> None:
    """A CRM may call all that it sends of a ticket by the ticket's name."""
    town = Town(by("vera", buyer(days(1), event_id="ticket 1")))
    town.tell(by("vera", msgspec.structs.replace(erasure(days(2)), event_id="ticket 1")))
    assert town.known == {}


def test_erasing_an_alias_erases_the_lead_that_it_is() -> None:
    town = Town(*warm("anon", days(0)), by("vera", buyer(days(1))), link("anon", "vera", days(2)))
    town.tell(by("anon", erasure(days(3))))
    assert town.known == {}
    assert [one["cause"] for one in town.changes("vera")][-1] == "ERASED"


def test_erasing_an_alias_that_was_revoked_leaves_nothing_of_it() -> None:
    town = Town(
        link("anon", "vera", days(1)), link("anon", "vera", days(2), revoked=True), by("anon", erasure(days(3)))
    )
    assert list(town.ids()) == ["vera"]


def test_an_alias_that_has_become_somebody_elses_survives_the_erasure() -> None:
    town = Town(link("anon", "vera", days(1)), link("anon", "paul", days(2)), by("vera", erasure(days(3))))
    assert town.ids() == {"anon": "paul", "paul": "paul"}


def test_an_alias_that_was_made_anew_survives_what_forgets_the_old_one() -> None:
    town = Town(by("vera", buyer(days(1))), by("vera", erasure(days(3))), by("vera", buyer(days(4))))
    (old,) = [one for one in town.out if isinstance(one, Forget)]
    alias = town.people.aliases["email:vera@example.com"]
    assert (alias.to, alias.since) == ("vera", days(4))
    assert receive("email:vera@example.com", alias, old, days(4), DEFAULT).state == alias


def test_an_alias_that_the_lead_has_no_room_for_is_an_alias_no_more(monkeypatch: Any) -> None:
    monkeypatch.setattr(aliases, "MOST_ALIASES", 2)
    town = Town(*(link(f"anon-{n}", "vera", days(n)) for n in range(3)))
    assert town.ids() == {"anon-0": "vera", "anon-1": "vera", "vera": "vera"}
    assert [one.lead_id for one in town.out if isinstance(one, Forget)] == ["anon-2"]


def test_many_long_aliases_do_not_make_a_lead_too_large_for_its_topic() -> None:
    town = Town(*(link(f"{n:0>1000}", "vera", days(n / 100)) for n in range(150)))
    assert len(pack(town.lead("vera"))) < 110_000
    assert len(town.lead("vera").aliases) == 100


def test_an_alias_whose_link_was_repeated_is_forgotten_with_its_lead() -> None:
    town = Town(link("anon", "vera", days(1)), link("anon", "vera", days(2)), by("vera", erasure(days(3))))
    assert town.known == {}


def test_an_erasure_that_comes_late_forgets_what_was_linked_after_it_was_asked_for() -> None:
    town = Town(by("vera", buyer(days(1))), link("anon", "vera", days(2)), link("anon", "vera", days(5)))
    town.people.take(by("vera", erasure(days(3))), days(9))
    assert town.known == {}


def test_a_link_of_after_the_erasure_is_known_to_its_lead_so_that_asking_again_forgets_it() -> None:
    town = Town(by("vera", buyer(days(1))), link("anon", "vera", days(2)), link("anon", "vera", days(5)))
    town.tell(by("vera", erasure(days(3))))
    assert town.ids() == {"anon": "vera", "vera": "vera"}
    assert (town.lead("vera").profile, town.lead("vera").aliases) == ({}, ("anon",))
    town.tell(by("vera", erasure(days(6))))
    assert town.known == {}


@pytest.mark.parametrize("asked", ["anon", "vera"])
def test_a_link_that_is_repeated_after_the_erasure_says_nothing(asked: str) -> None:
    made = link("anon", "vera", days(1))
    town = Town(made, by(asked, erasure(days(3))), made, by("anon", pricing(days(4))))
    assert town.ids() == {"anon": "anon"}
    assert town.ignored()[-1] == "older_link"


def chain() -> Town:
    """`a` is `b`, which was `u1` and is now `u2`."""
    told = [by(id_, pricing(days(0))) for id_ in ("a", "b", "u1", "u2")]
    return Town(*told, link("a", "b", days(1)), link("b", "u1", days(2)), link("b", "u2", days(3)))


@pytest.mark.parametrize("asked", ["u2", "b", "a"])
def test_what_follows_an_alias_to_another_lead_is_erased_with_that_one(asked: str) -> None:
    town = chain()
    town.tell(by(asked, erasure(days(4))))
    assert town.ids() == {"u1": "u1"}


def test_what_has_followed_an_alias_to_another_lead_stays_when_the_first_is_erased() -> None:
    town = chain()
    town.tell(by("u1", erasure(days(4))))
    assert town.ids() == {"a": "b", "b": "u2", "u2": "u2"}
    town.tell(by("a", activity(days(5), "email_reply")))
    assert "email" in town.lead("u2").groups


def test_who_is_linked_to_a_lead_that_becomes_an_alias_itself_is_erased_with_the_one_it_is() -> None:
    town = Town(link("a", "b", days(1)), by("b", buyer(days(1))), link("b", "c", days(2)), by("c", erasure(days(3))))
    assert town.known == {}


def test_who_is_linked_to_what_is_no_alias_any_more_is_erased_with_it() -> None:
    town = Town(link("a", "b", days(1)), link("b", "c", days(2)), link("b", "c", days(3), revoked=True))
    town.tell(by("c", erasure(days(4))))
    assert town.ids() == {"a": "b", "b": None}
    town.tell(by("a", pricing(days(5))), by("b", erasure(days(6))))
    assert town.known == {}


def test_a_visitor_that_is_forgotten_after_its_time_has_no_aliases_left() -> None:
    town = Town(link("a", "b", days(1)), link("b", "c", days(2)), link("b", "c", days(3), revoked=True))
    town.tell(by("a", pricing(days(5))))
    assert town.lead("b").stage == "visitor"
    town.advance("b", days(200))
    assert list(town.ids()) == ["c"]


@pytest.mark.parametrize("asked", ["old", "new"])
def test_who_was_told_of_an_alias_as_a_lead_hears_that_it_is_erased_too(asked: str) -> None:
    town = Town(by("old", buyer(days(0))), link("old", "new", days(1)), by(asked, erasure(days(2))))
    assert [(one["cause"], one["sequence"]) for one in town.changes("old")] == [
        ("IDENTIFIED", 1),
        ("MERGED", 2),
        ("ERASED", 3),
    ]
    assert (town.changes("old")[-1]["occurred_at"], town.changes("old")[-1]["profile"]) == (days(2), None)
    assert town.changes("new")[-1]["cause"] == "ERASED"
    assert not town.changes("email:vera@example.com"), "nobody was ever told of it"
    town.tell(by("old", buyer(days(3))))
    assert town.changes("old")[-1]["sequence"] == 1


def test_the_numbers_of_what_was_a_lead_end_with_what_is_left_of_its_revoked_link() -> None:
    town = Town(by("old", buyer(days(0))), link("old", "new", days(1)), link("old", "new", days(2), revoked=True))
    town.advance("old", days(182))
    end = town.changes("old")[-1]
    assert (end["cause"], end["sequence"], end["occurred_at"], end["to_stage"]) == ("EXPIRED", 3, days(182), "visitor")


def test_the_numbers_of_what_was_a_lead_end_when_there_is_no_room_for_it_as_an_alias(monkeypatch: Any) -> None:
    monkeypatch.setattr(aliases, "MOST_ALIASES", 0)
    town = Town(by("old", buyer(days(0), email=None)), link("old", "new", days(1)))
    assert list(town.ids()) == ["new"]
    assert [one["cause"] for one in town.changes("old")] == ["IDENTIFIED", "MERGED", "EXPIRED"]


def test_an_erasure_comes_to_the_lead_through_any_number_of_aliases() -> None:
    ids = [f"id-{number}" for number in range(MOST_PASSED + 10)]
    town = Town(*(link(alias, to, days(1)) for alias, to in pairwise(ids)))
    assert len(town.people.aliases) == len(ids) - 1
    town.tell(by(ids[0], erasure(days(2))))
    assert town.known == {}


# Ids that are many, links that are wild, and ways that take time.

IDS = ("a", "b", "c", "u1", "u2")


def wild(dice: Random, count: int) -> list[Event]:
    """Links (repeated, in chains and loops, revoked, out of order), events and erasures, of dates that come as told."""
    told: list[Event] = []
    links: list[Event] = []
    for _ in range(count):
        at, chance = days(dice.randint(0, 12)), dice.random()
        id_, other = dice.sample(IDS, 2)
        if chance < 0.15 and links:
            told.append(dice.choice(links))
        elif chance < 0.55:
            links.append(link(id_, other, at, revoked=dice.random() < 0.2))
            told.append(links[-1])
        elif chance < 0.7:
            told.append(by(id_, erasure(at)))
        elif chance < 0.8:
            told.append(by(id_, buyer(at, email=f"{dice.choice('xy')}@example.com")))
        else:
            told.append(by(id_, pricing(at)))
    return told


def assert_all_aliases_are_known(states: dict[str, State]) -> None:
    """Every alias is on the list of what it points to: so what ends there ends it."""
    for id_, state in states.items():
        if isinstance(state, Alias) and state.to is not None:
            assert state.to in states, f"{id_} points to {state.to}, of which nothing is known"
            assert id_ in states[state.to].aliases, f"{state.to} does not know that {id_} points to it"


def those_that_are(id_: str, pointing: dict[str, str]) -> set[str]:
    """All ids whose way leads to where the way of `id_` ends; in a ring, all of it and what leads there."""

    def way(one: str) -> list[str]:
        found = [one]
        while pointing.get(found[-1], found[0]) not in found:
            found.append(pointing[found[-1]])
        return found

    mine = set(way(id_)[-1:]) if pointing.get(way(id_)[-1]) is None else set(way(id_))
    return {one for one in (*pointing, id_) if mine & set(way(one))} | mine


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 0.9]), st.integers(2, 60), st.sampled_from([1, 2, 1_000]))
def test_after_any_history_an_erasure_that_is_asked_for_at_rest_leaves_nothing(
    seed: int, haste: float, count: int, room: int
) -> None:
    """Whatever was told, in whatever order it arrived: of no id of the lead anything is left, of others everything."""
    dice = Random(seed)
    network = Network(UNLIMITED, dice)
    with patch.object(aliases, "MOST_ALIASES", room):
        network.tell(wild(dice, count), haste)
        network.settle()
    before = unmarked(network.states)
    assert_all_aliases_are_known(before)
    asked = dice.choice(IDS)
    gone = those_that_are(asked, network.aliases)
    network.take(by(asked, erasure(days(13))))
    network.settle()
    assert unmarked(network.states) == {id_: state for id_, state in before.items() if id_ not in gone}
