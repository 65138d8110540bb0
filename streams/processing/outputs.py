"""What leaves for subscribers: transitions as records with CloudEvents headers, and dead letters."""

from __future__ import annotations

from streams.engine.seam import Output
from streams.qualification.events import Changed, Qualified, Scored
from streams.qualification.ids import output_id
from streams.wire.bad import BadRecord
from streams.wire.cloudevents import Kind, headers_of
from streams.wire.codec import Codec
from streams.wire.deadletters import Source, dead_letter, letter_key

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


def topic_of(one: Qualified | Changed | Scored) -> str:
    """The topic that a transition is published on."""
    if isinstance(one, Qualified):
        return QUALIFICATION_TOPICS[one.record["stage"]]
    return LIFECYCLE_EVENTS if isinstance(one, Changed) else LEAD_SCORES


def published(codec: Codec, key: bytes, one: Qualified | Changed | Scored) -> Output:
    """The record of a transition of the lead `key`; a tombstone for the score of a lead that is gone."""
    topic, record = topic_of(one), one.record
    if record is None:
        return Output(topic, key, None)
    lead_id, kind = record["lead_id"], _CLOUD_EVENTS[topic]
    if isinstance(one, Scored):
        at = record["as_of"]
        event_id = output_id(lead_id, kind, at, record["sequence"])
    else:
        at, event_id = record["occurred_at"], record["event_id"]
    return Output(topic, key, codec.encode(topic, record), headers_of(event_id, kind, at, lead_id))


def refused(codec: Codec, source: Source, bad: BadRecord, seen_at: int, lead_id: str | None) -> Output:
    """The dead letter of a record that could not be used; `seen_at` in ms."""
    letter = dead_letter(CONSUMER, source, bad, seen_at, lead_id)
    return Output(DEAD_LETTERS, letter_key(source), codec.encode(DEAD_LETTERS, letter))
