"""JSON lines: the import and export format, one `{"topic": ..., "event": {...}}` a line.

Times are RFC 3339 with any offset, or epoch milliseconds; they are written as RFC 3339 in UTC with
milliseconds. Bytes are base64. Missing nullable fields are null, missing enums UNKNOWN; a missing event_id is
made from the line, so that the same line is the same event. Nothing that a line says is dropped in silence: a
field that the record doesn't have is an error.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from streams.topics import TOPICS
from streams.wire.lineshapes import Shape, shape_of
from streams.wire.schemas import shipped


class Line(NamedTuple):
    """A line that is an event: its topic, and all fields of the topic's record, as `Codec` takes them."""

    topic: str
    event: dict[str, Any]


class BadLine(NamedTuple):
    """A line that is not, and why."""

    reason: str


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    event: msgspec.Raw
    # What `tail` adds. It tells where the event was, and is not needed to publish it again.
    partition: int | None = None
    offset: int | None = None
    key: str | None = None


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ENCODER: Final = msgspec.json.Encoder()


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_line(line: bytes) -> Line | BadLine:
    """The event in one line, or what is wrong with it, naming the field."""
    line = line.removeprefix(_BYTE_ORDER_MARK)  # as editors on Windows put before the first line
    try:
        envelope = _ENVELOPE.decode(line)
    except msgspec.ValidationError as error:
        return BadLine(_reason(error, "", {}))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _not_json(error) if line.strip() else BadLine("the line is empty")
    if envelope.topic not in TOPICS:
        return BadLine(f"unknown topic {envelope.topic!r}; the topics are {', '.join(TOPICS)}")
    shape = _shape(envelope.topic)
    try:
        event = shape.to_event(shape.decoder.decode(envelope.event))
    except msgspec.ValidationError as error:
        return BadLine(_reason(error, "event", shape.symbols))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _not_json(error)
    if shape.makes_event_id and event["event_id"] is None:
        event["event_id"] = hashlib.sha256(line.strip()).hexdigest()[:32]
    return Line(envelope.topic, event)


def read_lines(path: Path) -> Iterator[Line | BadLine]:
    """Every line of a file, gzipped or not, in order; memory stays flat.

    Raises OSError; EOFError, zlib.error and gzip's OSError for a torn or damaged file.
    """
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if zipped else raw as lines:
            for line in lines:
                yield parse_line(line)


def render_line(topic: str, event: Mapping[str, Any], **extra: Any) -> bytes:
    """One line, without its end: `topic`, then `extra`, then `event`, which is all fields of the topic's
    record.

    `parse_line` gives the same event again, except for doubles that are no numbers: JSON has none, they
    become null.
    """
    return _ENCODER.encode({"topic": topic, **extra, "event": _shape(topic).to_line(event)})


@cache
def _shape(topic: str) -> Shape:
    return shape_of(shipped().of_topic(topic), makes_event_id=TOPICS[topic].role == "input")


def _not_json(error: Exception) -> BadLine:
    if isinstance(error, UnicodeDecodeError):
        return BadLine("not JSON: the text is not UTF-8")
    return BadLine(f"not JSON: {error}")


def _reason(error: msgspec.ValidationError, root: str, symbols: Mapping[str, tuple[str, ...]]) -> str:
    """msgspec's message with the field in front: `event.url: expected str, got int`."""
    what, _, at = str(error).partition(" - at `$")
    at = at.rstrip("`").lstrip(".")
    place = ".".join(part for part in (root, at) if part)
    reason = what.replace("`", "")
    if what.startswith("Invalid enum value") and at in symbols:
        reason = f"{reason}; allowed are {', '.join(symbols[at])}"
    reason = reason[:1].lower() + reason[1:]
    return f"{place}: {reason}" if place else reason
