"""What you are told about yourself is what the core then does."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pytest

from streams.local.demo.advice import Advice, Adviser
from streams.local.demo.you import ACTIONS, PROFILE
from streams.modelfile import read_model
from streams.qualification.events import Event, event_of
from streams.qualification.lead import Lead
from streams.qualification.lifecycle import qualified_until
from streams.qualification.model.values import Model
from streams.qualification.step import advance, step
from streams.topics import TOPICS
from streams.wire.codec import Codec

NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
SECOND_MS = 1_000
DAY_MS = 86_400_000


@cache
def default_model() -> Model:
    return read_model()


@dataclass
class Someone:
    """You, without a broker."""

    lead: Lead | None = None
    now: int = NOON
    done: int = 0
    codec: Codec = field(default_factory=Codec)

    def introduce(self) -> Someone:
        return self._happen("lead-profiles", {**PROFILE, **self._first()})

    def press(self, *keys: str) -> Someone:
        for key in keys:
            first = self._first()
            self._happen(*ACTIONS[key][1]("you", first["event_id"], first["occurred_at"]))
        return self

    def advice(self) -> Advice:
        stage = self.lead.stage if self.lead is not None else "visitor"
        return Adviser(default_model()).advise(self.lead, "you", stage, self.now)

    def _first(self) -> dict:
        self.done += 1
        self.now += SECOND_MS
        return {"event_id": f"event-{self.done}", "lead_id": "you", "occurred_at": self.now}

    def _happen(self, topic: str, fields: dict) -> Someone:
        whole = self.codec.decode(topic, self.codec.encode(topic, fields))
        assert isinstance(whole, dict)
        kind = TOPICS[topic].kind
        assert kind is not None
        event: Event = event_of(kind, whole, self.now)
        self.lead, _ = step(self.lead, event, self.now, default_model())
        return self


def you() -> Someone:
    return Someone().introduce()


def test_at_first_you_are_told_every_short_way() -> None:
    assert you().advice().line == "you: 0 of 20, one download or two pricing visits to MQL"


def test_after_one_pricing_visit_one_more_is_told_to_suffice() -> None:
    someone = you().press("p")
    assert someone.advice().line == "you: 14 of 20, one more pricing visit or one download to MQL"
    assert someone.press("p").lead.stage == "mql"


def test_used_up_pricing_visits_are_told_with_what_is_left_of_them() -> None:
    someone = you().press("p", "p")
    assert "pricing visits used up for today, the next brings +4" in someone.advice().notes
    someone.now += DAY_MS
    assert not any("used up" in note for note in someone.advice().notes)


def test_a_cap_is_told_from_a_limit() -> None:
    notes = you().press("d", "d").advice().notes
    assert "downloads at their cap, the next brings nothing" in notes
    assert not any("pricing" in note for note in notes)


def test_as_an_mql_you_are_told_when_you_would_cool() -> None:
    someone = you().press("p", "p")
    note = someone.advice().notes[0]
    assert note == "MQL until 22 Dec"
    until = qualified_until(someone.lead, default_model())
    cooled, _ = advance(someone.lead, until, default_model())
    assert cooled.stage == "lead"


def test_from_mql_the_way_to_sql_is_told() -> None:
    assert you().press("p", "p").advice().line == "you: 28 of 60, one demo booking or two downloads to SQL"


def test_as_an_sql_there_is_nothing_left_to_reach() -> None:
    assert you().press("b").advice().line == "you: 60, and an SQL: nothing left to reach, sales takes over"


def test_interest_is_never_rounded_up_to_what_it_has_not_reached() -> None:
    someone = you().press("d")
    someone.lead.stage = "lead"  # as if the worker had not said so yet
    someone.now += 3_600_000
    assert someone.advice().line.startswith("you: just under 20 of 20")


@pytest.mark.parametrize("start", ["", "p", "pp", "d", "pd", "ppd"])
def test_doing_what_is_advised_does_it(start: str) -> None:
    """Each way in the line, followed literally, reaches the stage at its end and not sooner."""
    numbers = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
    keys = {"pricing": "p", "download": "d", "downloads": "d", "demo": "b"}
    line = you().press(*start).advice().line
    ways, goal = line.split(", ")[1].rsplit(" to ", 1)
    for way in ways.split(" or "):
        words = way.replace(" more", "").split()
        someone = you().press(*start)
        stages = []
        for _ in range(numbers[words[0]]):
            stages.append(someone.press(keys[words[1]]).lead.stage)
        assert stages[-1] in (goal.lower(), "sql")
        assert goal.lower() not in stages[:-1]
