"""Records to bytes and back, in either framing.

Decoding never raises for what is in a record: bytes that can't be read come back as a BadRecord. It does
raise RegistryUnavailable, since then nothing is known about the record, and RegistryRefused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, Protocol

from fastavro import schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError

from streams.security import login
from streams.topics import TOPICS
from streams.wire import framing
from streams.wire.bad import BadRecord
from streams.wire.compiled import Decode, compile_decoder
from streams.wire.encoding import Encode, compile_encoder
from streams.wire.limits import limits_of
from streams.wire.registry import ConfluentRegistry, Registry
from streams.wire.schemas import Schema, Schemas, shipped

NO_VALUE = BadRecord("UNDECODABLE", "the record has no value")


class Codec:
    """Encodes and decodes the records of all topics.

    `registry`, or its address, makes it write Confluent's framing; without one it writes Avro single-object
    encoding. It reads both. Times are integers in ms; nullable fields are there as None.
    """

    def __init__(self, registry: Registry | str | None = None, schemas: Schemas | None = None) -> None:
        self._registry = ConfluentRegistry(registry, login().registry()) if isinstance(registry, str) else registry
        self._schemas = schemas if schemas is not None else shipped()
        self._writers: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self._readers: dict[str, dict[bytes, _Reader]] = {topic: {} for topic in TOPICS}
        self._valid: dict[tuple[str, bytes], Decode] = {}
        self._whole: dict[str, tuple[bytes, Encode]] = {}

    def encode(self, topic: str, value: Mapping[str, Any]) -> bytes:
        """Frame and body of `value` as the record of `topic`.

        Raises ValueError or TypeError for a value that doesn't fit its schema (a defect of the caller's),
        RegistryUnavailable and RegistryRefused when its schema can't be registered.
        """
        writer = self._writers.get(topic)
        if writer is None:
            writer = self._writers[topic] = self._writer(topic)
        header, schema = writer
        out = BytesIO()
        out.write(header)
        # Strict: a field that the schema doesn't have is a mistake, and must not vanish.
        schemaless_writer(out, schema, value, strict_allow_default=True)
        return out.getvalue()

    def encode_whole(self, topic: str, event: Mapping[str, Any]) -> bytes:
        """As `encode`, for an input topic's `event` with all of its fields, in a quarter of the time.

        Raises one of many errors for one that isn't whole or doesn't fit (a defect of the caller's), and as `encode`
        for the registry.
        """
        whole = self._whole.get(topic)
        if whole is None:
            self.prepare([topic])
            encode_body = compile_encoder(self._schemas.of_topic(topic).declaration)
            whole = self._whole[topic] = (self._writers[topic][0], encode_body)
        return whole[0] + whole[1](event)

    def prepare(self, topics: Iterable[str]) -> None:
        """Have the schemas of `topics` registered, so that encoding asks the registry nothing more.

        Raises RegistryUnavailable and RegistryRefused.
        """
        for topic in topics:
            if topic not in self._writers:
                self._writers[topic] = self._writer(topic)

    def decode(self, topic: str, raw: bytes | None) -> dict[str, Any] | BadRecord:
        """The record of `topic` in `raw`, by its current schema; a BadRecord when there is none."""
        if not raw:
            return NO_VALUE if raw is None else BadRecord("UNDECODABLE", "the value is empty")
        size = framing.SINGLE_OBJECT_SIZE if raw[0] else framing.CONFLUENT_SIZE
        reader = self._readers[topic].get(raw[:size])
        if reader is None:
            found = self._reader(topic, raw[:size])
            if isinstance(found, BadRecord):
                return found
            reader = self._readers[topic][raw[:size]] = found
        return reader.read(raw, size)

    def decode_valid(self, topic: str, raw: bytes) -> dict[str, Any] | None:
        """The record of an input topic in `raw` when our current schema wrote it and every field keeps to its limits:
        the common case, in one go. None says nothing: `decode` and `validation.invalid` tell.
        """
        if not raw:
            return None
        size = framing.SINGLE_OBJECT_SIZE if raw[0] else framing.CONFLUENT_SIZE
        decode = self._valid.get((topic, raw[:size]))
        if decode is None:
            reader = self._readers[topic].get(raw[:size])
            if not isinstance(reader, _OwnReader):
                return None  # not met yet, or another version's
            decode = compile_decoder(self._schemas.of_topic(topic).declaration, limits_of(topic))
            self._valid[topic, raw[:size]] = decode
        try:
            event, end = decode(raw, size)
        except Exception:
            return None
        return event if end == len(raw) else None

    def own_prefix(self, topic: str, raw: bytes | None) -> bytes | None:
        """The framing of `raw`, if `decode_valid` took such a value: whatever begins so is of our current schema."""
        if not raw:
            return None
        prefix = raw[: framing.SINGLE_OBJECT_SIZE if raw[0] else framing.CONFLUENT_SIZE]
        return prefix if (topic, prefix) in self._valid else None

    def _writer(self, topic: str) -> tuple[bytes, dict[str, Any]]:
        schema = self._schemas.of_topic(topic)
        if self._registry is None:
            return framing.single_object_header(schema.fingerprint), schema.parsed
        return framing.confluent_header(self._registry.register(topic, schema.text)), schema.parsed

    def _reader(self, topic: str, header: bytes) -> _Reader | BadRecord:
        if framing.is_single_object(header):
            fingerprint = framing.fingerprint(header)
            written = self._schemas.by_fingerprint(fingerprint)
            if written is None:
                return BadRecord(
                    "UNKNOWN_SCHEMA", f"no schema has the CRC-64-AVRO fingerprint {fingerprint[::-1].hex()}"
                )
        elif framing.is_confluent(header):
            answer = self._registered(framing.schema_id(header))
            if isinstance(answer, BadRecord):
                return answer
            written = answer
        else:
            return BadRecord("UNDECODABLE", f"neither of the known framings: the value begins with {header.hex(' ')}")
        current = self._schemas.of_topic(topic)
        if written.record != current.record:
            return BadRecord("UNDECODABLE", f"holds a {written.record}; {topic} takes a {current.record}")
        if written.canonical == current.canonical:
            return _OwnReader(current)
        return _ResolvingReader(written, current)

    def _registered(self, schema_id: int) -> Schema | BadRecord:
        if self._registry is None:
            return BadRecord("UNKNOWN_SCHEMA", f"schema id {schema_id}, and no schema registry is configured")
        text = self._registry.schema(schema_id)
        if text is None:
            return BadRecord("UNKNOWN_SCHEMA", f"the schema registry has no Avro schema with id {schema_id}")
        try:
            return Schema.parse(text)
        except Exception as error:  # someone else's schema, and fastavro's errors have no common base
            return BadRecord("UNKNOWN_SCHEMA", f"schema {schema_id} of the registry can't be used: {error}"[:500])


class _Reader(Protocol):
    """Reads the bodies that one schema wrote."""

    def read(self, raw: bytes, start: int) -> dict[str, Any] | BadRecord: ...


class _OwnReader:
    """Reads what our current schema wrote."""

    __slots__ = ("_decode", "_record")

    def __init__(self, schema: Schema) -> None:
        self._record = schema.record
        self._decode = compile_decoder(schema.declaration)

    def read(self, raw: bytes, start: int) -> dict[str, Any] | BadRecord:
        try:
            event, end = self._decode(raw, start)
        except Exception as error:
            return _undecodable(self._record, error)
        return event if end == len(raw) else _wrong_end(self._record, end, len(raw))


class _ResolvingReader:
    """Reads what another version of a schema wrote, as ours describes it."""

    __slots__ = ("_defaults", "_reader", "_record", "_writer")

    def __init__(self, written: Schema, current: Schema) -> None:
        self._record = current.record
        self._writer = written.parsed
        self._reader = current.parsed
        wrote = {field["name"] for field in written.parsed["fields"]}
        # fastavro hands out the schema's own default: one list or map would be shared by all records.
        self._defaults = [
            (field["name"], field["default"])
            for field in current.parsed["fields"]
            if field["name"] not in wrote and isinstance(field.get("default"), (dict, list))
        ]

    def read(self, raw: bytes, start: int) -> dict[str, Any] | BadRecord:
        body = BytesIO(raw)
        body.seek(start)
        try:
            event = schemaless_reader(body, self._writer, self._reader)
        except Exception as error:  # bad bytes make fastavro raise many kinds, bare IndexError among them
            return _undecodable(self._record, error)
        if body.tell() != len(raw):
            return _wrong_end(self._record, body.tell(), len(raw))
        assert isinstance(event, dict)
        for name, default in self._defaults:
            event[name] = copy.deepcopy(default)
        return event


def _undecodable(record: str, error: Exception) -> BadRecord:
    if isinstance(error, (EOFError, IndexError)):
        detail = f"the value ends within the {record}"
    elif isinstance(error, UnicodeDecodeError):
        detail = f"a text of the {record} is not UTF-8"
    elif isinstance(error, SchemaResolutionError):
        detail = f"its schema can't be read as {record}: {error}"[:500]
    else:
        detail = f"the bytes are not those of a {record}"
    return BadRecord("UNDECODABLE", detail)


def _wrong_end(record: str, end: int, size: int) -> BadRecord:
    if end > size:
        return BadRecord("UNDECODABLE", f"the value ends within the {record}")
    return BadRecord("UNDECODABLE", f"{size - end} bytes are left over after the {record}")
