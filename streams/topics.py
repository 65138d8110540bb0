"""The topic table: every topic's name, record, key and retention.

Pure data; `streams.kafka` creates topics from it, `streams.wire` finds schemas by it. The order of the input topics is
part of the contract: events with the same time are handled in this order (docs in `streams.engine`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DAY_MS = 86_400_000
RETENTION_MS = 400 * DAY_MS
DEFAULT_PARTITIONS = 12

Role = Literal["input", "internal", "output"]

_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(DAY_MS),
}
_KEPT = {"cleanup.policy": "delete", "retention.ms": str(RETENTION_MS)}
#: Arrival is the producer's clock; a clock far ahead would drag stream time into the future.
#: A value that is far too large is taken all the same, to become a dead letter instead of a producer's loss.
_INPUT = {**_KEPT, "message.timestamp.after.max.ms": "300000", "max.message.bytes": str(10 * 1024 * 1024)}


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: `record` is the Avro record name (`schemas/<name>.avsc`), `kind` what model rules call its events."""

    name: str
    record: str
    role: Role
    kind: str | None = None
    key_field: str = "lead_id"
    config: dict[str, str] = field(default_factory=lambda: dict(_KEPT), hash=False)


def _input(name: str, record: str, kind: str, key_field: str = "lead_id") -> Topic:
    return Topic(name, record, "input", kind, key_field, dict(_INPUT))


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        _input("page-views", "PageView", "page_view"),
        _input("email-opens", "EmailOpen", "email_open"),
        _input("downloads", "Download", "download"),
        _input("demo-bookings", "DemoBooking", "demo_booking"),
        _input("activities", "Activity", "activity"),
        _input("lead-profiles", "LeadProfile", "lead_profile"),
        _input("sales-feedback", "SalesFeedback", "sales_feedback"),
        _input("erasures", "Erasure", "erasure"),
        _input("identity-links", "IdentityLink", "identity_link", "anonymous_id"),
        # A forwarded event is a little larger than the event.
        Topic("strays", "Stray", "internal", config={**_KEPT, "max.message.bytes": _INPUT["max.message.bytes"]}),
        Topic("mql-events", "Qualification", "output"),
        Topic("sql-events", "Qualification", "output"),
        Topic("lifecycle-events", "LifecycleEvent", "output"),
        Topic("lead-scores", "LeadScore", "output", config=dict(_COMPACTED)),
        Topic("dead-letters", "DeadLetter", "output", key_field="key"),
    )
}

INPUT_TOPICS: tuple[Topic, ...] = tuple(t for t in TOPICS.values() if t.role == "input")
#: What a worker reads, in the order of handling: what others say of an id comes after what is said under it.
SOURCE_TOPICS: tuple[Topic, ...] = (*INPUT_TOPICS, TOPICS["strays"])
OUTPUT_TOPICS: tuple[Topic, ...] = tuple(t for t in TOPICS.values() if t.role == "output")


def changelog_topic(app_id: str) -> Topic:
    """The compacted changelog of the worker group `app_id`."""
    return Topic(f"{app_id}-leads-changelog", "", "internal", config=dict(_COMPACTED))


def relay_memory_topic(app_id: str) -> Topic:
    """What the relay remembers of each lead and target, beside the leads' partitions."""
    return Topic(f"{app_id}-relay-memory", "", "internal", config=dict(_COMPACTED))


def relay_retries_topic(app_id: str) -> Topic:
    """Dead letters on their way back to the target that they are of."""
    return Topic(f"{app_id}-relay-retries", "DeadLetter", "internal", config=dict(_KEPT))
