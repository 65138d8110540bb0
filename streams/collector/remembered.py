"""Remembering what a function made of a text, where few texts make most of the traffic."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, TypeVar

T = TypeVar("T")
#: Whoever sends longer texts pays for the work each time: a cache of them would hold as much as they like.
_LONGEST: Final = 512


def remembered(most: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Keep the results for the `most` short texts that were asked for last."""

    def decorated(function: Callable[[str], T]) -> Callable[[str], T]:
        known = lru_cache(maxsize=most)(function)

        @wraps(function)
        def asked(text: str) -> T:
            return known(text) if len(text) <= _LONGEST else function(text)

        return asked

    return decorated
