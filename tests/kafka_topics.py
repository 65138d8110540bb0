"""Reading topics whole, as a subscriber would, and writing raw records to them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from streams.engine.envelope import PAYLOAD, RESERVED_KEY, unpack_progress
from streams.engine.seam import Progress
from streams.kafka import producer_config, reader_config
from streams.qualification.state import State, unpack
from streams.topics import changelog_topic
from streams.wire.codec import Codec

CODEC = Codec()


def messages_of(bootstrap: str, topics: Iterable[str]) -> list[Any]:
    """All committed messages of the topics, each partition's in order."""
    consumer = Consumer(reader_config(bootstrap))
    found: list[Any] = []
    try:
        metadata = consumer.list_topics(timeout=20).topics
        places = [TopicPartition(topic, number, 0) for topic in topics for number in metadata[topic].partitions]
        consumer.assign(places)
        left = {(place.topic, place.partition) for place in places}
        heard = time.monotonic()
        while left:
            messages = consumer.consume(10_000, timeout=0.1)
            if messages:
                heard = time.monotonic()
            assert time.monotonic() - heard < 60, f"the ends of {sorted(left)} are not heard of"
            for message in messages:
                error = message.error()
                if error is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    left.discard((message.topic(), message.partition()))
    finally:
        consumer.close()
    return found


def ends_of(bootstrap: str, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """One past the last record of every partition that has any, (topic, partition) -> offset."""
    ends: dict[tuple[str, int], int] = {}
    for message in messages_of(bootstrap, topics):
        ends[message.topic(), message.partition()] = message.offset() + 1
    return ends


def read_all(bootstrap: str, *topics: str) -> dict[str, list[tuple[Any, dict[str, Any] | None]]]:
    """All committed records of the topics, topic -> [(message, record)]; a tombstone's record is None."""
    found: dict[str, list[tuple[Any, dict[str, Any] | None]]] = defaultdict(list)
    for message in messages_of(bootstrap, topics):
        value = message.value()
        record = None
        if value is not None:
            record = CODEC.decode(message.topic(), value)
            assert isinstance(record, dict), record
        found[message.topic()].append((message, record))
    return found


def changelog_of(bootstrap: str, app: str) -> tuple[dict[str, State], dict[int, Progress]]:
    """Every id's state, and every partition's progress, as a restore would find them."""
    state: dict[str, State] = {}
    progress: dict[int, Progress] = {}
    for message in messages_of(bootstrap, [changelog_topic(app).name]):
        if message.key() == RESERVED_KEY:
            progress[message.partition()] = unpack_progress(message.value())
        elif message.value() is None:
            state.pop(message.key().decode(), None)
        else:
            state[message.key().decode()] = unpack(message.value()[PAYLOAD:])
    return state, progress


def records_of(bootstrap: str, topic: str, lead_id: str | None = None) -> list[dict[str, Any]]:
    """The records of a topic, of one lead if given, in order of their partition."""
    records = [record for _, record in read_all(bootstrap, topic)[topic] if record is not None]
    return [record for record in records if lead_id is None or record["lead_id"] == lead_id]


def produce_raw(bootstrap: str, topic: str, key: bytes | None, value: bytes | None, partition: int = -1) -> None:
    """Write one record as it is, and wait until the broker has it."""
    producer = Producer({**producer_config(bootstrap), "message.max.bytes": 20_000_000})
    failures: list[KafkaError] = []
    producer.produce(
        topic, value, key, partition, on_delivery=lambda error, _: failures.append(error) if error is not None else None
    )
    assert producer.flush(30) == 0
    assert not failures, failures
