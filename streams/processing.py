"""One record's way through the worker: decode, validate, judge, encode.

`LeadLogic` is what the engine runs. It holds no state of its own: a lead's state comes from the batch and goes back
to it, and everything that leaves is emitted to the batch, which is written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from streams.engine.seam import Batch, Output, Record, Unavailable
from streams.partitioning import partition_of
from streams.qualification.events import Changed, Event, Ignored, Qualified, Scored, Transition, event_of
from streams.qualification.lead import Lead, pack, unpack
from streams.qualification.model.values import Model
from streams.qualification.step import After, advance_owned, judged_at, step_owned
from streams.qualification.turn import output_id
from streams.topics import INPUT_TOPICS
from streams.wire.bad import BadRecord
from streams.wire.cloudevents import Kind, headers_of
from streams.wire.codec import Codec
from streams.wire.deadletters import dead_letter, letter_key
from streams.wire.limits import MAX_VALUE_BYTES
from streams.wire.registry import RegistryUnavailable
from streams.wire.validation import invalid, misplaced, too_large, usable_id

CONSUMER = "worker"
DEAD_LETTERS, LIFECYCLE_EVENTS, LEAD_SCORES = "dead-letters", "lifecycle-events", "lead-scores"
QUALIFICATION_TOPICS = {"MQL": "mql-events", "SQL": "sql-events"}
#: What CloudEvents calls the events of each topic.
_CLOUD_EVENTS: dict[str, Kind] = {
    "mql-events": "mql",
    "sql-events": "sql",
    LIFECYCLE_EVENTS: "lifecycle",
    LEAD_SCORES: "score",
}

#: What the model's rules call the events of each input topic.
_KIND_OF = {topic.name: topic.kind for topic in INPUT_TOPICS if topic.kind is not None}


class Decoded(msgspec.Struct, frozen=True):
    """A record as an event, or why it is none. `time` is the event's, None for a bad record; `lead_id` is whose a bad
    record is, where that could be told.
    """

    time: int | None
    event: Event | None
    bad: BadRecord | None = None
    lead_id: str | None = None


class Counter(Protocol):
    """What hears of all that happens to records and leads."""

    def consumed(self, topic: str) -> None: ...

    def happened(self, one: Transition) -> None: ...

    def refused(self, topic: str, bad: BadRecord) -> None: ...

    def strayed(self, topic: str) -> None:
        """The first record of a lead came on a partition that its key does not belong to."""


class LeadLogic:
    """The application on the engine: every record of the input topics through the pure core."""

    def __init__(
        self,
        codec: Codec,
        model: Model,
        partitions: int,
        now: Callable[[], int],
        counter: Counter,
    ) -> None:
        """`now` is the wall clock in ms, used for a dead letter's `seen_at` alone."""
        self._partitions = partitions
        self._codec = codec
        self._model = model
        self._now = now
        self._counter = counter

    def decode(self, record: Record) -> Decoded:
        """Decode and validate a record; a bad one is a value. Raises Unavailable while the registry is away."""
        topic, raw, arrival = record.topic, record.value, record.timestamp
        if raw is not None and len(raw) <= MAX_VALUE_BYTES:
            valid = self._codec.decode_valid(topic, raw)
            if valid is not None and misplaced(topic, valid, arrival, record.key) is None:
                event = event_of(_KIND_OF[topic], valid, arrival)
                return Decoded(event.occurred_at, event)
        return self._examine(record)

    def _examine(self, record: Record) -> Decoded:
        """Decode what is not plainly right, step by step, to say what is wrong with it."""
        topic, raw = record.topic, record.value
        fields: Mapping[str, Any] | BadRecord | None = too_large(raw)
        if fields is None:
            try:
                fields = self._codec.decode(topic, raw)
            except RegistryUnavailable as error:
                raise Unavailable(str(error)) from error
        if isinstance(fields, BadRecord):
            return Decoded(None, None, fields)
        bad = invalid(topic, fields, record.timestamp, record.key)
        if bad is not None:
            lead_id = fields["lead_id"]
            return Decoded(None, None, bad, lead_id if usable_id(lead_id) else None)
        event = event_of(_KIND_OF[topic], fields, record.timestamp)
        return Decoded(event.occurred_at, event)

    def handle(self, record: Record, item: Decoded, batch: Batch) -> None:
        """Judge one event, or write a dead letter."""
        event = item.event
        self._counter.consumed(record.topic)
        if event is None:
            assert item.bad is not None
            self._counter.refused(record.topic, item.bad)
            letter = dead_letter(CONSUMER, record, item.bad, self._now(), item.lead_id)
            batch.emit(Output(DEAD_LETTERS, letter_key(record), self._codec.encode(DEAD_LETTERS, letter)))
            return
        assert record.key is not None, "an empty key is a dead letter"
        lead = batch.get(record.key)
        if lead is None and partition_of(record.key, self._partitions) != record.partition:
            self._counter.strayed(record.topic)
        at = judged_at(lead, event, batch.stream_time or 0, self._model)
        after = step_owned(lead, event, at, self._model, batch.due(record.key))
        self._settle(record.key, lead is not None, after, batch)

    def due(self, key: bytes, at: int, batch: Batch) -> None:
        """Let time pass for a lead of which something is due."""
        lead = batch.get(key)
        if lead is not None:
            self._settle(key, True, advance_owned(lead, at, self._model), batch)

    def pack(self, state: Lead) -> bytes:
        return pack(state)

    def unpack(self, payload: bytes) -> Lead:
        return unpack(payload)

    def _settle(self, key: bytes, known: bool, after: After, batch: Batch) -> None:
        if after.lead is not None:
            batch.put(key, after.lead, after.due)
        elif known:
            batch.delete(key)
        for one in after.transitions:
            self._counter.happened(one)
            if not isinstance(one, Ignored):
                batch.emit(self._output(key, one))

    def _output(self, key: bytes, one: Qualified | Changed | Scored) -> Output:
        topic, record = topic_of(one), one.record
        if record is None:
            return Output(topic, key, None)
        lead_id, kind = record["lead_id"], _CLOUD_EVENTS[topic]
        if isinstance(one, Scored):
            at = record["as_of"]
            event_id = output_id(lead_id, kind, at, record["sequence"])
        else:
            at, event_id = record["occurred_at"], record["event_id"]
        return Output(topic, key, self._codec.encode(topic, record), headers_of(event_id, kind, at, lead_id))


def topic_of(one: Qualified | Changed | Scored) -> str:
    """The topic that a transition is published on."""
    if isinstance(one, Qualified):
        return QUALIFICATION_TOPICS[one.record["stage"]]
    return LIFECYCLE_EVENTS if isinstance(one, Changed) else LEAD_SCORES
