"""What you are told about yourself: where you stand, and what would take you further.

Nothing is guessed. Each possible next thing is tried on your folded record with the real core, and what comes
out is told, frequency limits and caps included.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.local.demo.words import day_of
from streams.local.demo.you import ACTIONS
from streams.qualification.events import Event, Qualified, event_of
from streams.qualification.interest import interest_at
from streams.qualification.lead import MQL, SQL, Lead
from streams.qualification.lifecycle import qualified_until
from streams.qualification.model.values import Model
from streams.qualification.step import step
from streams.topics import TOPICS
from streams.wire.codec import Codec

#: More presses of one key than this are no advice.
_TRIES = 6
#: Between two presses: points fade from the first moment, and what would just do at one instant may not do.
_PAUSE_MS = 10_000
_WORDS = {
    "p": ("pricing visit", "pricing visits"),
    "d": ("download", "downloads"),
    "b": ("demo booking", "demo bookings"),
}
_KINDS = {"p": "page_view", "d": "download", "b": "demo_booking"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True, slots=True)
class Advice:
    """`line` is where you stand and the next step; `notes` are what is used up and when you would cool."""

    line: str
    notes: list[str]


class Adviser:
    """Tries things out under `model`. Times are ms."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._codec = Codec()

    def advise(self, lead: Lead | None, lead_id: str, stage: str, now: int) -> Advice:
        """For the lead as the topics have it at `now`, in the `stage` that the worker has said."""
        interest = interest_at(lead, self._model, now) if lead is not None else 0.0
        notes = [note for key in ("p", "d") if (note := self._used_up(lead, lead_id, key, now))]
        if stage == SQL:
            return Advice(f"you: {interest:.0f}, and an SQL: nothing left to reach, sales takes over", notes)
        if stage == MQL:
            until = qualified_until(lead, self._model) if lead is not None and lead.stage == MQL else None
            if until is not None:
                notes.insert(0, f"MQL until {day_of(until)}")
            goal, points = "SQL", self._hot()
        else:
            goal, points = "MQL", self._model.mql.interest
            notes.append("a demo booking makes an SQL at once")
        shown = _below(interest, points)
        ways = self._ways(lead, lead_id, goal, now)
        line = f"you: {shown} of {points:g}"
        if ways:
            more = _done(lead)
            line += ", " + " or ".join(_in_words(count, key, key in more) for key, count in ways) + f" to {goal}"
        return Advice(line, notes)

    def _hot(self) -> float:
        paths = [path.interest for path in self._model.sql_paths if path.interest is not None and path.bant is None]
        return min(paths, default=self._model.matrix.hot)

    def _ways(self, lead: Lead | None, lead_id: str, goal: str, now: int) -> list[tuple[str, int]]:
        """The keys that lead to `goal` by themselves, with how often each: the shortest two."""
        keys = ("p", "d") if goal == "MQL" else ("p", "d", "b")
        ways = []
        for key in keys:
            count = self._presses(lead, lead_id, key, goal, now)
            if count is not None:
                ways.append((key, count))
        return sorted(ways, key=lambda way: way[1])[:2]

    def _presses(self, lead: Lead | None, lead_id: str, key: str, goal: str, now: int) -> int | None:
        for count in range(1, _TRIES + 1):
            lead, stages = self._try(lead, lead_id, key, now + count * _PAUSE_MS, count)
            if goal in stages or "SQL" in stages:
                return count
        return None

    def _used_up(self, lead: Lead | None, lead_id: str, key: str, now: int) -> str | None:
        """What to say when pressing `key` gives less than it would a newcomer: a limit, or a cap."""
        newcomer = self._gain(None, lead_id, key, now)
        gain = self._gain(lead, lead_id, key, now)
        if gain > newcomer - 0.5:
            return None
        left = f"the next brings {gain:+.0f}" if gain > 0.5 else "the next brings nothing"
        if lead is not None and self._limited(lead, lead_id, key, now):
            return f"{_WORDS[key][1]} used up for today, {left}"
        return f"{_WORDS[key][1]} at their cap, {left}"

    def _gain(self, lead: Lead | None, lead_id: str, key: str, now: int) -> float:
        before = interest_at(lead, self._model, now) if lead is not None else 0.0
        after, _ = self._try(lead, lead_id, key, now, 0)
        return (interest_at(after, self._model, now) if after is not None else 0.0) - before

    def _limited(self, lead: Lead, lead_id: str, key: str, now: int) -> bool:
        """Whether a frequency limit stands against `key` today."""
        event = self._event(lead_id, key, now, 0)
        for rule in self._model.rules.get(event.kind, ()):
            if rule.when.matches(event.fields):
                given = lead.limits.get(rule.name, {}).get(now // 86_400_000, 0)
                return rule.at_most is not None and given >= rule.at_most
        return False

    def _try(self, lead: Lead | None, lead_id: str, key: str, now: int, number: int) -> tuple[Lead | None, set[str]]:
        """The lead after one more press of `key`, and the stages that it qualified for thereby."""
        at = now if lead is None else max(now, lead.as_of)
        after, transitions = step(lead, self._event(lead_id, key, at, number), at, self._model)
        return after, {one.record["stage"] for one in transitions if isinstance(one, Qualified)}

    def _event(self, lead_id: str, key: str, at: int, number: int) -> Event:
        topic, fields = ACTIONS[key][1](lead_id, f"attempt-{number}", at)
        # Once over the wire and back, so that every field is there as the worker would see it.
        whole = self._codec.decode(topic, self._codec.encode(topic, fields))
        kind = TOPICS[topic].kind
        assert isinstance(whole, dict), "what we encode can be decoded"
        assert kind is not None, "what keys publish goes to input topics"
        return event_of(kind, whole, at)


def _done(lead: Lead | None) -> set[str]:
    """The keys whose traces are among the strongest contributions."""
    kinds = {one.kind for group in lead.strongest.values() for one in group} if lead is not None else set()
    return {key for key, kind in _KINDS.items() if kind in kinds}


def _in_words(count: int, key: str, more: bool) -> str:
    one, many = _WORDS[key]
    return f"{_NUMBERS[count]}{' more' if more else ''} {one if count == 1 else many}"


def _below(interest: float, points: float) -> str:
    """Interest as a whole number, but never rounded up to a threshold that has not been reached."""
    return f"just under {points:g}" if round(interest) >= points > interest else f"{interest:.0f}"
