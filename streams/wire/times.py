"""Times in text: RFC 3339, to the millisecond, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
#: The instants that RFC 3339 can write: years 1 to 9999.
EARLIEST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MS
LATEST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MS


def rfc3339(at: int) -> str:
    """`2026-11-22T21:44:22.123Z` of ms since the epoch. OverflowError outside of the years 1 to 9999."""
    return (_EPOCH + at * _MS).isoformat(timespec="milliseconds")[:-6] + "Z"


def milliseconds(at: datetime) -> int:
    """Ms since the epoch of an aware datetime; what is finer is cut off."""
    return (at - _EPOCH) // _MS
