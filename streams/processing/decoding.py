"""A record as what it says: an event, a message between ids, or why it is neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from streams.engine.seam import Record, Unavailable
from streams.processing.strays import STRAYS, Passing, Strays, message_in, passing
from streams.qualification.events import Event, event_for, event_of
from streams.qualification.messages import Message
from streams.topics import INPUT_TOPICS
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.limits import MAX_VALUE_BYTES
from streams.wire.registry import RegistryUnavailable
from streams.wire.validation import invalid, misplaced, too_large, usable_id

#: What the model's rules call the events of each input topic.
_KIND_OF = {topic.name: topic.kind for topic in INPUT_TOPICS if topic.kind is not None}


class Decoded(msgspec.Struct, frozen=True):
    """A record as an event, or why it is none. `time` is the event's (ms), None for a bad record; `lead_id` is whose a
    bad record is, where that could be told.

    Of a stray, one of `event` (with its way so far) and `message` is set, or neither when others are to have it.
    """

    time: int | None
    event: Event | None
    bad: BadRecord | None = None
    lead_id: str | None = None
    message: Message | None = None
    way: Passing | None = None


_FOR_OTHERS = Decoded(None, None)


class Decoder:
    """Decodes and validates the records of all source topics."""

    def __init__(self, codec: Codec, strays: Strays) -> None:
        self._codec = codec
        self._strays = strays

    def decode(self, record: Record) -> Decoded:
        """A bad record is a value too. Raises Unavailable while the registry is away."""
        topic, raw, arrival = record.topic, record.value, record.timestamp
        if topic == STRAYS:
            return self._stray(record)
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
            fields = self._fields(topic, raw)
        if isinstance(fields, BadRecord):
            return Decoded(None, None, fields)
        bad = invalid(topic, fields, record.timestamp, record.key)
        if bad is not None:
            lead_id = fields["lead_id"]
            return Decoded(None, None, bad, lead_id if usable_id(lead_id) else None)
        event = event_of(_KIND_OF[topic], fields, record.timestamp)
        return Decoded(event.occurred_at, event)

    def _stray(self, record: Record) -> Decoded:
        fields = self._fields(STRAYS, record.value)
        if isinstance(fields, BadRecord):
            return Decoded(None, None, fields)
        lead_id = fields["lead_id"]
        if not usable_id(lead_id) or record.key != lead_id.encode():
            return Decoded(None, None, BadRecord("INVALID", "the record's key is not its lead_id"))
        if self._strays.is_foreign(fields):
            return _FOR_OTHERS
        if fields["forwarded"] is not None:
            return self._forwarded(lead_id, passing(fields["forwarded"]))
        message = message_in(fields, record.timestamp)
        if isinstance(message, BadRecord):
            return Decoded(None, None, message, lead_id)
        return Decoded(message.occurred_at, None, message=message)

    def _forwarded(self, lead_id: str, way: Passing) -> Decoded:
        if way.source.topic not in _KIND_OF:
            return Decoded(None, None, BadRecord("INVALID", "what was forwarded is of no input topic"), lead_id)
        inner = self.decode(way.source)
        if inner.event is None:
            return msgspec.structs.replace(inner, way=way)
        return Decoded(inner.time, event_for(lead_id, inner.event), way=way)

    def _fields(self, topic: str, raw: bytes | None) -> dict[str, Any] | BadRecord:
        try:
            return self._codec.decode(topic, raw)
        except RegistryUnavailable as error:
            raise Unavailable(str(error)) from error
