"""What people of several ids do comes to the same states, marks of erasures included, whatever arrives first."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from handmade import DEFAULT, days
from hypothesis import given, settings
from hypothesis import strategies as st
from network import Network

from streams.qualification.events import Event, event_of
from streams.qualification.identity import receive
from streams.qualification.messages import Forget, Link
from streams.qualification.population import Population
from streams.qualification.state import Alias
from streams.topics import TOPICS
from streams.wire.codec import Codec
from tests.chaos.workload import DAY, Workload

CODEC = Codec()


def life(seed: int) -> list[Event]:
    """One of the people of the chaos runs: links, revoked ones, chains, addresses, erasures."""
    events = []
    for number, (step, fields) in enumerate(Workload(seed, 1, 12).life_of(f"person-{seed}")):
        decoded = CODEC.decode(step.topic, CODEC.encode(step.topic, fields))
        assert isinstance(decoded, dict)
        events.append(event_of(TOPICS[step.topic].kind or "", decoded, fields["occurred_at"] + 150 * DAY + number))
    return events


@given(st.integers(0, 2**32), st.floats(0, 0.97))
@settings(max_examples=300)
def test_people_of_several_ids_are_the_same_in_the_end(seed: int, haste: float) -> None:
    model = replace(DEFAULT, grace_ms=2 * DAY)
    population, network = Population(model), Network(model, Random(seed))
    events = life(seed)
    for one in events:
        population.take(one, one.occurred_at)
    network.tell(events, haste)
    network.settle()
    assert network.states == population.states


def test_an_alias_that_a_newer_link_has_moved_by_then_keeps_the_mark_of_its_erasure() -> None:
    forget = Forget("email:a", "e-1", days(3), "known", days(3), erased=True, arrival=days(3))
    links = [Link("email:a", lead, lead, days(at), days(at), known=True) for lead, at in (("known", 1), ("visitor", 5))]
    states = []
    for messages in ([links[0], forget, links[1]], [links[1], links[0], forget], [links[0], links[1], forget]):
        state = None
        for one in messages:
            state = receive("email:a", state, one, days(5), DEFAULT).state
        states.append(state)
    assert states[0] == states[1] == states[2]
    assert isinstance(states[0], Alias)
    assert states[0].to == "visitor"
    assert states[0].erased is not None
    assert states[0].erased.until == days(3)


def test_who_was_another_lead_at_the_time_of_an_erasure_keeps_what_it_did_then() -> None:
    """A lead that was left long ago tells its former aliases of its erasure, too."""
    state = None
    for lead, at in (("left", 1), ("stayed", 2), ("stayed", 5)):
        state = receive("a", state, Link("a", lead, f"{lead}-{at}", days(at), days(at)), days(5), DEFAULT).state
    forget = Forget("a", "e-1", days(3), "left", days(3), erased=True, arrival=days(3))
    outcome = receive("a", state, forget, days(5), DEFAULT)
    assert outcome.state == state
    assert not outcome.transitions


def test_who_became_an_alias_after_an_erasure_keeps_what_it_did_before() -> None:
    """The lead hears of its erasure when it has the alias already."""
    state = receive("a", None, Link("a", "lead", "e-5", days(5), days(5)), days(5), DEFAULT).state
    forget = Forget("a", "e-1", days(3), "lead", days(3), erased=True, arrival=days(3))
    assert receive("a", state, forget, days(5), DEFAULT).state == state
