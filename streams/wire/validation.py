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
from streams.wire.limits import MAX_ATTRIBUTE_BYTES, MAX_ID_BYTES, MAX_VALUE_BYTES, limits_of

MAX_AGE_MS: Final = 400 * DAY_MS

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
    for name, check in _checks(topic):
        value = event[name]
        if value is not None:
            fault = check(value)
            if fault is not None:
                return BadRecord("INVALID", f"{name} {fault}")
    return misplaced(topic, event, arrival, key)


def misplaced(topic: str, event: Mapping[str, Any], arrival: int, key: bytes | None) -> BadRecord | None:
    """What is wrong between a record and an `event` in it whose fields are within their limits; None if nothing."""
    if not key:
        return _EMPTY_KEY
    key_field = TOPICS[topic].key_field
    if event[key_field].encode() != key:
        return BadRecord("INVALID", f"the record's key is not its {key_field}")
    age = arrival - event["occurred_at"]
    if age > MAX_AGE_MS:
        return BadRecord("TOO_OLD", f"occurred {age // DAY_MS} days before it arrived; at most 400 are taken")
    return None


def usable_id(value: object) -> bool:
    """Whether a decoded value can be the id of a lead: a text, not empty, of at most 1 kB."""
    return isinstance(value, str) and _id_fault(MAX_ID_BYTES, value) is None


_Check = Callable[[Any], str | None]


@cache
def _checks(topic: str) -> tuple[tuple[str, _Check], ...]:
    """Pairs of a field and a check of its value, where that isn't null."""
    return tuple((name, partial(_CHECKS[limit.kind], limit.most)) for name, limit in limits_of(topic).items())


def _id_fault(most: int, value: str) -> str | None:
    return _text_fault(most, value) if value else "is empty"


def _text_fault(most: int, value: str) -> str | None:
    # Four bytes a character at most: the exact size is worked out only where it can matter.
    if len(value) * 4 > most and len(value.encode()) > most:
        return f"is longer than {most:,} bytes"
    return None


def _number_fault(most: int, value: float) -> str | None:
    if not isfinite(value):
        return f"is {value}, not a number"
    return None if -most <= value <= most else f"is {value:g}; from {-most:g} to {most:g} is taken"


def _count_fault(most: int, value: int) -> str | None:
    if value < 0:
        return f"is {value}, less than nothing"
    return None if value <= most else f"is {value}; at most {most:,} is taken"


def _time_fault(most: int, value: int) -> str | None:
    return None if 0 <= value <= most else f"is {value} ms since the epoch, which no clock can have meant"


def _attributes_fault(most: int, value: dict[str, str]) -> str | None:
    if not value:
        return None
    if len(value) > most:
        return f"has {len(value)} keys; at most {most} are taken"
    for name, text in value.items():
        for part in (name, text):
            if len(part) * 4 > MAX_ATTRIBUTE_BYTES and len(part.encode()) > MAX_ATTRIBUTE_BYTES:
                return f"has {name[:40]!r} with more than {MAX_ATTRIBUTE_BYTES:,} bytes"
    return None


_CHECKS: Final[dict[str, Callable[[int, Any], str | None]]] = {
    "id": _id_fault,
    "text": _text_fault,
    "count": _count_fault,
    "time": _time_fault,
    "number": _number_fault,
    "attributes": _attributes_fault,
}
