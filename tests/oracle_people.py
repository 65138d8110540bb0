"""Many oracles, one for each id, and who is who among them: as if what ids tell each other arrived at once.

Nothing is remembered of who points to whom but the pointers themselves: who is meant is found by asking everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from oracle_person import Person
from oracle_standing import DAY, Granted, Happened, Life

from streams.qualification.events import Event
from streams.qualification.model.values import Model


@dataclass
class Pointer:
    """What an id does is done by `to` (None: not any more), since a link of `since`; at `ends` it is forgotten."""

    to: str | None
    since: int
    ends: int | None = None


@dataclass
class Erased:
    """An id was forgotten as of `until`, asked for at `asked_at`: what is older is not heard any more, until `kept`.

    Links up to `followed` have their way, or are of no interest; those after it take the erasure along.
    """

    asked_at: int
    until: int
    followed: int
    kept: int


class People:
    """All ids. `handle` events in the order of telling, then read `told` and the persons."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.persons: dict[str, Person] = {}
        self.pointers: dict[str, Pointer] = {}
        self.erasures: dict[str, Erased] = {}
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
        self._stream_time = max(self._stream_time, at)
        for id_ in [*self.persons, *self.pointers]:
            self._say(lambda one=id_: self._pass_time(one, at))  # type: ignore[misc]

    def ended(self, id_: str, asked_at: int, until: int, cause: str, arrival: int) -> None:
        """Nothing is known under an id any more: those that point to it do so no more, but for newer links."""
        for one, pointer in list(self.pointers.items()):
            if pointer.to == id_:
                word = lambda one=one: self._ended(one, id_, asked_at, until, cause, arrival)  # noqa: E731
                self._words.append(word)  # type: ignore[arg-type]

    def _erased(self, id_: str, occurred_at: int, at: int) -> Erased | None:
        """The erasure of the id that came before something older did, if it did."""
        found = self.erasures.get(id_)
        return found if found is not None and occurred_at <= found.until and at < found.kept else None

    def _remember(self, id_: str, event: Event, until: int, linked_at: int) -> None:
        """An erasure was asked of the id itself, which was linked, or was not any more, at `linked_at` last."""
        before = self.erasures.get(id_)
        if before is not None and until >= before.kept:
            before = None
        followed = linked_at if before is None or linked_at > before.until else before.followed
        self.erasures[id_] = Erased(event.occurred_at, until, followed, max(until, event.arrival) + 7 * DAY)

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
        self._drop(id_, pointer.ends, pointer.ends, pointer.ends, "EXPIRED", pointer.ends)
        return None

    def _drop(self, id_: str, at: int, asked_at: int, until: int, cause: str, arrival: int) -> None:
        del self.pointers[id_]
        self.person(id_).ends(at, cause)
        self.ended(id_, asked_at, until, cause, arrival)

    def _hear(self, event: Event) -> None:
        if event.kind == "identity_link":
            alias, revoked = event.fields["anonymous_id"], event.fields["revoked"]
            self._link(alias, event.lead_id, event.occurred_at, event.arrival, revoked=revoked)
        else:
            self._event(event.lead_id, event, ())

    def _event(self, id_: str, event: Event, passed: tuple[str, ...]) -> None:
        at = self._now(event.occurred_at)
        pointer, person = self._pointer(id_, at), self.person(id_)
        is_erasure, nobody = event.kind == "erasure", pointer is None and person.life is None
        seen_at = max(at, person.life.as_of) if person.life is not None else at
        if self._erased(id_, event.occurred_at, seen_at) and (nobody or not is_erasure):
            return
        if pointer is not None and pointer.to is not None and (is_erasure or id_ not in passed):
            if is_erasure:
                self._remember(id_, event, at, pointer.since)
                self._drop(id_, at, event.occurred_at, at, "ERASED", event.arrival)
            to = pointer.to
            self._words.append(lambda: self._event(to, event, (*passed, id_)))
            return
        person.stream_time = self._stream_time
        address = self._address(person)
        if is_erasure:
            old = self.erasures.get(id_)
            since = old.until if nobody and old is not None and at < old.kept else person.unlinked_at
            self._remember(id_, event, seen_at, pointer.since if pointer is not None else since)
            self.pointers.pop(id_, None)
        person.handle(msgspec.structs.replace(event, lead_id=id_))
        if pointer is not None and person.life is not None:
            person.unlinked_at = pointer.since
            del self.pointers[id_]
        elif pointer is not None and id_ in self.pointers:
            pointer.ends = pointer.ends or at + self.model.visitor_ttl_ms
            pointer.to = None
        elif nobody and person.life is not None:
            self._lives_anew(id_, at)
        new = self._address(person)
        if new not in (address, id_, None):
            self._words.append(lambda: self._link(f"{new}", id_, event.occurred_at, event.arrival, known=True))

    def _lives_anew(self, id_: str, at: int) -> None:
        before = self.erasures.get(id_)
        if before is not None and at < before.kept:
            self.person(id_).unlinked_at = before.until

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
        before = self._erased(alias, since, now)
        if before is not None:
            if not revoked and since > before.followed:
                before.followed = since
                asked = Event("erasure", to, "", before.asked_at, arrival, {})
                self._words.append(lambda: self._event(to, asked, ()))
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
        before = self._erased(id_, since, at)
        if before is not None:
            asked_at, until = before.asked_at, before.until
            self._words.append(lambda: self._ended(passed[-1], id_, asked_at, until, "ERASED", arrival))
            return
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
            self._lives_anew(id_, at)
        if pointer is not None:
            person.unlinked_at = pointer.since
            del self.pointers[id_]
        person.absorb(theirs, at, since, arrival)

    def _ended(self, id_: str, target: str, asked_at: int, until: int, cause: str, arrival: int) -> None:
        at = self._now(asked_at)
        pointer = self._pointer(id_, at)
        if pointer is None or pointer.to != target:
            return
        if pointer.since > until:
            since = pointer.since
            self._words.append(lambda: self._meet(target, (id_,), None, since, since))
        else:
            if cause == "ERASED":
                self.erasures[id_] = Erased(asked_at, until, until, max(until, arrival) + 7 * DAY)
            self._drop(id_, at, asked_at, until, cause, arrival)
