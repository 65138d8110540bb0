"""An erasure is complete whatever is on its way when it comes: pasts, events, links, and the erasure itself."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec
import pytest
from handmade import DEFAULT, UNLIMITED, activity, buyer, days, erasure, pricing
from hypothesis import given, settings
from hypothesis import strategies as st
from network import Network
from slow_worker import SlowWorker
from test_erasure import assert_all_aliases_are_known, those_that_are
from town import Town, by, link, unmarked, warm

from streams.qualification.decay import value_at
from streams.qualification.erasure import KEPT_MS, Erased
from streams.qualification.events import Changed, Event
from streams.qualification.identity import receive
from streams.qualification.lead import Lead
from streams.qualification.messages import Forget, Link, Merge
from streams.qualification.state import Alias, State, mark, pack
from streams.qualification.succession import half_lives_of

IDS = ("a", "b", "c", "d", "e", "f")
#: When the erasure is asked for, and when all is over.
ASKED, END = days(12), days(20)


@dataclass
class Story:
    """What is told of some people before and after one of them asks to be forgotten, in the order of arrival.

    All that is in `told` before `asked_at` is older than the erasure, and some of what comes later is, too. `pointing`:
    who is linked to whom, once all of it is heard.
    """

    told: list[Event]
    asked_at: int
    asked: str
    pointing: dict[str, str]

    @property
    def gone(self) -> set[str]:
        return those_that_are(self.asked, self.pointing)


def story(dice: Random, *, late: bool) -> Story:
    """Links in trees and chains, at most one from each id, with repeats. `late`: some of what is older than the erasure
    comes after it.
    """
    pointing: dict[str, str] = {}
    old: list[Event] = []
    ids = dice.sample(IDS, len(IDS))
    for place, id_ in enumerate(ids[: dice.randint(1, len(IDS) - 1)]):
        pointing[id_] = dice.choice(ids[place + 1 :])
        made = link(id_, pointing[id_], days(dice.uniform(0, 11)))
        old += [made] * dice.choice([1, 1, 2])
    for number in range(dice.randint(1, 12)):
        old.append(by(dice.choice(IDS), pricing(days(dice.uniform(0, 11)), event_id=f"old {number}")))
    for id_ in dice.sample(IDS, dice.randint(0, 3)):
        if any(f"email:{one}@example.com" in pointing for one in those_that_are(id_, pointing)):
            continue  # of two addresses of a person the older may make no link
        old.append(by(id_, buyer(days(dice.uniform(0, 11)), email=f"{id_}@example.com")))
        pointing[f"email:{id_}@example.com"] = id_
    dice.shuffle(old)
    asked = dice.choice([*IDS, *pointing])
    behind = dice.randint(0, len(old)) if late else 0
    before, after = old[: len(old) - behind], old[len(old) - behind :]
    after += [by(dice.choice(IDS), activity(days(dice.uniform(13, 15)), "email_reply")) for _ in range(4)]
    dice.shuffle(after)
    return Story([*before, by(asked, erasure(ASKED)), *after], len(before), asked, pointing)


def assert_forgotten(told: Story, states: dict[str, State]) -> None:
    """Of the erased nothing is left that is older than the erasure; of the others, everything."""
    known = unmarked(states)
    assert_all_aliases_are_known(known)
    for id_ in told.gone & known.keys():
        lead = known[id_]
        assert isinstance(lead, Lead), f"{id_} is erased, and yet an alias: {lead}"
        assert (set(lead.groups), lead.profile, lead.aliases) == ({"email"}, {}, ()), f"of {id_} something is left"
    others = [lead for id_, lead in known.items() if id_ not in told.gone and isinstance(lead, Lead)]
    for group, points, kind in (("web", 10.0, "page_view"), ("email", 12.0, "activity")):
        half_life = UNLIMITED.groups[group].half_life_ms
        given_ = [one.occurred_at for one in told.told if one.kind == kind and one.lead_id not in told.gone]
        held = sum(value_at(*lead.groups[group], END, half_life) for lead in others if group in lead.groups)
        assert held == pytest.approx(sum(value_at(points, at, END, half_life) for at in given_), abs=1e-6)
    profiled = any(one.kind == "lead_profile" and one.lead_id not in told.gone for one in told.told)
    assert any(lead.profile for lead in others) == profiled


#: Stories are short, and what goes wrong in few of them goes wrong.
EXAMPLES = settings(max_examples=max(300, settings.default.max_examples if settings.default else 0))
HASTE = st.sampled_from([0.0, 0.3, 0.6, 0.9])


def heard(told: Story, dice: Random, haste: float) -> Network:
    """All ids, when what was told has come to them and nothing is on its way any more."""
    network = Network(UNLIMITED, dice)
    network.tell(told.told, haste)
    network.settle()
    return network


@given(st.integers(0, 2**32), HASTE)
@EXAMPLES
def test_nothing_that_is_on_its_way_between_ids_survives_an_erasure(seed: int, haste: float) -> None:
    dice = Random(seed)
    told = story(dice, late=False)
    assert_forgotten(told, heard(told, dice, haste).states)


@given(st.integers(0, 2**32), HASTE)
@EXAMPLES
def test_what_is_older_than_an_erasure_and_is_heard_of_later_is_forgotten_too(seed: int, haste: float) -> None:
    dice = Random(seed)
    told = story(dice, late=True)
    network = heard(told, dice, haste)
    assert_forgotten(told, network.states)
    for id_ in told.gone:
        ends = [one for one in network.out if isinstance(one, Changed) and one.record["lead_id"] == id_]
        assert not ends or not known_profile(ends[-1]), f"the last that was said of {id_} has its profile"


def known_profile(one: Changed) -> bool:
    return one.record["profile"] is not None


@given(st.integers(0, 2**32), HASTE, st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
@EXAMPLES
def test_nothing_that_is_on_its_way_between_partitions_survives_an_erasure(
    seed: int, haste: float, late: bool, astray: float
) -> None:
    """As a worker runs it: every record and message encoded, and a topic between partitions. Records of all kinds may
    come to wrong ones.
    """
    dice = Random(seed)
    told = story(dice, late=late)
    worker = SlowWorker(UNLIMITED, dice)
    worker.tell(told.told, haste, astray)
    worker.settle()
    assert_forgotten(told, {key.decode(): state for key, state in worker.states.items()})


@given(st.integers(0, 2**32), HASTE)
@EXAMPLES
def test_links_of_after_an_erasure_bring_nothing_of_it_back(seed: int, haste: float) -> None:
    """Whoever is linked for the first time, and links that are made once more."""
    dice = Random(seed)
    told = story(dice, late=False)
    others = [id_ for id_ in IDS if id_ not in told.gone and id_ not in told.pointing]
    new = {id_: dice.choice([one for one in IDS if one != id_]) for id_ in others if dice.random() < 0.5}
    again = {id_: to for id_, to in told.pointing.items() if id_ in IDS and dice.random() < 0.5}
    links = [link(id_, to, days(dice.uniform(12.5, 15))) for id_, to in (new | again).items()]
    for one in links:
        told.told.insert(dice.randint(told.asked_at + 1, len(told.told)), one)
    network = heard(told, dice, haste)
    known = unmarked(network.states)
    assert_all_aliases_are_known(known)
    half_life = UNLIMITED.groups["web"].half_life_ms
    held = sum(
        value_at(*one.groups["web"], END, half_life)
        for one in known.values()
        if isinstance(one, Lead) and "web" in one.groups
    )
    views = [one.occurred_at for one in told.told if one.kind == "page_view" and one.lead_id not in told.gone]
    assert held <= sum(value_at(10.0, at, END, half_life) for at in views) + 1e-6


def past(of: str, to: str, at: int, *through: str) -> Merge:
    """The past of somebody who visited the pricing page, on its way by a link of `at`."""
    town = Town(*warm(of, at - 1000))
    return Merge(to, f"past of {of}", at, at, (of, *through), town.lead(of), half_lives_of(DEFAULT))


def meets(town: Town, message: Merge | Link, stream_time: int = 0) -> list[Forget]:
    """The message comes to its id: what that one tells others to forget."""
    id_ = message.lead_id
    outcome = receive(id_, town.people.states.get(id_), message, stream_time, DEFAULT)
    assert outcome.state is not None
    town.people.states[id_] = outcome.state
    return [one for one in outcome.transitions if isinstance(one, Forget)]


def test_a_past_that_comes_after_the_erasure_ends_there_and_so_does_the_alias_it_came_from() -> None:
    town = Town(by("vera", buyer(days(1))), by("vera", erasure(days(3))))
    (told,) = meets(town, past("anon", "vera", days(2)))
    assert (told.lead_id, told.target, told.until, told.erased) == ("anon", "vera", days(3), True)
    assert town.known == {}


def test_a_past_by_a_link_of_after_the_erasure_is_news() -> None:
    town = Town(by("vera", buyer(days(1))), by("vera", erasure(days(3))))
    assert meets(town, past("anon", "vera", days(4))) == []
    assert (town.lead("vera").profile, town.lead("vera").aliases) == ({}, ("anon",))


def test_an_id_that_lives_anew_takes_no_past_of_before() -> None:
    town = Town(by("vera", erasure(days(3))), by("vera", pricing(days(4))))
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)))] == ["anon"]
    assert town.lead("vera").groups == {"web": (10.0, days(4))}


def test_an_id_that_has_become_an_alias_since_passes_no_past_of_before_on() -> None:
    town = Town(by("vera", erasure(days(3))), by("vera", pricing(days(4))), link("vera", "vera b", days(5)))
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)))] == ["anon"]
    assert town.ids() == {"vera": "vera b", "vera b": "vera b"}


def test_a_past_that_comes_by_an_alias_of_after_the_erasure_is_news_as_the_alias_is() -> None:
    """Whoever it is, was nobody that was erased at that time."""
    town = Town(*warm("anon", days(1)), by("vera", erasure(days(3))), link("b", "vera", days(5)))
    town.tell(link("anon", "b", days(2)))
    assert set(town.lead("vera").groups) == {"web", "content"}


def test_a_past_that_comes_by_an_alias_of_before_the_erasure_is_none_though_its_link_was_repeated_since() -> None:
    town = Town(*warm("anon", days(1)), link("b", "vera", days(1)), link("b", "vera", days(5)))
    town.tell(by("vera", erasure(days(3))), link("anon", "b", days(2)))
    assert (town.ids()["b"], town.lead("vera").groups) == ("vera", {})


def test_what_happened_before_an_erasure_and_is_heard_of_after_it_says_nothing() -> None:
    town = Town(by("vera", erasure(days(3))), by("vera", buyer(days(2))), by("vera", pricing(days(2))))
    assert (town.known, town.ignored()) == ({}, ["erased", "erased"])
    town.tell(by("vera", pricing(days(4))), by("vera", pricing(days(3))))
    assert town.lead("vera").groups == {"web": (10.0, days(4))}


def test_who_asks_by_an_address_that_is_about_to_be_linked_is_forgotten_as_the_lead_that_has_it() -> None:
    """The profile is known under its own id, and the word of it on its way to the address when that is erased."""
    town = Town(by("email:vera@example.com", erasure(days(3))))
    word = Link("email:vera@example.com", "vera", "word", days(2), days(2), known=True)
    (asked,) = meets(town, word)
    assert (asked.lead_id, asked.target, asked.occurred_at) == ("vera", "vera", days(3))
    town.tell(by("vera", buyer(days(2))))
    assert receive("vera", town.people.states["vera"], asked, 0, DEFAULT).state == mark(
        Erased(days(3), 0, 0, days(3) + KEPT_MS)
    )


def test_an_erasure_goes_on_from_an_alias_that_it_comes_too_late_for_itself() -> None:
    town = Town(by("u1", erasure(days(3))), by("u2", buyer(days(1))))
    town.tell(link("u2", "u3", days(4)), link("u1", "u2", days(2)))
    assert list(town.ids()) == []
    assert {one["cause"] for id_ in ("u2", "u3") for one in town.changes(id_)[-1:]} == {"ERASED"}


def test_an_erasure_of_an_alias_goes_where_a_link_of_before_it_leads_that_comes_after_it() -> None:
    town = Town(link("anon", "vera", days(1)), by("paul", buyer(days(1))), by("anon", erasure(days(3))))
    town.tell(link("anon", "paul", days(2)))
    assert town.known == {}


def test_an_erasure_of_a_lead_is_none_of_that_of_another_whom_its_alias_turns_out_to_have_been() -> None:
    town = Town(link("anon", "vera", days(1)), by("paul", buyer(days(1))), by("vera", erasure(days(3))))
    town.tell(link("anon", "paul", days(2)))
    assert (town.lead("paul").stage, town.ignored()) == ("lead", ["older_link"])


def test_a_link_revoked_before_the_erasure_says_nothing_after_it() -> None:
    town = Town(by("anon", erasure(days(3))), link("anon", "vera", days(2), revoked=True))
    assert (town.known, town.ignored()) == ({}, ["no_such_link"])


def test_the_same_erasure_again_says_nothing_and_a_later_one_is_told_of() -> None:
    asked = by("vera", erasure(days(3)))
    town = Town(by("vera", buyer(days(1))), asked, asked)
    assert [one["cause"] for one in town.changes("vera")] == ["IDENTIFIED", "ERASED"]
    town.tell(by("vera", erasure(days(4))))
    assert [one["cause"] for one in town.changes("vera")] == ["IDENTIFIED", "ERASED", "ERASED"]
    assert town.people.states["vera"] == mark(Erased(days(4), 0, 0, days(4) + KEPT_MS))


def test_an_id_remembers_its_erasure_for_a_week_and_nothing_else() -> None:
    town = Town(by("vera", buyer(days(1))), by("vera", erasure(days(3))))
    for id_ in ("vera", "email:vera@example.com"):
        left = town.people.states[id_]
        assert isinstance(left, Alias)
        assert (left.is_mark, left.ends_at, left.sequence, left.aliases) == (True, days(10), 0, ())
        assert len(pack(left)) <= 60
        town.advance(id_, days(10) - 1)
        assert id_ in town.people.states
        town.advance(id_, days(10))
        assert id_ not in town.people.states


def test_a_lead_that_lives_anew_remembers_the_erasure_before_it_for_no_longer_than_a_week() -> None:
    town = Town(by("vera", erasure(days(3))), by("vera", pricing(days(4))), by("vera", pricing(days(10) - 1)))
    assert town.lead("vera").erased is not None
    town.tell(by("vera", pricing(days(11))))
    assert town.lead("vera").erased is None


def test_an_import_of_history_remembers_erasures_by_when_it_is_made() -> None:
    """Years go by in seconds then, and what is on its way takes seconds all the same."""
    asked = msgspec.structs.replace(by("vera", erasure(days(3))), arrival=days(900))
    town = Town(by("vera", buyer(days(1))), asked)
    town.advance("vera", days(800))
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)), days(800))] == ["anon"]


def test_a_visitor_that_is_forgotten_after_its_time_still_remembers_the_erasure_before_it() -> None:
    asked = msgspec.structs.replace(by("vera", erasure(days(3))), arrival=days(900))
    town = Town(asked, by("vera", pricing(days(4))))
    town.advance("vera", days(300))
    assert town.known == {}
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)), days(300))] == ["anon"]
    town.tell(by("vera", pricing(days(310))), by("vera", pricing(days(500))))
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)), days(500))] == ["anon"]


def test_a_visitor_whose_time_is_over_when_a_bot_comes_by_still_remembers_the_erasure_before_it() -> None:
    asked = msgspec.structs.replace(by("vera", erasure(days(3))), arrival=days(900))
    town = Town(asked, by("vera", pricing(days(4))), by("vera", pricing(days(300), user_agent="Googlebot/2.1")))
    assert (town.known, town.ignored()) == ({}, ["bot"])
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)), days(300))] == ["anon"]


def test_an_alias_that_ends_for_another_reason_still_remembers_its_erasure() -> None:
    asked = msgspec.structs.replace(by("vera", erasure(days(3))), arrival=days(900))
    town = Town(asked, link("vera", "paul", days(5)), link("vera", "paul", days(6), revoked=True))
    town.advance("vera", days(300))
    assert town.known.keys() == {"paul"}
    assert [one.lead_id for one in meets(town, past("anon", "vera", days(2)), days(300))] == ["anon"]


def test_a_ring_of_aliases_hears_an_erasure_once() -> None:
    town = Town(link("a", "b", days(1)), link("b", "c", days(1)))
    town.people.states["c"] = Alias("a", days(1))
    town.tell(by("a", erasure(days(2))))
    assert town.known == {}
    assert not town.changes("a"), "nobody was told of it"
