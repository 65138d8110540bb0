from __future__ import annotations

import pytest
from aiokafka import partitioner
from hypothesis import given
from hypothesis import strategies as st

from streams.partitioning import murmur2, partition_of

# From org.apache.kafka.common.utils.UtilsTest, where they are signed.
JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA_VECTORS)
def test_the_hash_is_the_java_clients(key: bytes) -> None:
    assert murmur2(key) == JAVA_VECTORS[key] % 2**32


@given(st.binary(max_size=200))
def test_the_hash_is_that_of_aiokafka_for_any_key(key: bytes) -> None:
    assert murmur2(key) == partitioner.murmur2(key)


@given(st.binary(max_size=60), st.integers(1, 500))
def test_the_partition_is_the_one_that_aiokafkas_producer_chooses(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == partitioner.DefaultPartitioner()(key, every, every)
