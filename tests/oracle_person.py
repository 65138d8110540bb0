"""The oracle of one id among others: whom it turns out to be, and who turns out to be it."""

from __future__ import annotations

from typing import Protocol

from oracle import Oracle
from oracle_standing import Given, Granted, Happened, Life

from streams.qualification.model.values import Model

WAY = ["visitor", "lead", "mql", "sql", "disqualified", "opportunity", "customer"]
CALLED_OFF = ("CANCELLED", "NO_SHOW")


class Others(Protocol):
    """Those that a person is among."""

    model: Model
    told: list[tuple[str, int, Happened | Granted]]

    def ended(self, id_: str, asked_at: int, until: int, cause: str, arrival: int) -> None: ...


class Person(Oracle):
    """The life under one id."""

    def __init__(self, id_: str, people: Others) -> None:
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
        asked_at = arrival = at
        if cause == "ERASED":
            asked_at, arrival = self._life.events[-1].occurred_at, self._life.events[-1].arrival
        super()._forget(at, cause)
        self.number = self.unlinked_at = 0
        self._people.ended(self.id_, asked_at, at, cause, arrival)


def _among(one: Given, those: list[Given]) -> bool:
    return any(one is other for other in those)
