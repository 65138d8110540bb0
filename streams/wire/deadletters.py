"""Dead letters: a record that could not be used, with the reason and enough of it to try again."""

from __future__ import annotations

import hashlib
from typing import Any, Final, Protocol

from streams.wire.bad import BadRecord

#: A longer value would not fit on the dead-letter topic beside the rest of the letter.
LARGEST_KEPT: Final = 900_000
#: What is kept of it then.
HEAD: Final = 64 * 1024
_LONGEST_DETAIL: Final = 1000
_LONGEST_KEY: Final = HEAD
_LONGEST_RECORD_KEY: Final = 1_000


class Source(Protocol):
    """The record that is given up, as it was read."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


def dead_letter(
    consumer: str, record: Source, bad: BadRecord, seen_at: int, lead_id: str | None = None
) -> dict[str, Any]:
    """The DeadLetter of `record`, given up by `consumer` (`worker`, `collector`, `relay:NAME`) at `seen_at`
    ms.

    A value over 900 kB is kept as its first 64 kB, a key over 64 kB likewise; `size` and `sha256` are always
    those of the whole value.
    """
    key, value = record.key, record.value
    whole = value or b""
    return {
        "consumer": consumer,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "lead_id": lead_id,
        "key": key if key is None else key[:_LONGEST_KEY],
        "value": value if value is None or len(value) <= LARGEST_KEPT else value[:HEAD],
        "size": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "error": bad.error,
        "detail": _bounded(bad.detail),
        "seen_at": seen_at,
    }


def letter_key(record: Source) -> bytes | None:
    """The key of the letter's own record: that of the given-up one, if it is at most 1 kB, else None.

    A producer counts key and value together. A longer key is nobody's id, so nobody would look for the letter by it;
    beside a large value it would keep the letter from being written, and with it all that its batch holds.
    """
    key = record.key
    return key if key is not None and len(key) <= _LONGEST_RECORD_KEY else None


def _bounded(detail: str) -> str:
    """At most 1 kB of UTF-8, in one line, and text that Avro can carry."""
    line = " ".join(detail.split()).encode("utf-8", "replace")
    if len(line) <= _LONGEST_DETAIL:
        return line.decode()
    return line[: _LONGEST_DETAIL - 3].decode("utf-8", "ignore") + "..."
