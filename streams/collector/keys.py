"""Write keys: who may publish, and how much."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Final

import msgspec

from streams.collector.remembered import remembered
from streams.errors import UsageError

DEFAULT_RATE: Final = 1_000.0
#: How much of its rate a key may save up for a burst.
_BURST_SECONDS: Final = 10.0


class BadWriteKeys(UsageError):
    """The file of write keys can't be read, or holds none that can be used."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    key: Annotated[str, msgspec.Meta(min_length=16, max_length=200)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    events_per_second: Annotated[float, msgspec.Meta(gt=0)] = DEFAULT_RATE


class Allowance:
    """A token bucket of events. It may be overdrawn by one request, so that a batch larger than it passes whole."""

    __slots__ = ("_as_of", "_left", "_rate")

    def __init__(self, events_per_second: float) -> None:
        self._rate = events_per_second
        self._left = events_per_second * _BURST_SECONDS
        self._as_of = time.monotonic()

    def spend(self, events: int) -> float:
        """0 when `events` may pass, else the seconds until some may."""
        now = time.monotonic()
        self._left = min(self._rate * _BURST_SECONDS, self._left + (now - self._as_of) * self._rate)
        self._as_of = now
        if self._left <= 0:
            return -self._left / self._rate + 0.001
        self._left -= events
        return 0.0


class WriteKeys:
    """The keys that are taken. `None` takes any: for development."""

    def __init__(self, entries: dict[str, float] | None) -> None:
        # Looked up by a keyed hash: how long that takes tells nothing of the keys.
        self._salt = secrets.token_bytes(16)
        self._open = Allowance(1_000_000.0) if entries is None else None
        self._known = {
            self._digest(key.encode()): (key.encode(), Allowance(rate)) for key, rate in (entries or {}).items()
        }

    @property
    def open(self) -> bool:
        return self._open is not None

    def allowance(self, given: str | None) -> Allowance | None:
        """The allowance of a key, None if it isn't taken."""
        if self._open is not None:
            return self._open
        if not given:
            return None
        key = given.encode("utf-8", "replace")
        found = self._known.get(self._digest(key))
        if found is None or not hmac.compare_digest(found[0], key):
            return None
        return found[1]

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, key=self._salt, digest_size=16).digest()


def read_write_keys(path: Path) -> WriteKeys:
    """A YAML list of `{name: ..., key: ..., events_per_second: ...}`. Raises BadWriteKeys, never naming a key."""
    try:
        entries = msgspec.yaml.decode(path.read_bytes(), type=list[_Entry])
    except OSError as error:
        raise BadWriteKeys(f"Can't read {path}: {(error.strerror or str(error)).lower()}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadWriteKeys(
            f"{path} is no list of write keys. Write one a line, such as `- {{name: website, key: ...}}`, the key "
            "with at least 16 characters, in quotes if it looks like a number, and optionally events_per_second."
        ) from None
    if not entries:
        raise BadWriteKeys(f"{path} holds no write key. Write one a line, such as `- {{name: website, key: ...}}`.")
    found = {entry.key: entry.events_per_second for entry in entries}
    if len(found) < len(entries):
        raise BadWriteKeys(f"{path} holds a write key twice: give each tracker its own.")
    return WriteKeys(found)


@remembered(1024)
def basic_user(header: str) -> str | None:
    """The user of an `Authorization: Basic` header, where Segment's clients put the write key."""
    if header[:6].lower() != "basic ":
        return None
    try:
        return base64.b64decode(header[6:].strip(), validate=True).decode().partition(":")[0] or None
    except (binascii.Error, ValueError):
        return None
