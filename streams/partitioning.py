"""Which partition a key belongs to, as the Java client and librdkafka's `murmur2_random` decide it."""

from __future__ import annotations

from struct import unpack

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's MurmurHash2, unsigned 32 bits (Java: `org.apache.kafka.common.utils.Utils.murmur2`).

    aiokafka has one too, which takes byte after byte and three times as long; a test holds the two together.
    """
    length = len(data)
    whole = length & ~3
    h = _SEED ^ length
    for k in unpack(f"<{length >> 2}I", data[:whole]):
        k = k * _M & _WORD
        h = (h * _M & _WORD) ^ ((k ^ k >> 24) * _M & _WORD)
    if whole != length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    h = (h ^ h >> 13) * _M & _WORD
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition, 0 to `partitions - 1`, that records with `key` belong to."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
