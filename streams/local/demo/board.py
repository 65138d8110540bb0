"""What has been seen so far, put in order for showing. No Kafka and no terminal in here.

Stages and qualifications are what the worker's topics say. How warm a lead is between two LeadScores is
worked out from the input topics with the same pure core that the worker runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from streams.local.demo.watcher import Seen
from streams.qualification.events import event_of
from streams.qualification.fit import fit_of
from streams.qualification.interest import interest_at
from streams.qualification.lead import VISITOR, Lead
from streams.qualification.model.values import Model
from streams.qualification.step import judged_at, step_owned
from streams.topics import INPUT_TOPICS, TOPICS

#: Over how long a rate is taken, in seconds.
_RATE_SECONDS = 3.0
_KEPT = 200
#: A lead that did something within this long (ms) counts as warming.
_WARMING_MS = 24 * 3_600_000

_INPUTS = frozenset(topic.name for topic in INPUT_TOPICS)
#: Of one lead each, and keyed by it.
_FOLLOWED = _INPUTS - {"identity-links", "erasures"}


@dataclass(frozen=True, slots=True)
class Row:
    """One lead, as the board shows it. `peak` is the most interest that it has had."""

    lead_id: str
    name: str
    stage: str
    band: str
    interest: float
    peak: float
    warming: bool
    resting: bool


@dataclass(frozen=True, slots=True)
class Remark:
    """Something worth a line: a Qualification, or a LifecycleEvent that is not the shadow of one."""

    at: int
    lead_id: str
    name: str
    what: str
    reason: str
    until: int | None = None


class Board:
    """Takes records in, answers what to show. Times are ms."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.counts = {name: 0 for name, topic in TOPICS.items() if topic.role != "internal"}
        #: MQL and SQL events, oldest first.
        self.qualifications: deque[Remark] = deque(maxlen=_KEPT)
        #: Everything else that happened to a lead, oldest first.
        self.remarks: deque[Remark] = deque(maxlen=_KEPT)
        self.stream_time = 0
        self.leads: dict[str, Lead] = {}
        self._partition_time: dict[int, int] = {}
        self._stages: dict[str, str] = {}
        self._peaks: dict[str, float] = {}
        self._samples: deque[tuple[float, dict[str, int]]] = deque()

    @property
    def events(self) -> int:
        """How many records came in."""
        return sum(self.counts[name] for name in _INPUTS)

    def take(self, seen: Seen) -> Remark | None:
        """Take a record in. Returns what it adds to `qualifications` or `remarks`, if anything."""
        self.counts[seen.topic] += 1
        event = seen.event
        if event is None:
            return None
        if seen.topic in _FOLLOWED:
            self._follow(seen.topic, seen.partition, event, seen.arrival)
        elif seen.topic in ("mql-events", "sql-events"):
            return self._qualified(event)
        elif seen.topic == "lifecycle-events":
            return self._changed(event)
        elif seen.topic == "dead-letters":
            return self._refused(event)
        return None

    def stage_of(self, lead_id: str) -> str:
        return self._stages.get(lead_id, VISITOR)

    def warmest(self, count: int, at: int) -> list[Row]:
        """The `count` leads with most interest at `at`, warmest first."""
        warmth = sorted(
            ((interest_at(lead, self.model, at), lead_id) for lead_id, lead in self.leads.items()),
            reverse=True,
        )
        return [self.row(lead_id, at) for _, lead_id in warmth[:count]]

    def row(self, lead_id: str, at: int) -> Row:
        """What there is to show of one lead that has been seen."""
        lead = self.leads[lead_id]
        interest = interest_at(lead, self.model, at)
        return Row(
            lead_id,
            self._name(lead_id, lead.profile),
            self.stage_of(lead_id),
            self.model.band(fit_of(lead.profile, self.model)),
            interest,
            max(interest, self._peaks.get(lead_id, 0.0)),
            at - lead.last_scored < _WARMING_MS,
            lead.resting,
        )

    def tick(self, now: float) -> None:
        """Note how far the counts are at `now` (monotonic seconds), for the rates."""
        self._samples.append((now, dict(self.counts)))
        while now - self._samples[0][0] > _RATE_SECONDS:
            self._samples.popleft()

    def rate(self, topic: str) -> float:
        """Records a second of `topic` over the last seconds."""
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after[topic] - before[topic]) / (last - first)

    def _follow(self, topic: str, partition: int, fields: dict[str, Any], arrival: int) -> None:
        kind = TOPICS[topic].kind
        assert kind is not None, "inputs have kinds"
        event = event_of(kind, fields, arrival)
        lead = self.leads.get(event.lead_id)
        stream_time = self._partition_time.get(partition, 0)
        at = judged_at(lead, event, stream_time, self.model)
        self._partition_time[partition] = max(stream_time, event.occurred_at)
        self.stream_time = max(self.stream_time, event.occurred_at)
        after = step_owned(lead, event, at, self.model).lead
        if after is None:
            self.leads.pop(event.lead_id, None)
            return
        self.leads[event.lead_id] = after
        interest = interest_at(after, self.model, at)
        self._peaks[event.lead_id] = max(interest, self._peaks.get(event.lead_id, 0.0))

    def _qualified(self, record: dict[str, Any]) -> Remark:
        remark = Remark(
            record["occurred_at"],
            record["lead_id"],
            self._name(record["lead_id"], record["profile"]),
            record["stage"],
            record["reason"],
            record["qualified_until"],
        )
        self.qualifications.append(remark)
        return remark

    def _changed(self, record: dict[str, Any]) -> Remark | None:
        lead_id, cause, to_stage = record["lead_id"], record["cause"], record["to_stage"]
        self._stages[lead_id] = to_stage
        if cause == "IDENTIFIED" or (to_stage in ("mql", "sql") and record["from_stage"] != to_stage):
            return None  # the Qualification has said it, with its reason
        if record["from_stage"] != to_stage:
            what = f"{record['from_stage']} -> {to_stage}"
        else:
            what = cause.replace("_", " ").lower()
        name = self._name(lead_id, record["profile"])
        remark = Remark(record["occurred_at"], lead_id, name, what, record["reason"] or "")
        self.remarks.append(remark)
        return remark

    def _refused(self, letter: dict[str, Any]) -> Remark:
        where = f"{letter['topic']}/{letter['partition']} at {letter['offset']}"
        remark = Remark(letter["seen_at"], "", where, "dead letter", f"{letter['error']}: {letter['detail']}")
        self.remarks.append(remark)
        return remark

    def _name(self, lead_id: str, profile: dict[str, Any] | None) -> str:
        return (profile or {}).get("name") or lead_id
