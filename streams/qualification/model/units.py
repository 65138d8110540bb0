"""Durations and frequencies as a model file writes them."""

from __future__ import annotations

import re

#: Milliseconds of each unit, longest first.
UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
#: The longest duration: a hundred years.
LONGEST_MS = 36_500 * UNITS["d"]

_DURATION = re.compile(r"([0-9]{1,15}) ?(d|h|m|s|ms)", re.ASCII)
_PER_DAY = re.compile(r"([0-9]{1,9}) +per +day", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of `30d`, `12h`, `45m`, `90s` or `500ms`. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None or (duration := int(found[1]) * UNITS[found[2]]) > LONGEST_MS:
        raise ValueError(text)
    return duration


def format_duration(duration_ms: int) -> str:
    """The shortest exact way to write a duration: the inverse of `parse_duration`."""
    for unit, length in UNITS.items():
        if duration_ms % length == 0 and duration_ms >= length:
            return f"{duration_ms // length}{unit}"
    return "0s"


def parse_per_day(text: str) -> int:
    """N of `N per day`, at least 1. Raises ValueError."""
    found = _PER_DAY.fullmatch(text)
    if found is None or int(found[1]) < 1:
        raise ValueError(text)
    return int(found[1])
