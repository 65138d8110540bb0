"""However one person's events are spread over ids, and in whatever order links tell so: groups are those of one lead.

The sums are the naive oracle's, which hears every event under one id.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from handmade import DAY, UNLIMITED, event
from hypothesis import assume, given
from hypothesis import strategies as st
from lead_histories import Happening, Walk, behaviour, bookings, histories, models, profiles, tell
from msgspec.structs import replace as changed
from network import Network
from oracle import Oracle

from streams.qualification.decay import value_at
from streams.qualification.events import Changed, Event, Qualified, Transition
from streams.qualification.lead import Lead
from streams.qualification.memory import REMEMBERED_EVENTS
from streams.qualification.messages import Merge
from streams.qualification.model.values import Model
from streams.qualification.population import Population
from streams.qualification.state import Alias, pack, unpack

FOREVER = replace(UNLIMITED, visitor_ttl_ms=10_000 * DAY)
CONTRIBUTIONS = histories(behaviour().filter(lambda made: "one" not in made[0] and "two" not in made[0]))
#: Ids of one person. Which are linked to which is drawn: each but the last points to a later one, so there is no loop.
IDS = ("a", "b", "c", "d")


def events_of(history: Sequence[Happening], model: Model) -> list[Event]:
    told = tell(history, Walk(None, [], Oracle(model)))
    # A repeat of an id's own event is a test of its own: which of two ids hears it first is no matter of one lead.
    return list({event.event_id: event for event in told}.values())


def link(alias: str, to: str, at: int, *, revoked: bool = False) -> Event:
    return changed(event("identity_link", at, anonymous_id=alias, revoked=revoked), lead_id=to)


class Packed(Population):
    """A population whose states, those on their way too, are packed and unpacked all the time."""

    def take(self, event: Event, stream_time: int) -> list[Transition]:
        out = super().take(event, stream_time)
        for id_, state in self.states.items():
            self.states[id_] = unpack(pack(state))
        return out


def values_of(leads: Sequence[Lead], at: int) -> dict[str, float]:
    found: Counter[str] = Counter()
    for lead in leads:
        for name, sum_ in lead.groups.items():
            found[name] += value_at(*sum_, at, FOREVER.groups[name].half_life_ms)
    return dict(found)


def assert_sums(leads: Sequence[Lead], events: Sequence[Event]) -> None:
    oracle = Oracle(FOREVER)
    for one in events:
        oracle.handle(one)
    assert oracle.life is not None
    end = max(one.occurred_at for one in events) + 30 * DAY
    scale: Counter[str] = Counter()
    for given_ in oracle.life.given:
        scale[given_.group] += abs(given_.points)
    expected = {name: pytest.approx(oracle.group_value(name, end), abs=1e-9 * scale[name], rel=0) for name in scale}
    assert values_of(leads, end) == expected


@given(CONTRIBUTIONS, st.integers(0, 2**32), st.booleans())
def test_groups_are_those_of_one_lead_that_did_it_all(history: Sequence[Happening], seed: int, repeats: bool) -> None:
    """Events under any of four ids, links between them at any moment and in any order, chains and repeats."""
    events = events_of(history, FOREVER)
    assume(events)
    dice = random.Random(seed)
    links = [(alias, dice.choice(IDS[number + 1 :])) for number, alias in enumerate(IDS[:-1])]
    stream: list[Event] = [changed(one, lead_id=dice.choice(IDS)) for one in events]
    dice.shuffle(stream)
    last = max(one.occurred_at for one in events)
    for alias, to in links:
        made = link(alias, to, dice.randint(0, last))
        for _ in range(dice.randint(1, 3) if repeats else 1):
            stream.insert(dice.randint(0, len(stream)), made)
    people = Packed(FOREVER)
    for one in stream:
        people.take(one, one.occurred_at)
    assert {id_ for id_, state in people.states.items() if isinstance(state, Alias)} == set(IDS[:-1])
    assert set(people.leads) == {"d"}
    assert_sums([people.leads["d"]], events)
    assert sorted(alias for state in people.states.values() for alias in state.aliases) == list(IDS[:-1])


@given(CONTRIBUTIONS, st.integers(0, 2**32))
def test_nothing_is_lost_or_counted_twice_whatever_links_say(history: Sequence[Happening], seed: int) -> None:
    """Loops, links to somebody else, revoked ones: who has what then is a matter of order, but not how much it is."""
    events = events_of(history, FOREVER)
    assume(events)
    dice = random.Random(seed)
    stream: list[Event] = [changed(one, lead_id=dice.choice(IDS)) for one in events]
    last = max(one.occurred_at for one in events)
    for _ in range(12):
        alias, to = dice.sample(IDS, 2)
        made = link(alias, to, dice.randint(0, last), revoked=dice.random() < 0.3)
        stream.insert(dice.randint(0, len(stream)), made)
    people = Packed(FOREVER)
    for one in stream:
        people.take(one, one.occurred_at)
    assert_sums(list(people.leads.values()), events)


@given(CONTRIBUTIONS, st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 0.9]), st.booleans())
def test_groups_are_the_same_however_long_messages_take(
    history: Sequence[Happening], seed: int, haste: float, wild: bool
) -> None:
    """Links without loops bring everything to one lead; of others the sum is the same. Numbers have no gaps."""
    events = events_of(history, FOREVER)
    assume(events)
    dice = random.Random(seed)
    stream: list[Event] = [changed(one, lead_id=dice.choice(IDS)) for one in events]
    last = max(one.occurred_at for one in events)
    for number, alias in enumerate(IDS[:-1]):
        for _ in range(dice.randint(1, 3)):
            to = dice.choice([id_ for id_ in IDS if id_ != alias] if wild else IDS[number + 1 :])
            made = link(alias, to, dice.randint(0, last), revoked=wild and dice.random() < 0.3)
            for _ in range(dice.randint(1, 2)):
                stream.insert(dice.randint(0, len(stream)), made)
    network = Network(FOREVER, dice)
    network.tell(stream, haste)
    network.settle()
    leads = [state for state in network.states.values() if isinstance(state, Lead)]
    if not wild:
        assert [lead.lead_id for lead in leads] == ["d"]
        assert set(network.aliases) == set(IDS[:-1])
    assert_sums(leads, events)
    records = [one.record for one in network.out if isinstance(one, Changed | Qualified)]
    for id_ in IDS:
        _assert_lives([one for one in records if one["lead_id"] == id_])


@given(CONTRIBUTIONS, st.integers(0, 2**32))
def test_an_event_that_comes_again_after_a_link_counts_once(history: Sequence[Happening], seed: int) -> None:
    events = events_of(history, FOREVER)[: REMEMBERED_EVENTS // 2]
    assume(events)
    dice = random.Random(seed)
    stream = [changed(one, lead_id=dice.choice("ab")) for one in events]
    last = max(one.occurred_at for one in events)
    people = Population(FOREVER)
    for one in (*stream, link("a", "b", last), *stream):
        people.take(one, one.occurred_at)
    assert_sums([people.leads["b"]], events)


LIVES = histories(behaviour(), bookings(), profiles())


@given(models(), LIVES, st.integers(0, 2**32))
def test_what_is_said_of_people_of_many_ids_keeps_its_rules(
    model: Model, history: Sequence[Happening], seed: int
) -> None:
    """One MQL and one SQL event an episode, numbers without gaps, stages told from the one before, no id twice."""
    dice = random.Random(seed)
    stream = sorted(
        (changed(one, lead_id=dice.choice(IDS)) for one in events_of(history, model)), key=lambda one: one.occurred_at
    )
    assume(stream)
    for _ in range(8):
        alias, to = dice.sample(IDS, 2)
        place = dice.randint(0, len(stream) - 1)
        stream.insert(place, link(alias, to, stream[place].occurred_at, revoked=dice.random() < 0.3))
    people, out = Packed(model), list[Transition]()
    for one in stream:
        out += people.take(one, one.occurred_at)
    for id_ in list(people.states):
        out += people.advance(id_, stream[-1].occurred_at + 100 * DAY)
    records = [one.record for one in out if isinstance(one, Changed | Qualified)]
    granted = Counter((one["episode_id"], one["stage"]) for one in records if "path" in one)
    assert set(granted.values()) <= {1}
    assert len({one["event_id"] for one in records}) == len(records)
    for id_ in IDS:
        _assert_lives([one for one in records if one["lead_id"] == id_])
    assert all(one.lead is None or one.lead.lead_id == one.passed[0] for one in out if isinstance(one, Merge))


def _assert_lives(records: Sequence[dict[str, object]]) -> None:
    """Numbers go on after a lead was merged away; one that expired begins anew."""
    stage, number = "visitor", 0
    for one in records:
        assert one["sequence"] == number + 1, records
        number = 0 if one.get("cause") == "EXPIRED" else one["sequence"]
        if "from_stage" in one:
            assert one["from_stage"] == stage
            stage = one["to_stage"]


@given(LIVES, st.integers(0, 2**32))
def test_people_are_the_same_on_every_replay(history: Sequence[Happening], seed: int) -> None:
    dice = random.Random(seed)
    stream = [changed(one, lead_id=dice.choice("ab")) for one in events_of(history, FOREVER)]
    assume(stream)
    stream.insert(dice.randint(0, len(stream)), link("a", "b", stream[0].occurred_at))
    first, second = Population(FOREVER), Population(FOREVER)
    assert [first.take(one, one.occurred_at) for one in stream] == [second.take(one, one.occurred_at) for one in stream]
    assert first.states == second.states
