"""Values as trackers send them, to values as our records hold them. What doesn't fit is None, never an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from streams.collector.remembered import remembered
from streams.wire.limits import MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES
from streams.wire.times import LATEST, milliseconds

_WORD_BREAK: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^0-9A-Za-z]+")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
#: Ten digits are seconds until the year 2286, thirteen are milliseconds since 2001.
_SECONDS_BELOW: Final = 10_000_000_000
#: As many digits are no date, though ISO 8601 has one for some of them: 1801010112000 is in 2027, not in 1801.
_DIGITS_OF_SECONDS: Final = 10


def text(value: Any) -> str | None:
    """A text that isn't empty; numbers and booleans are written out."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def number(value: Any) -> float | None:
    """A finite number, also one in a text."""
    if isinstance(value, str):
        try:
            value = float(value.replace(",", ""))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def count(value: Any) -> int | None:
    """A whole number, not negative; fractions are cut off."""
    found = number(value)
    return None if found is None or not 0 <= found < 2**53 else int(found)


def boolean(value: Any) -> bool | None:
    """True or false, also as 1, 0 or a text."""
    if isinstance(value, str):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
    return bool(value) if isinstance(value, (bool, int, float)) else None


def instant(value: Any) -> int | None:
    """Ms since the epoch: of ISO 8601 (UTC where it names no zone), of seconds or of ms, also in a text."""
    if isinstance(value, str) and not (value.isdigit() and len(value) >= _DIGITS_OF_SECONDS):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            value = number(value)
        else:
            try:
                at = milliseconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
            except OverflowError:  # year 1 in a zone east of Greenwich
                return None
            return at if at >= 0 else None
    found = count(value)
    if found is None:
        return None
    found = found * 1000 if found < _SECONDS_BELOW else found
    return found if found <= LATEST else None


def corrected(original: int | None, sent_at: int | None, received_at: int) -> int:
    """When it happened by our clock: the time from its happening to its sending, both by the sender's clock, before it
    was received. Without `sent_at` the sender's clock is believed. Never later than `received_at`.
    """
    if original is None:
        return received_at
    at = original if sent_at is None else received_at - max(0, sent_at - original)
    return max(0, min(at, received_at))


def email_address(value: Any) -> str | None:
    """An address in lower case, if that is what it is."""
    found = text(value)
    return found.lower() if found is not None and _ADDRESS.fullmatch(found) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> Sequence[Any]:
    """A JSON array, or an empty one."""
    return value if isinstance(value, list) else ()


@remembered(4096)
def snake_case(name: str) -> str:
    """`Demo Booked`, `demoBooked` and `demo-booked` as `demo_booked`; a name without letters as it is."""
    return "_".join(part for part in _WORD_BREAK.split(name) if part).lower() or name


def attributes(values: Mapping[str, Any], taken: frozenset[str] | set[str] = frozenset()) -> dict[str, str]:
    """The plain values of `values` that aren't `taken` otherwise, as our records hold them.

    They are beside the point of an event: more than a record may hold are left away, longer ones are cut, so that the
    event itself is kept.
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        if name in taken or not name:
            continue
        plain = text(value)
        if plain is None:
            continue
        if len(found) == MAX_ATTRIBUTES:
            break
        found[cut(name, MAX_ATTRIBUTE_BYTES)] = cut(plain, MAX_ATTRIBUTE_BYTES)
    return found


def cut(value: str, most: int) -> str:
    """The beginning of `value` that has at most `most` bytes."""
    if len(value) * 4 <= most:
        return value
    return value.encode()[:most].decode("utf-8", "ignore")


@remembered(4096)
def campaign_of(url: str) -> tuple[str | None, str | None, str | None]:
    """(source, medium, campaign) of an address's utm parameters."""
    if "utm_" not in url:
        return None, None, None
    try:
        pairs = dict(reversed(parse_qsl(urlsplit(url).query, max_num_fields=200)))
    except ValueError:
        return None, None, None
    return text(pairs.get("utm_source")), text(pairs.get("utm_medium")), text(pairs.get("utm_campaign"))


def domain_of(website: str) -> str:
    """The internet domain of a web address, or of what is one already."""
    host = website.partition("://")[2] or website
    return host.split("/")[0].split("?")[0].lower().removeprefix("www.")
