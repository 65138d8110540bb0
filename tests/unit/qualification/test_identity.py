"""Whose an id is: links, aliases, merges, chains, loops, revoked links, and what is forgotten with a lead."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec
from handmade import (
    DAY,
    DEFAULT,
    UNLIMITED,
    activity,
    buyer,
    days,
    erasure,
    feedback,
    page_view,
    pricing,
    profile,
)
from town import Town, by, link, warm

from streams.qualification.decay import value_at
from streams.qualification.erasure import Erased
from streams.qualification.events import Changed, Ignored, Qualified, Scored
from streams.qualification.identity import receive
from streams.qualification.lead import Lead
from streams.qualification.messages import MOST_PASSED, Forward, Link, Merge
from streams.qualification.state import Alias, mark, pack, unpack


def test_a_link_makes_a_visitors_history_that_of_the_lead() -> None:
    town = Town(*warm("anon", days(0)), by("vera", buyer(days(1))), link("anon", "vera", days(2)))
    assert town.ids() == {"anon": "vera", "vera": "vera", "email:vera@example.com": "vera"}
    vera = town.lead("vera")
    assert (vera.stage, len(vera.visits), vera.aliases) == ("mql", 1, ("email:vera@example.com", "anon"))
    assert vera.first_touch is not None
    assert vera.first_touch.occurred_at == days(0)
    assert [(one["lead_id"], one["stage"], one["occurred_at"]) for one in town.granted()] == [("vera", "MQL", days(2))]
    assert town.changes("vera")[-1]["cause"] == "MERGED"
    assert town.changes("anon") == []


def test_later_events_of_an_alias_are_its_leads_and_repeats_of_one_count_once() -> None:
    before, after = by("anon", pricing(days(0))), by("anon", pricing(days(3)))
    town = Town(before, link("anon", "vera", days(1)), after)
    told = town.tell(before, after)
    assert [one.lead_id for one in told if isinstance(one, Forward)] == ["vera", "vera"]
    assert town.ignored() == ["duplicate", "duplicate"]
    vera = town.lead("vera")
    assert value_at(*vera.groups["web"], days(3), 30 * DAY) == 10 + 10 * 2 ** (-3 / 30)


def test_a_link_that_names_a_lead_nobody_knows_makes_it_one_that_knows_its_alias() -> None:
    town = Town(link("anon", "vera", days(0)))
    assert town.ids() == {"anon": "vera", "vera": "vera"}
    assert (town.lead("vera").stage, town.lead("vera").aliases) == ("lead", ("anon",))
    assert [(one["cause"], one["occurred_at"]) for one in town.changes("vera")] == [("IDENTIFIED", days(0))]


def test_a_link_that_names_a_visitor_makes_it_a_lead() -> None:
    town = Town(by("vera", page_view(days(0))), link("anon", "vera", days(1)))
    assert [(one["cause"], one["to_stage"]) for one in town.changes("vera")] == [("IDENTIFIED", "lead")]
    assert town.lead("vera").stage_since == days(1)


def test_a_link_that_is_no_news_to_a_known_lead_only_adds_the_alias() -> None:
    town = Town(by("vera", buyer(days(0))))
    before = town.lead("vera").copy()
    assert not [one for one in town.tell(link("anon", "vera", days(9))) if not isinstance(one, Merge)]
    after = town.lead("vera")
    assert after.aliases == (*before.aliases, "anon")
    after.aliases = before.aliases
    assert after == before


def test_a_link_to_itself_says_nothing() -> None:
    town = Town(by("vera", buyer(days(0))), link("vera", "vera", days(1)))
    assert town.ignored() == ["self_link"]
    assert town.lead("vera").stage == "lead"


def test_repeats_of_a_link_change_nothing() -> None:
    one = link("anon", "vera", days(1))
    town = Town(*warm("anon", days(0)), one)
    before = pack(town.lead("vera"))
    town.tell(one, one, link("anon", "vera", days(0)))
    assert town.ignored() == ["known_link"] * 3
    assert pack(town.lead("vera")) == before
    assert town.people.states["anon"] == Alias("vera", days(1), began=days(0))


def test_a_state_that_arrives_again_is_added_once() -> None:
    town = Town(*warm("anon", days(0)), link("anon", "vera", days(1)))
    (merge,) = [one for one in town.out if isinstance(one, Merge)]
    vera = town.lead("vera").copy()
    again = receive("vera", town.lead("vera"), merge, days(1), DEFAULT, None)
    assert (again.state, again.transitions) == (vera, [Ignored("duplicate")])


def test_a_later_link_to_another_lead_takes_future_events_and_leaves_history() -> None:
    town = Town(*warm("anon", days(0)), link("anon", "vera", days(1)), link("anon", "paul", days(2)))
    town.tell(by("anon", pricing(days(3))))
    assert town.ids() == {"anon": "paul", "vera": "vera", "paul": "paul"}
    assert set(town.lead("vera").groups) == {"web", "content"}
    assert town.lead("paul").groups == {"web": (10.0, days(3))}
    assert town.lead("paul").aliases == ("anon",)


def test_an_older_link_to_another_lead_does_not_take_an_alias_back() -> None:
    town = Town(link("anon", "vera", days(2)), link("anon", "paul", days(1)), link("anon", "paul", days(2)))
    assert town.ignored() == ["older_link"] * 2
    assert town.ids() == {"anon": "vera", "vera": "vera"}


def test_a_revoked_link_leaves_history_and_gives_the_visitor_a_life_of_its_own() -> None:
    made = link("anon", "vera", days(1))
    town = Town(*warm("anon", days(0)), made, link("anon", "vera", days(2), revoked=True))
    assert town.ids() == {"anon": None, "vera": "vera"}
    town.tell(made)
    assert town.people.states["anon"] == Alias(None, days(2), ends_at=days(182)), (
        "a repeat of the older link does not bring it back"
    )
    town.tell(by("anon", pricing(days(3))), made)
    assert town.ignored() == ["older_link", "older_link"]
    assert town.lead("anon").groups == {"web": (10.0, days(3))}
    assert town.lead("vera").groups["web"][1] <= days(1)
    town.tell(link("anon", "paul", days(4)))
    assert town.ids() == {"anon": "paul", "vera": "vera", "paul": "paul"}
    assert town.lead("paul").groups["web"][0] == 10.0


def test_revoking_what_is_no_link_says_nothing() -> None:
    town = Town(
        link("anon", "vera", days(0), revoked=True),
        link("anon", "vera", days(2)),
        link("anon", "paul", days(3), revoked=True),
        link("anon", "vera", days(1), revoked=True),
        by("visitor", page_view(days(3))),
        link("visitor", "vera", days(4), revoked=True),
    )
    assert town.ignored() == ["no_such_link"] * 4
    assert town.ids() == {"anon": "vera", "vera": "vera", "visitor": "visitor"}


def test_nothing_that_scores_nothing_begins_a_life_after_a_revoked_link() -> None:
    town = Town(link("anon", "vera", days(1)), link("anon", "vera", days(2), revoked=True))
    town.tell(by("anon", feedback(days(3), "UNKNOWN")))
    assert town.people.states["anon"] == Alias(None, days(2), ends_at=days(182))


def test_a_chain_of_aliases_brings_everything_to_its_end_in_any_order() -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        links = [link("a", "b", days(2)), link("b", "c", days(3)), link("c", "d", days(4))]
        town = Town(*(by(id_, pricing(days(1) + n)) for n, id_ in enumerate("abcd")), model=UNLIMITED)
        town.tell(*(links[number] for number in order))
        assert town.ids() == {"a": "b", "b": "c", "c": "d", "d": "d"}
        assert value_at(*town.lead("d").groups["web"], days(4), 30 * DAY) > 37
        town.tell(by("a", pricing(days(5))))
        assert len(town.lead("d").strongest["web"]) == 3
        assert town.lead("d").groups["web"][1] == days(5)
        assert [town.people.states[id_].aliases for id_ in "bcd"] == [("a",), ("b",), ("c",)]


def test_a_loop_of_two_links_ends_with_everything_in_one_place() -> None:
    town = Town(*warm("a", days(0)), by("b", buyer(days(1))), link("a", "b", days(2)), link("b", "a", days(3)))
    leads = town.people.leads
    assert len(leads) == 1, town.ids()
    (lead,) = leads.values()
    assert set(lead.groups) == {"web", "content"}
    assert lead.profile["job_title"] == "Director of Sales"
    for id_ in "ab":
        town.tell(by(id_, activity(days(4), "email_reply")))
    assert list(town.people.leads) == list(leads)
    assert value_at(*town.people.leads[lead.lead_id].groups["email"], days(4), 21 * DAY) == 24


def test_what_comes_back_to_its_own_id_goes_on_with_its_numbers() -> None:
    town = Town(by("a", buyer(days(0))), link("b", "a", days(0)), link("a", "b", days(0)))
    changes = town.changes("a")
    assert [one["cause"] for one in changes] == ["IDENTIFIED", "MERGED", "IDENTIFIED"]
    assert [one["sequence"] for one in changes] == [1, 2, 3]
    assert len({one["event_id"] for one in changes}) == 3
    assert town.lead("a").unlinked_at == days(0)


def test_an_event_in_a_ring_of_aliases_ends_it_and_is_not_lost() -> None:
    town = Town(link("a", "b", days(1)))
    town.people.states["b"] = Alias("a", days(1))
    told = town.tell(by("a", pricing(days(2))))
    assert [one.lead_id for one in told if isinstance(one, Forward)] == ["b", "a"]
    assert town.lead("a").groups == {"web": (10.0, days(2))}


def test_a_message_that_has_come_too_far_stays_where_it_is() -> None:
    town = Town()
    for number in range(MOST_PASSED + 10):
        town.people.states[f"id-{number}"] = Alias(f"id-{number + 1}", days(0))
    told = town.tell(by("id-0", pricing(days(1))))
    assert len([one for one in told if isinstance(one, Forward)]) == MOST_PASSED
    assert town.lead(f"id-{MOST_PASSED}").groups == {"web": (10.0, days(1))}


def test_what_was_said_of_a_merged_lead_ends_in_order_and_its_score_is_taken_back() -> None:
    town = Town(by("old", buyer(days(0))), *warm("old", days(1)), link("old", "new", days(2)))
    end = town.changes("old")[-1]
    assert (end["cause"], end["from_stage"], end["to_stage"]) == ("MERGED", "mql", "visitor")
    assert end["reason"] == "this is new"
    assert end["profile"] is None
    numbers = [
        one.record["sequence"]
        for one in town.out
        if isinstance(one, Changed | Qualified) and one.record["lead_id"] == "old"
    ]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [one.record for one in town.out if isinstance(one, Scored) and one.lead_id == "old"][-1] is None
    assert (town.changes("new")[-1]["cause"], town.lead("new").stage) == ("MERGED", "mql")
    assert town.changes("new")[-1]["sequence"] == len(town.changes("new")) == 1
    assert Counter(one["stage"] for one in town.granted()) == {"MQL": 1}, "one episode, one MQL event"


def test_a_visitor_that_was_due_to_be_forgotten_brings_nothing() -> None:
    town = Town(*warm("anon", days(0)), link("anon", "vera", days(300)))
    assert town.lead("vera").groups == {}
    assert [one["cause"] for one in town.changes("anon")] == ["EXPIRED"]


# E-mail addresses.


def test_an_address_makes_an_id_once_and_whoever_was_known_by_it_is_the_lead() -> None:
    town = Town(by("email:vera@example.com", page_view(days(0))))
    town.tell(by("vera", profile(days(1), email=" Vera@Example.COM")))
    assert town.ids() == {"email:vera@example.com": "vera", "vera": "vera"}
    assert town.lead("vera").visits == (days(0) // DAY,)
    told = town.tell(by("vera", profile(days(2), email="vera@example.com")), by("vera", profile(days(3), name="Vera")))
    assert not [one for one in told if isinstance(one, Link)]
    told = town.tell(by("vera", profile(days(4), email="new@example.com")))
    assert [one.lead_id for one in told if isinstance(one, Link)] == ["email:new@example.com"]


def test_an_address_that_can_be_no_id_makes_none() -> None:
    for address in ("", "nobody", "x" * 1000 + "@example.com"):
        town = Town(by("vera", profile(days(1), email=address)))
        assert list(town.ids()) == ["vera"]
    town = Town(by("email:v@example.com", profile(days(1), email="V@example.com")))
    assert list(town.ids()) == ["email:v@example.com"]


def test_a_lead_that_is_linked_to_its_own_address_keeps_everything() -> None:
    town = Town(by("u1", buyer(days(1))), *warm("u1", days(1)), link("u1", "email:vera@example.com", days(2)))
    (lead,) = town.people.leads.values()
    assert (lead.lead_id, lead.stage) == ("u1", "mql")
    assert town.ids()["email:vera@example.com"] == "u1"


def test_links_of_two_visitors_that_share_an_event_id_both_bring_their_history() -> None:
    links = [msgspec.structs.replace(link(id_, "vera", days(1)), event_id="login") for id_ in ("phone", "desk")]
    town = Town(by("phone", pricing(days(0))), by("desk", pricing(days(0))), *links, model=UNLIMITED)
    assert value_at(*town.lead("vera").groups["web"], days(0), 30 * DAY) == 20.0


def test_what_is_left_of_a_revoked_link_is_gone_after_a_visitor_s_time() -> None:
    town = Town(link("anon", "vera", days(1)), link("anon", "vera", days(2), revoked=True))
    town.advance("anon", days(182) - 1)
    assert "anon" in town.ids()
    town.advance("anon", days(182))
    assert list(town.ids()) == ["vera"]


def test_when_what_is_left_of_a_revoked_link_is_gone_is_no_matter_of_who_looks() -> None:
    told = [by("anon", buyer(days(0))), link("anon", "vera", days(1)), link("anon", "vera", days(2), revoked=True)]
    for late in (by("anon", pricing(days(190))), link("anon", "paul", days(190)), link("anon", "vera", days(1.5))):
        looked, not_looked = Town(*told), Town(*told)
        looked.advance("anon", days(185))
        for town in (looked, not_looked):
            town.out += town.people.take(late, days(190))
        assert looked.people.states == not_looked.people.states
        assert looked.out == not_looked.out


def test_the_ids_of_messages_are_the_same_on_every_replay() -> None:
    events = (
        *warm("anon", days(0)),
        by("vera", buyer(days(1))),
        link("anon", "vera", days(2)),
        by("vera", erasure(days(3))),
    )
    assert Town(*events).out == Town(*events).out


def test_a_state_is_unpacked_as_what_it_was() -> None:
    gone = Erased(6, 1, 4, 9)
    aliases_ = (Alias("vera", 7, 2, ("anon",)), Alias(None, 7), Alias("vera", 7, erased=gone), mark(gone))
    for state in (*aliases_, Lead("vera", 7, aliases=("anon",), unlinked_at=3, erased=gone)):
        assert unpack(pack(state)) == state
    assert len(pack(Alias("vera", days(0)))) == 21


def test_groups_that_the_model_has_no_more_do_not_stop_a_merge() -> None:
    town = Town(by("a", pricing(days(1))), by("b", pricing(days(1))))
    town.people._model = replace(DEFAULT, groups={k: v for k, v in DEFAULT.groups.items() if k != "web"}, rules={})
    town.tell(link("a", "b", days(2)))
    assert town.ids() == {"a": "b", "b": "b"}
