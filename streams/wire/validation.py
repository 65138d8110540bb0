"""What a decoded event must satisfy before it is judged; what it doesn't, as a value.

An `occurred_at` later than the arrival is no fault: the core clamps it. One that no clock can have meant is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from math import isfinite
from typing import Any, Final

from streams.topics import DAY_MS, TOPICS
from streams.wire.bad import BadRecord
from streams.wire.schemas import shipped
from streams.wire.times import LATEST

MAX_AGE_MS: Final = 400 * DAY_MS
#: Of a value on a topic, in bytes. Brokers take 1 MB unless told otherwise.
MAX_VALUE_BYTES: Final = 1_000_000
#: Of a key on a topic, and of the texts that are ids, in bytes.
MAX_ID_BYTES: Final = 1_000
MAX_ATTRIBUTES: Final = 64
MAX_ATTRIBUTE_BYTES: Final = 1_000
#: Of any other text, in bytes. A lead's state and the records made of it hold texts, and must fit on their topics.
MAX_TEXT_BYTES: Final = 1_000
#: Of the texts that browsers write, which are long in earnest.
MAX_LONG_TEXT_BYTES: Final = 8_000
_LONG_TEXTS: Final = frozenset({"url", "referrer", "user_agent"})
#: What an Avro int can hold, and what a double can hold exactly: whoever reads JSON may have no other number.
_MOST: Final = {"int": 2**31 - 1, "long": 2**53 - 1}

_EMPTY_KEY: Final = BadRecord("EMPTY_KEY", "the record has no key: it can't be told whose it is")


def too_large(raw: bytes | None) -> BadRecord | None:
    """Whether a value, not yet decoded, is larger than an event can be."""
    if raw is None or len(raw) <= MAX_VALUE_BYTES:
        return None
    return BadRecord("TOO_LARGE", f"the value has {len(raw):,} bytes; at most {MAX_VALUE_BYTES:,} are taken")


def invalid(topic: str, event: Mapping[str, Any], arrival: int, key: bytes | None) -> BadRecord | None:
    """What is wrong with a decoded `event` of an input topic that arrived at `arrival` ms under `key`; None
    if nothing.
    """
    if not key:
        return _EMPTY_KEY
    key_field, checks = _checks(topic)
    for name, check in checks:
        value = event[name]
        if value is not None:
            fault = check(value)
            if fault is not None:
                return BadRecord("INVALID", f"{name} {fault}")
    if event[key_field].encode() != key:
        return BadRecord("INVALID", f"the record's key is not its {key_field}")
    age = arrival - event["occurred_at"]
    if age > MAX_AGE_MS:
        return BadRecord("TOO_OLD", f"occurred {age // DAY_MS} days before it arrived; at most 400 are taken")
    return None


def usable_id(value: object) -> bool:
    """Whether a decoded value can be the id of a lead: a text, not empty, of at most 1 kB."""
    return isinstance(value, str) and _id_fault(value) is None


_Check = Callable[[Any], str | None]


@cache
def _checks(topic: str) -> tuple[str, tuple[tuple[str, _Check], ...]]:
    """The topic's key field; and pairs of a field and a check of its value, where that isn't null."""
    key_field = TOPICS[topic].key_field
    chosen = []
    for field in shipped().of_topic(topic).declaration["fields"]:
        check = _check_of(field, {"event_id", "lead_id", key_field})
        if check is not None:
            chosen.append((field["name"], check))
    return key_field, tuple(chosen)


def _check_of(field: dict[str, Any], ids: set[str]) -> _Check | None:
    avro = field["type"][-1] if isinstance(field["type"], list) else field["type"]
    if field["name"] in ids:
        return _id_fault
    if avro == "double":
        return _number_fault
    if avro == "string":
        return partial(_text_fault, MAX_LONG_TEXT_BYTES if field["name"] in _LONG_TEXTS else MAX_TEXT_BYTES)
    if isinstance(avro, str) and avro in _MOST:  # they count something: milliseconds, employees
        return partial(_count_fault, _MOST[avro])
    if isinstance(avro, dict) and avro.get("logicalType") == "timestamp-millis":
        return _time_fault
    if isinstance(avro, dict) and avro["type"] == "map":
        return _attributes_fault
    return None


def _id_fault(value: str) -> str | None:
    return _text_fault(MAX_ID_BYTES, value) if value else "is empty"


def _text_fault(most: int, value: str) -> str | None:
    # Four bytes a character at most: the exact size is worked out only where it can matter.
    if len(value) * 4 > most and len(value.encode()) > most:
        return f"is longer than {most:,} bytes"
    return None


def _number_fault(value: float) -> str | None:
    return None if isfinite(value) else f"is {value}, not a number"


def _count_fault(most: int, value: int) -> str | None:
    if value < 0:
        return f"is {value}, less than nothing"
    return None if value <= most else f"is {value}; at most {most:,} is taken"


def _time_fault(value: int) -> str | None:
    return None if 0 <= value <= LATEST else f"is {value} ms since the epoch, which no clock can have meant"


def _attributes_fault(value: dict[str, str]) -> str | None:
    if not value:
        return None
    if len(value) > MAX_ATTRIBUTES:
        return f"has {len(value)} keys; at most {MAX_ATTRIBUTES} are taken"
    for name, text in value.items():
        for part in (name, text):
            if len(part) * 4 > MAX_ATTRIBUTE_BYTES and len(part.encode()) > MAX_ATTRIBUTE_BYTES:
                return f"has {name[:40]!r} with more than {MAX_ATTRIBUTE_BYTES:,} bytes"
    return None
