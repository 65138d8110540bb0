"""The changelog's own format: the envelope around a key's state, and the reserved record of a partition.

An envelope is `version (1 byte) | due time (int64 big-endian, ms; 0 for none) | CRC-32 (uint32 big-endian) | the
application's packed state`. Due times stand outside the packed state so that a restore rebuilds the timers without
unpacking anything; the checksum tells it what is not as it was written. In version 2 it is that of the packed state, in
version 3 that of the due time and the packed state.

The reserved record's value is `version (1 byte) | MessagePack of Progress`. Its key can be nobody's: it is
not UTF-8.

A rolling upgrade mixes two releases, and may be taken back. So a release reads a version before any release writes it:
this one writes 2 and reads 3 as well; the next may write 3, and this one can still take over from it. Whoever adds a
version adds it to `READ` in one release and moves `VERSION` in the one after.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from streams.engine.seam import EngineError, Progress

RESERVED_KEY = b"\xff\x00partition"
#: What is written.
VERSION = 2
#: What is read.
READ = (2, 3)
#: From this version on the checksum covers the due time.
_CHECKS_DUE_TIME = 3
_HEAD = struct.Struct(">BqI")
_DUE = struct.Struct(">q")
PAYLOAD = _HEAD.size

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Progress).decode


class CorruptChangelog(EngineError):
    """The changelog holds something that this release did not write."""


def wrap(payload: bytes, due: int | None) -> bytes:
    """Put a key's packed state into its envelope."""
    return _HEAD.pack(VERSION, due or 0, _checksum(VERSION, due or 0, payload)) + payload


def check(envelope: bytes) -> None:
    """Raise ValueError for bytes that `wrap` of a version known here did not write, or that have changed since."""
    due_of(envelope)
    version, due, checksum = _HEAD.unpack_from(envelope)
    if checksum != _checksum(version, due, envelope[PAYLOAD:]):
        raise ValueError("its checksum says that it is not what was written")


def _checksum(version: int, due: int, payload: bytes) -> int:
    return crc32(payload, crc32(_DUE.pack(due)) if version >= _CHECKS_DUE_TIME else 0)


def due_of(envelope: bytes) -> int | None:
    """The due time in ms. Raises ValueError for bytes that are no envelope of a version known here."""
    if len(envelope) < PAYLOAD or envelope[0] not in READ:
        raise ValueError(_what_is_wrong(envelope))
    return _HEAD.unpack_from(envelope)[1] or None


def pack_progress(progress: Progress) -> bytes:
    return bytes([VERSION]) + _encode(progress)


def unpack_progress(value: bytes) -> Progress:
    """The inverse. Raises ValueError for bytes that `pack_progress` of a version known here did not write."""
    if not value or value[0] not in READ:
        raise ValueError(_what_is_wrong(value))
    try:
        return _decode(value[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"not a progress record: {error}") from error


def _what_is_wrong(value: bytes) -> str:
    if not value:
        return "it is empty"
    if value[0] not in READ:
        return f"its format version is {value[0]}, known here are {' and '.join(map(str, READ))}"
    return f"it is only {len(value)} bytes long, an envelope has {PAYLOAD} or more"
