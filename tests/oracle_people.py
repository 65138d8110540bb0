"""Many oracles, one for each id, and who is who among them: as if what ids tell each other arrived at once.

Nothing is remembered of who points to whom but the pointers themselves: who is meant is found by asking everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from oracle import Oracle
from oracle_standing import Given, Granted, Happened, Life

from streams.qualification.events import Event
from streams.qualification.model.values import Model

WAY = ["visitor", "lead", "mql", "sql", "disqualified", "opportunity", "customer"]
CALLED_OFF = ("CANCELLED", "NO_SHOW")


@dataclass
class Pointer:
    """What an id does is done by `to` (None: not any more), since a link of `since`; at `ends` it is forgotten."""

    to: str | None
    since: int
    ends: int | None = None


class Person(Oracle):
    """The life under one id."""

    def __init__(self, id_: str, people: People) -> None:
        super().__init__(people.model)
        self.id_ = id_
        self._people = people
        #: links that are not newer than this say nothing
        self.unlinked_at = 0
        #: how much was said of the id since it was forgotten last
        self.number = 0

    def absorb(self, theirs: Life | None, at: int, since: int, arrival: int) -> None:
        """It turns out that `theirs` is this person too, by a link of `since`; None: nothing is known but that."""
        life = self._life
        life.as_of = at
        life.last_event = max(life.last_event, at)
        if theirs is not None:
            self._join(theirs, at)
        if life.stage == "visitor":
            self._happens(at, "IDENTIFIED", "lead", since=since)
        self._known, self._worth = {}, {}
        self._look_closely(at)
        self._judge(at, "MERGED", arrival)
        self.pass_time(at)

    def taken(self, at: int) -> Life | None:
        """The life as of `at`, of which nothing is left here."""
        self.pass_time(at)
        life = self.life
        if life is not None:
            life.as_of = at
            stage, since = life.stage, life.stage_since
            if self.number:
                self._happens(at, "MERGED", "visitor")
                life.stage, life.stage_since = stage, since
            self.life, self.unlinked_at = None, 0
            self._known, self._worth = {}, {}
        return life

    def _join(self, theirs: Life, at: int) -> None:
        life = self._life
        self._join_bookings(theirs)
        life.events = [*theirs.events, *life.events]
        life.given = [*theirs.given, *life.given]
        life.gave += theirs.gave
        life.scored += theirs.scored
        life.silences |= theirs.silences
        life.last_event = max(life.last_event, theirs.last_event)
        life.told_low_touch |= theirs.told_low_touch
        self._known, self._worth = {}, {}
        self._join_stages(theirs, at)

    def _join_bookings(self, theirs: Life) -> None:
        """What one side has called off falls on the other too; a rule gives once for a booking, for what came first."""
        life = self._life
        fallen: list[Given] = []
        for mine, others in ((life, theirs), (theirs, life)):
            for one in mine.given:
                called_off = [
                    event.occurred_at
                    for event in others.events
                    if event.kind == "demo_booking"
                    and event.fields["booking_id"] == one.booking_id
                    and event.fields["status"] in CALLED_OFF
                ]
                if one.booking_id is not None and one.occurred_at <= max(called_off, default=0):
                    fallen.append(one)
        stand = [one for one in (*life.given, *theirs.given) if one.booking_id is not None and not _among(one, fallen)]
        for one in stand:
            rivals = [other for other in stand if (other.booking_id, other.rule) == (one.booking_id, one.rule)]
            if one is not min(rivals, key=lambda other: other.occurred_at):
                fallen.append(one)
        for side in (life, theirs):
            side.given = [one for one in side.given if not _among(one, fallen)]

    def _join_stages(self, theirs: Life, at: int) -> None:
        mine = self._life
        further = self._further(theirs)
        stage, since, episode = further.stage, further.stage_since, further.episode
        if mine.stage == theirs.stage and not (mine.episode and theirs.episode):
            since = max(mine.stage_since, theirs.stage_since)
        rests = [one for one in (mine.rest_ends, theirs.rest_ends if (theirs.rest_ends or 0) > at else None) if one]
        if rests and stage in ("mql", "sql"):
            stage, since, episode = "lead", max(mine.stage_since, theirs.stage_since), None
        breach, give_up = (further.breach, further.give_up) if episode else (None, None)
        mine.rest_ends = max(rests) if rests and stage in ("visitor", "lead") else None
        ends = [one for one in (mine.episode_ended, theirs.episode_ended) if one is not None]
        mine.episode_ended = max(ends, default=None)
        own = mine.episode
        ended = [one for one in (theirs.episode, own) if one is not None and one is not episode]
        for one in ended:
            to = ("lead" if episode is not None else stage) if one is own else None
            self._happens(at, "MERGED", to)
        if ended and episode is None:
            self._end_episode(at)
        if mine.stage != stage:
            cause = "IDENTIFIED" if (mine.stage, stage) == ("visitor", "lead") else "MERGED"
            self._happens(at, cause, stage)
        mine.stage_since, mine.episode, mine.breach, mine.give_up = since, episode, breach, give_up

    def _further(self, theirs: Life) -> Life:
        """Whose stage stays: the further one; of two as far, whose episode began first; else who has one."""
        mine = self._life
        if mine.stage != theirs.stage:
            return max(mine, theirs, key=lambda life: WAY.index(life.stage))
        if mine.episode and theirs.episode:
            return min(mine, theirs, key=lambda life: life.episode[0].at if life.episode else 0)
        return theirs if theirs.episode else mine

    def _happens(self, at: int, cause: str, to: str | None = None, since: int | None = None) -> None:
        super()._happens(at, cause, to, since)
        self._says(self.history[-1])

    def _grant(self, at: int, stage: str, path: str | None) -> None:
        super()._grant(at, stage, path)
        self._says(self.granted[-1])

    def _says(self, what: Happened | Granted) -> None:
        self.number += 1
        self._people.told.append((self.id_, self.number, what))

    def ends(self, at: int, cause: str) -> None:
        """An id that was a lead once is not even an alias any more."""
        if self.number:
            self.history.append(Happened(at, cause, "visitor", "visitor"))
            self._says(self.history[-1])
        self.number = 0

    def _forget(self, at: int, cause: str) -> None:
        asked_at = self._life.events[-1].occurred_at if cause == "ERASED" else at
        super()._forget(at, cause)
        self.number = self.unlinked_at = 0
        self._people.ended(self.id_, asked_at, at, cause)


def _among(one: Given, those: list[Given]) -> bool:
    return any(one is other for other in those)


class People:
    """All ids. `handle` events in the order of telling, then read `told` and the persons."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.persons: dict[str, Person] = {}
        self.pointers: dict[str, Pointer] = {}
        #: (id, its sequence number, what was said), in order
        self.told: list[tuple[str, int, Happened | Granted]] = []
        self._stream_time = 0
        self._words: deque[Callable[[], None]] = deque()

    @property
    def undecidable(self) -> bool:
        return any(one.undecidable for one in self.persons.values())

    @property
    def granted(self) -> list[Granted]:
        return [what for _, _, what in self.told if isinstance(what, Granted)]

    @property
    def lives(self) -> dict[str, Person]:
        return {id_: person for id_, person in self.persons.items() if person.life is not None}

    def person(self, id_: str) -> Person:
        return self.persons.setdefault(id_, Person(id_, self))

    def handle(self, event: Event) -> None:
        self._say(lambda: self._hear(event))
        self._stream_time = max(self._stream_time, event.occurred_at)

    def pass_time(self, at: int) -> None:
        for id_ in [*self.persons, *self.pointers]:
            self._say(lambda one=id_: self._pass_time(one, at))  # type: ignore[misc]

    def ended(self, id_: str, asked_at: int, until: int, cause: str) -> None:
        """Nothing is known under an id any more: those that point to it do so no more, but for newer links."""
        for one, pointer in list(self.pointers.items()):
            if pointer.to == id_:
                self._words.append(lambda one=one: self._ended(one, id_, asked_at, until, cause))  # type: ignore[misc]

    def _say(self, word: Callable[[], None]) -> None:
        self._words.append(word)
        while self._words:
            self._words.popleft()()

    def _pass_time(self, id_: str, at: int) -> None:
        if id_ in self.pointers:
            self._pointer(id_, at)
        elif id_ in self.persons:
            self.persons[id_].pass_time(at)

    def _now(self, occurred_at: int) -> int:
        return max(occurred_at, self._stream_time - self.model.grace_ms)

    def _pointer(self, id_: str, at: int) -> Pointer | None:
        pointer = self.pointers.get(id_)
        if pointer is None or pointer.ends is None or pointer.ends > at:
            return pointer
        self._drop(id_, pointer.ends, pointer.ends, pointer.ends, "EXPIRED")
        return None

    def _drop(self, id_: str, at: int, asked_at: int, until: int, cause: str) -> None:
        del self.pointers[id_]
        self.person(id_).ends(at, cause)
        self.ended(id_, asked_at, until, cause)

    def _hear(self, event: Event) -> None:
        if event.kind == "identity_link":
            alias, revoked = event.fields["anonymous_id"], event.fields["revoked"]
            self._link(alias, event.lead_id, event.occurred_at, event.arrival, revoked=revoked)
        else:
            self._event(event.lead_id, event, ())

    def _event(self, id_: str, event: Event, passed: tuple[str, ...]) -> None:
        at = self._now(event.occurred_at)
        pointer, person = self._pointer(id_, at), self.person(id_)
        if pointer is not None and pointer.to is not None and id_ not in passed:
            if event.kind == "erasure":
                self._drop(id_, at, event.occurred_at, at, "ERASED")
            to = pointer.to
            self._words.append(lambda: self._event(to, event, (*passed, id_)))
            return
        person.stream_time = self._stream_time
        address = self._address(person)
        if pointer is not None and event.kind == "erasure":
            del self.pointers[id_]
        person.handle(msgspec.structs.replace(event, lead_id=id_))
        if pointer is not None and person.life is not None:
            person.unlinked_at = pointer.since
            del self.pointers[id_]
        elif pointer is not None and id_ in self.pointers:
            pointer.ends = pointer.ends or at + self.model.visitor_ttl_ms
            pointer.to = None
        new = self._address(person)
        if new not in (address, id_, None):
            self._words.append(lambda: self._link(f"{new}", id_, event.occurred_at, event.arrival, known=True))

    def _address(self, person: Person) -> str | None:
        email = person.profile().get("email") if person.life is not None else None
        return f"email:{email.strip().lower()}" if email else None

    def _link(
        self, alias: str, to: str, since: int, arrival: int, *, revoked: bool = False, known: bool = False
    ) -> None:
        now, person = self._now(since), self.person(alias)
        pointer = self._pointer(alias, now)
        if alias == to:
            return
        life: Life | None = None
        if pointer is not None:
            if revoked:
                if pointer.to == to and since >= pointer.since:
                    self.pointers[alias] = Pointer(None, since, now + self.model.visitor_ttl_ms)
                return
            if pointer.to == to:
                pointer.since = max(since, pointer.since)
                return
            if since <= pointer.since:
                return
        elif revoked:
            return
        elif person.life is not None:
            if since <= person.unlinked_at:
                return
            life = person.taken(max(now, person.life.as_of))
        self.pointers[alias] = Pointer(to, since)
        if life is not None or not known:
            self._words.append(lambda: self._meet(to, (alias,), life, since, arrival))

    def _meet(self, id_: str, passed: tuple[str, ...], theirs: Life | None, since: int, arrival: int) -> None:
        at = self._now(since)
        pointer, person = self._pointer(id_, at), self.person(id_)
        if pointer is not None and pointer.to is not None and id_ not in passed:
            to = pointer.to
            self._words.append(lambda: self._meet(to, (*passed, id_), theirs, since, arrival))
            return
        if theirs is None and person.life is not None and person.life.stage != "visitor":
            return
        at = max([at, *(life.as_of for life in (person.life, theirs) if life is not None)])
        person.pass_time(at)
        if person.life is None:
            person.life = Life(at, since, line=("visitor", self.model.band(0.0), "NONE"))
        if pointer is not None:
            person.unlinked_at = pointer.since
            del self.pointers[id_]
        person.absorb(theirs, at, since, arrival)

    def _ended(self, id_: str, target: str, asked_at: int, until: int, cause: str) -> None:
        at = self._now(asked_at)
        pointer = self._pointer(id_, at)
        if pointer is None or pointer.to != target:
            return
        if pointer.since > until:
            since = pointer.since
            self._words.append(lambda: self._meet(target, (id_,), None, since, since))
        else:
            self._drop(id_, at, asked_at, until, cause)
