"""A Kafka record as an item for a target: decoded, and unwrapped when it is a dead letter that comes back."""

from __future__ import annotations

from typing import Any, NamedTuple

from confluent_kafka import Message

from streams.qualification.ids import output_id
from streams.relay.lanes import Item
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec

DEAD_LETTERS = "dead-letters"


class Raw(NamedTuple):
    """A record as it was read; as `streams.wire.deadletters` takes it. `at` is its timestamp, in ms."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    at: int = 0


def raw_of(message: Message) -> Raw:
    """A message without an error, as it was read."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    key, value = message.key(), message.value()
    _, at = message.timestamp()
    return Raw(topic, partition, offset, _bytes(key), _bytes(value), at)


class Unreadable(NamedTuple):
    """A record that is none of ours, and why."""

    source: Raw
    bad: BadRecord


class NotOurs(NamedTuple):
    """Nothing to deliver: a tombstone, or another target's letter; `reason` is for counting, None when it is not."""

    reason: str | None


def item_of(raw: Raw, retries_topic: str, consumer: str, codec: Codec, now_s: float) -> Item | Unreadable | NotOurs:
    """What a record is for the target whose dead letters are `consumer`'s. Raises RegistryUnavailable."""
    source, retried = raw, False
    if raw.topic == retries_topic:
        letter = codec.decode(DEAD_LETTERS, raw.value)
        if isinstance(letter, BadRecord) or letter["consumer"] != consumer:
            return NotOurs(None)
        source, retried = _unwrapped(letter), True
    if source.value is None:
        return NotOurs("tombstone")
    record = codec.decode(source.topic, source.value)
    if isinstance(record, BadRecord):
        return Unreadable(source, record)
    return Item(
        place=(raw.topic, raw.partition),
        offset=raw.offset,
        source=(source.topic, source.partition, source.offset),
        key=source.key,
        value=source.value,
        lead_id=record["lead_id"],
        event_id=event_id_of(record),
        record=record,
        retried=retried,
        seen=now_s,
    )


def event_id_of(record: dict[str, Any]) -> str:
    """The event's id; a LeadScore's is in its headers alone, and made of the same parts."""
    if "event_id" in record:
        return str(record["event_id"])
    return output_id(record["lead_id"], "score", record["as_of"], record["sequence"])


def _unwrapped(letter: dict[str, Any]) -> Raw:
    return Raw(letter["topic"], letter["partition"], letter["offset"], letter["key"], letter["value"])


def _bytes(part: str | bytes | None) -> bytes | None:
    return part.encode() if isinstance(part, str) else part
