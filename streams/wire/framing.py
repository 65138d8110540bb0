"""The two framings in front of an Avro body.

Confluent: `00`, the registry's schema id (4 bytes, big-endian). Avro single-object encoding: `C3 01`, the
schema's CRC-64-AVRO fingerprint (8 bytes, little-endian). The first byte tells them apart.
"""

from __future__ import annotations

from typing import Final

CONFLUENT: Final = b"\x00"
CONFLUENT_SIZE: Final = 5
SINGLE_OBJECT: Final = b"\xc3\x01"
SINGLE_OBJECT_SIZE: Final = 10


def confluent_header(schema_id: int) -> bytes:
    """The five bytes in front of a body that a registry's schema describes."""
    return CONFLUENT + schema_id.to_bytes(4, "big")


def single_object_header(fingerprint: bytes) -> bytes:
    """The ten bytes in front of a body that the schema of this CRC-64-AVRO fingerprint describes."""
    return SINGLE_OBJECT + fingerprint


def is_confluent(header: bytes) -> bool:
    """Whether `header` is a whole Confluent header."""
    return len(header) == CONFLUENT_SIZE and header.startswith(CONFLUENT)


def is_single_object(header: bytes) -> bool:
    """Whether `header` is a whole single-object header."""
    return len(header) == SINGLE_OBJECT_SIZE and header.startswith(SINGLE_OBJECT)


def schema_id(header: bytes) -> int:
    """The registry's schema id in a Confluent header."""
    return int.from_bytes(header[1:], "big")


def fingerprint(header: bytes) -> bytes:
    """The schema fingerprint in a single-object header."""
    return header[2:]
