"""JSON as JavaScript and Python write it where the standard forbids it, or where a strict reader won't have it.

Python's libraries write NaN and Infinity, and both write half of a character (a lone surrogate) where a program cut a
text in the middle of one. One such value must not cost a batch.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_leniently(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """What `decoder` reads in `body`, mended where it has to be. Raises what the decoder raises."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = _mended(body)
        if found is None:
            raise
        return decoder.decode(found)


def _mended(body: bytes) -> bytes | None:
    """The same JSON without what a strict reader refuses: numbers that are none or beyond a float are null, half a
    character is `?`. None when it is no JSON for this reader either.

    For bodies that a strict reader has refused: it takes several times as long.
    """
    try:
        found = json.loads(body, parse_constant=_nothing, parse_float=_finite, parse_int=_finite_integer)
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def _nothing(_name: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


def _finite_integer(digits: str) -> int | float | None:
    return int(digits) if len(digits) < 19 else _finite(digits)
