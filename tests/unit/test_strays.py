"""Trackers that choose partitions as librdkafka does by default: their leads are the same as everybody else's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from random import Random
from typing import Any
from zlib import crc32

import msgspec
import pytest
from handmade import DAY, DEFAULT, MINUTE, UNLIMITED, activity, booking, buyer, download, feedback, pricing
from hypothesis import given
from hypothesis import strategies as st
from partitions import CODEC, PARTITIONS, Worker, decoded
from slow_worker import SlowWorker
from town import by, link

from streams.engine.seam import PlainRecord
from streams.partitioning import partition_of
from streams.qualification.decay import value_at
from streams.qualification.events import Event
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.state import pack

NOW = 1_790_000_000_000
#: No forward comes later than that, however long it takes.
PATIENT = replace(DEFAULT, grace_ms=30 * DAY)
HASTE = st.sampled_from([0.0, 0.3, 0.9])


def history(dice: Random, *ids: str) -> list[Event]:
    """What some leads do within a month, in the order of time: all kinds of events but links and erasures."""
    made = []
    for number, at in enumerate(sorted(NOW + dice.randrange(25 * DAY) for _ in range(dice.randint(1, 25)))):
        one: Event = dice.choice(
            [
                pricing(at),
                pricing(at),
                download(at, dice.choice(["TOP", "BOTTOM"])),
                activity(at, dice.choice(["email_reply", "unsubscribe"])),
                buyer(at, email=None),
                booking(at, dice.choice(["BOOKED", "CANCELLED"])),
                feedback(at, dice.choice(["ACCEPTED", "REJECTED", "OPPORTUNITY"]), reason=None),
            ]
        )
        one = msgspec.structs.replace(by(dice.choice(ids), one), event_id=f"e{number}")
        made += [one] * dice.choice([1, 1, 1, 2])
    return made


def told(events: list[Event], model: Model, dice: Random, haste: float, astray: float) -> SlowWorker:
    worker = SlowWorker(model, dice)
    worker.tell(events, haste, astray)
    worker.settle()
    return worker


def outputs_of(worker: Worker) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """What subscribers hear of each lead, in order."""
    found = defaultdict(list)
    for topic, record in worker.told:
        found[record["lead_id"]].append((topic, record))
    return found


@given(st.integers(0, 2**32), HASTE)
def test_of_a_tracker_with_librdkafkas_own_partitioner_all_is_the_same_within_grace(seed: int, haste: float) -> None:
    dice = Random(seed)
    events = history(dice, "anna", "bert", "carla")
    home, strayed = (told(events, PATIENT, dice, haste, astray) for astray in (0.0, 1.0))
    assert {key: pack(state) for key, state in strayed.states.items()} == {
        key: pack(state) for key, state in home.states.items()
    }
    assert outputs_of(strayed) == outputs_of(home)


@given(st.integers(0, 2**32), HASTE)
def test_a_lead_of_trackers_with_either_partitioner_has_the_groups_of_one(seed: int, haste: float) -> None:
    """What comes the straight way overtakes what strays, so episodes may begin elsewhere; sums know no order."""
    dice = Random(seed)
    events = history(dice, "anna", "bert")
    forbearing = replace(UNLIMITED, grace_ms=PATIENT.grace_ms)
    home, mixed = (told(events, forbearing, dice, haste, astray) for astray in (0.0, 0.5))
    assert mixed.states.keys() == home.states.keys()
    for key, lead in home.states.items():
        other = mixed.states[key]
        assert other.groups.keys() == lead.groups.keys()
        for name, (value, as_of) in lead.groups.items():
            half_life = UNLIMITED.groups[name].half_life_ms
            end = max(as_of, other.groups[name][1])
            assert value_at(*other.groups[name], end, half_life) == pytest.approx(
                value_at(value, as_of, end, half_life), abs=1e-6
            )
        assert (set(other.seen), other.visits, other.profile) == (set(lead.seen), lead.visits, lead.profile)
    for outputs in outputs_of(mixed).values():
        said = [one["sequence"] for topic, one in outputs if topic != "lead-scores"]
        assert said == list(range(1, len(said) + 1))


@given(st.integers(0, 2**32), HASTE, st.sampled_from([0.5, 1.0]))
def test_links_that_stray_bring_everything_to_their_lead(seed: int, haste: float, astray: float) -> None:
    dice = Random(seed)
    views = [by(dice.choice(["v1", "v2", "anna"]), pricing(NOW + number)) for number in range(dice.randint(1, 9))]
    links = [link("v1", "v2", NOW + 3), link("v2", "anna", NOW + 5)]
    events: list[Event] = [*views, *links]
    dice.shuffle(events)
    worker = told(events, replace(UNLIMITED, grace_ms=DAY), dice, haste, astray)
    leads = {key: state for key, state in worker.states.items() if isinstance(state, Lead)}
    assert list(leads) == [b"anna"]
    value, _ = leads[b"anna"].groups["web"]
    assert value == pytest.approx(10.0 * len(views), abs=1e-3)


def record_of(one: Event, partition: int, *, offset: int = 7) -> PlainRecord:
    """A page view or activity on a partition."""
    topic = {"page_view": "page-views", "activity": "activities"}[one.kind]
    fields = {**one.fields, "event_id": one.event_id, "lead_id": one.lead_id, "occurred_at": one.occurred_at}
    return PlainRecord(topic, partition, offset, one.arrival, one.lead_id.encode(), CODEC.encode(topic, fields))


HOME = partition_of(b"anna", PARTITIONS)
ASTRAY = crc32(b"anna") % PARTITIONS
assert ASTRAY != HOME


def view(at: int = NOW, **fields: Any) -> Event:
    return by("anna", pricing(at, **fields))


def test_a_lead_that_is_known_at_home_is_forwarded_each_time_and_once() -> None:
    worker = Worker()
    worker.take(record_of(view(NOW), HOME))
    for number in range(1, 4):
        (stray,) = worker.take(record_of(by("anna", activity(NOW + number, "email_reply")), ASTRAY))
        assert stray["forwarded"]["hops"] == 1
        assert worker.batches[ASTRAY].states == {}
    assert {name: round(value, 3) for name, (value, _) in worker.states[b"anna"].groups.items()} == {
        "web": 10.0,
        "email": 36.0,
    }


@pytest.mark.parametrize("ways", [(HOME, ASTRAY), (ASTRAY, HOME), (ASTRAY, ASTRAY)])
def test_an_event_that_both_partitioners_published_counts_once(ways: tuple[int, int]) -> None:
    worker = Worker()
    for way in ways:
        worker.take(record_of(view(event_id="one"), way))
    assert worker.states[b"anna"].groups == {"web": (10.0, NOW)}


def test_a_forwarded_event_arrived_when_it_came_first() -> None:
    """Its own clock may be ahead of that, never of the forward: that would be believed."""
    worker = Worker()
    ahead = record_of(view(NOW + MINUTE), ASTRAY)._replace(timestamp=NOW)
    (stray,) = worker.handle(ahead)
    worker.take(stray._replace(timestamp=NOW + DAY))
    assert worker.states[b"anna"].groups == {"web": (10.0, NOW)}


def letters_of(worker: Worker) -> list[dict[str, Any]]:
    return [record for topic, record in worker.told if topic == "dead-letters"]


def test_bad_input_on_a_wrong_partition_is_a_dead_letter_there_with_its_own_bytes() -> None:
    worker = Worker()
    bad = record_of(view(), ASTRAY)._replace(value=b"\x00nonsense")
    assert worker.take(bad) == []
    (letter,) = letters_of(worker)
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("page-views", ASTRAY, 7)
    assert (letter["key"], letter["value"]) == (b"anna", b"\x00nonsense")


@pytest.mark.parametrize("where", [HOME, ASTRAY], ids=["at home", "going round"])
def test_what_turns_out_bad_after_it_was_forwarded_is_a_dead_letter_of_the_record_that_came(where: int) -> None:
    """A writer's schema may be known to one worker and not yet to the other."""
    worker = Worker()
    record = record_of(view(), ASTRAY)
    (stray,) = worker.handle(record)
    value = record.value
    if where == HOME:
        value = b"nonsense"
        fields = decoded("strays", stray.value)
        fields["forwarded"]["value"] = value
        stray = stray._replace(value=CODEC.encode("strays", fields))
    assert worker.take(stray._replace(partition=where, offset=99)) == []
    (letter,) = letters_of(worker)
    assert letter["error"] == ("UNDECODABLE" if where == HOME else "LOOP")
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("page-views", ASTRAY, 7)
    assert (letter["key"], letter["value"]) == (b"anna", value)
    assert worker.states == {}


@pytest.mark.parametrize("what", ["event", "erasure"])
def test_what_was_forgotten_does_not_come_back_by_a_detour(what: str) -> None:
    """Of an event and an erasure after it, one strays: it is on its way when the other comes, or comes after it."""
    worker = Worker()
    worker.take(record_of(view(NOW), HOME))
    event = record_of(by("anna", activity(NOW + 1, "email_reply")), ASTRAY if what == "event" else HOME)
    asked = {"event_id": "x", "lead_id": "anna", "occurred_at": NOW + 2, "requested_by": None}
    value = CODEC.encode("erasures", asked)
    request = PlainRecord("erasures", HOME if what == "event" else ASTRAY, 0, NOW + 2, b"anna", value)
    first, second = (event, request) if what == "event" else (request, event)
    waiting = worker.handle(first)
    worker.take(second)
    for stray in waiting:
        worker.take(stray)
    assert worker.states.keys() == {b"anna"}
    assert worker.states[b"anna"].is_mark
