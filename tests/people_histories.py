"""What happens to people of many ids, and the walk of core and oracles side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import msgspec
from handmade import LEAD_ID, erasure
from hypothesis import assume
from hypothesis import strategies as st
from lead_histories import HAPPENINGS, HAPPENINGS_DRAWN, Happening, Make, lively, plain, timed
from oracle_people import People
from town import link

from streams.qualification.events import Changed, Event, Qualified, Scored, Transition
from streams.qualification.model.values import Model
from streams.qualification.population import Population
from streams.qualification.state import pack, unpack

#: One of them is an address that people here have.
IDS = ("a", "b", "c", "d", "email:vera@example.com")

_LINKS: list[tuple[str, Make]] = [
    plain(f"{alias} is {'not ' if revoked else ''}{to}", partial(link, alias, to, revoked=revoked))
    for alias in IDS
    for to in IDS
    if alias != to
    for revoked in (False, False, True)
]
_ERASURES = [plain("erasure", erasure)] * 6


def lives(pool: Sequence[tuple[str, Make]], length: int) -> st.SearchStrategy[list[Happening]]:
    return lively([*pool, *_LINKS * max(1, len(pool) // 150), *_ERASURES], length)


#: For the default model, and for drawn ones.
PEOPLE, PEOPLE_DRAWN = lives(HAPPENINGS, 40), lives(HAPPENINGS_DRAWN, 30)


@dataclass
class PeopleWalk:
    """What became of a history: the core's states and all of its transitions, and the oracles."""

    core: Population
    oracle: People
    transitions: list[Transition] = field(default_factory=list)
    #: who did what, by event id
    whose: dict[str, str] = field(default_factory=dict)
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


def walk_people(history: Sequence[Happening], model: Model, seed: int, *, packed: bool = False) -> PeopleWalk:
    """Let the history happen to core and oracles, event by event, each under some id. What rounding decides is
    skipped.
    """
    done = PeopleWalk(Population(model), People(model))
    for event in tell_people(history, done, Random(seed)):
        if packed:
            done.core.states.update({id_: unpack(pack(state)) for id_, state in done.core.states.items()})
        done.transitions += done.core.take(event, done.stream_time)
        done.stream_time = max(done.stream_time, event.occurred_at)
        done.oracle.handle(event)
        assume(not done.oracle.undecidable)
        granted, records = done.oracle.granted, done.qualifications
        assert len(granted) == len(records), (granted, records)
        for one, record in zip(granted, records, strict=True):
            one.event_id = record["event_id"]
    return done


def tell_people(history: Sequence[Happening], done: PeopleWalk, dice: Random) -> Iterator[Event]:
    """The events of the history in the order of telling, while `done` grows with what they bring about."""
    told: Event | None = None
    ids = IDS[: dice.choice([2, 3, 5])]
    for number, (happening, occurred_at, arrival) in enumerate(timed(history)):
        if happening.make is not None:
            made = happening.make(occurred_at, [one["event_id"] for one in done.qualifications])
            id_ = dice.choice(ids) if made.lead_id == LEAD_ID else made.lead_id
            told = msgspec.structs.replace(made, lead_id=id_, arrival=arrival, event_id=f"event-{number}")
        if told is not None:
            yield told
