"""What happens to people of many ids, and the walk of core and oracles side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

import msgspec
from handmade import BUYER, DAY, HOUR, MINUTE, erasure, profile
from hypothesis import assume
from hypothesis import strategies as st
from lead_histories import (
    EVENTFUL,
    EVENTFUL_DRAWN,
    LIMITED,
    LIMITED_DRAWN,
    Happening,
    Make,
    happening_of,
    name_granted,
    plain,
    tell,
)
from oracle_people import People
from partitions import CODEC, PARTITIONS, Worker
from town import link

from streams.engine.seam import PlainRecord
from streams.partitioning import partition_of
from streams.qualification.events import Changed, Event, Qualified, Scored, Transition
from streams.qualification.model.values import Model
from streams.qualification.population import Population
from streams.qualification.state import State, pack, unpack
from streams.topics import INPUT_TOPICS

#: One of them is an address that people here have.
IDS = ("a", "b", "c", "d", "email:vera@example.com")


def people(
    pool: Sequence[tuple[str, Make]], limited: Sequence[tuple[str, Make]], length: int = 40
) -> st.SearchStrategy[list[Happening]]:
    """Histories in which a few buyers come first, and then much happens to them within weeks, so that episodes are open
    when links tell who is who. Now and then all of it is `limited` by the day, and happens within days: on both sides
    of a link, and after it.
    """

    def history(seed: int, size: int) -> list[Happening]:
        dice = Random(seed)
        ids = IDS[-dice.choice([2, 2, 3, 5]) :]
        calm = dice.choice([HOUR, DAY, 4 * DAY, 10 * DAY])
        some = pool if dice.random() < 0.5 else dice.sample(pool, dice.randint(3, 20))  # so that few things come often
        if dice.random() < 0.2:
            calm, some = HOUR, limited
        told = [happening_of(_under(id_, _BUYER), 0, 0) for id_ in ids if dice.random() < 0.7]
        while len(told) < size:
            gap = dice.choice([0, HOUR, dice.randint(0, calm), dice.randint(0, calm), 3 * calm])
            late = dice.choice([0] * 12 + [MINUTE, 10 * MINUTE, dice.randint(0, 30 * DAY)])
            told.append(happening_of(_any_of(ids, some, dice), gap, late))
        return told

    return st.builds(history, st.integers(0, 2**32), st.integers(length // 4, length))


def _any_of(ids: Sequence[str], pool: Sequence[tuple[str, Make]], dice: Random) -> tuple[str, Make]:
    id_, other = dice.sample(ids, 2)
    chance = dice.random()
    if chance < 0.02:
        return _under(id_, plain("erasure", erasure))
    if chance < 0.12:
        revoked = dice.random() < 0.25
        words = f"{id_} is {'not ' if revoked else ''}{other}"
        return plain(words, partial(link, id_, other, revoked=revoked))
    return _under(id_, dice.choice(pool))


def _under(id_: str, made: tuple[str, Make]) -> tuple[str, Make]:
    """The same under an id."""
    words, make = made
    if make is None:
        return made
    return f"{id_}: {words}", lambda at, known: msgspec.structs.replace(make(at, known), lead_id=id_)


_BUYER = plain("buyer", lambda at: profile(at, **BUYER))
#: For the default model, and for drawn ones.
PEOPLE, PEOPLE_DRAWN = people(EVENTFUL, LIMITED), people(EVENTFUL_DRAWN, LIMITED_DRAWN)


class Wired:
    """The core as a worker runs it: in partitions, with every record and message encoded. A third of the events come on
    a partition that they don't belong to.
    """

    def __init__(self, model: Model) -> None:
        self._worker = Worker(model=model)
        self._taken = 0

    @property
    def states(self) -> dict[str, State]:
        return {key.decode(): state for key, state in self._worker.states.items()}

    @property
    def told(self) -> list[dict[str, Any]]:
        return [one for topic, one in self._worker.told if topic != "lead-scores"]

    @property
    def qualifications(self) -> list[dict[str, Any]]:
        return [one for topic, one in self._worker.told if topic in ("mql-events", "sql-events")]

    def take(self, event: Event) -> None:
        (topic,) = [topic for topic in INPUT_TOPICS if topic.kind == event.kind]
        said = {"event_id": event.event_id, "lead_id": event.lead_id, "occurred_at": event.occurred_at}
        fields = {**event.fields, **said}
        key = str(fields[topic.key_field]).encode()
        value = CODEC.encode(topic.name, fields)
        self._taken += 1
        where = (partition_of(key, PARTITIONS) + (self._taken % 3 == 0)) % PARTITIONS
        self._worker.take(PlainRecord(topic.name, where, 0, event.arrival, key, value))


@dataclass
class PeopleWalk:
    """What became of a history: the core's states and all of its transitions, and the oracles."""

    core: Population
    oracle: People
    transitions: list[Transition] = field(default_factory=list)
    stream_time: int = 0

    @property
    def qualifications(self) -> list[dict[str, Any]]:
        return [one.record for one in self.transitions if isinstance(one, Qualified)]

    @property
    def told(self) -> list[dict[str, Any]]:
        """All records with a number, in order."""
        return [one.record for one in self.transitions if isinstance(one, Qualified | Changed)]

    @property
    def lines(self) -> dict[str, list[tuple[int, str, str, str]]]:
        """Lead -> when its stage, band or route became another, by the scores that were written."""
        found: dict[str, list[tuple[int, str, str, str]]] = defaultdict(list)
        last: dict[str, tuple[str, str, str]] = {}
        for one in self.transitions:
            if not isinstance(one, Scored):
                continue
            score = one.record
            if score is None:
                last.pop(one.lead_id, None)
                continue
            line = (score["stage"], score["fit_band"], score["route"])
            if line != last.get(one.lead_id, ("visitor", "D", "NONE")):
                found[one.lead_id].append((score["as_of"], *line))
            last[one.lead_id] = line
        return dict(found)


def walk_people(history: Sequence[Happening], model: Model, *, packed: bool = False) -> PeopleWalk:
    """Let the history happen to core and oracles, event by event. What rounding decides is skipped."""
    done = PeopleWalk(Population(model), People(model))
    for event in tell(history, done):
        if packed:
            done.core.states.update({id_: unpack(pack(state)) for id_, state in done.core.states.items()})
        done.transitions += done.core.take(event, done.stream_time)
        done.stream_time = max(done.stream_time, event.occurred_at)
        done.oracle.handle(event)
        assume(not done.oracle.undecidable)
        name_granted(done.oracle.granted, done.qualifications)
    return done


def walk_wired(history: Sequence[Happening], model: Model) -> tuple[Wired, People]:
    """The same in partitions, for a history that is told as it happens: one where no stream's time is ahead."""
    wired, oracle = Wired(model), People(model)
    for event in tell([replace(one, late_ms=0) for one in history], wired):
        wired.take(event)
        oracle.handle(event)
        assume(not oracle.undecidable)
        name_granted(oracle.granted, wired.qualifications)
    return wired, oracle
