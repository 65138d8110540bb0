"""Reading topics whole, as a subscriber would, and writing raw records to them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from streams.kafka import producer_config, reader_config
from streams.wire.codec import Codec

CODEC = Codec()


def read_all(bootstrap: str, *topics: str) -> dict[str, list[tuple[Any, dict[str, Any] | None]]]:
    """All committed records of the topics, topic -> [(message, record)]; a tombstone's record is None."""
    consumer = Consumer(reader_config(bootstrap))
    found: dict[str, list[tuple[Any, dict[str, Any] | None]]] = defaultdict(list)
    try:
        metadata = consumer.list_topics(timeout=20).topics
        wanted = [TopicPartition(topic, number, 0) for topic in topics for number in metadata[topic].partitions]
        consumer.assign(wanted)
        left = len(wanted)
        while left:
            message = consumer.poll(20)
            assert message is not None, "the broker does not answer"
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left -= 1
                continue
            value = message.value()
            record = None
            if value is not None:
                record = CODEC.decode(message.topic(), value)
                assert isinstance(record, dict), record
            found[message.topic()].append((message, record))
    finally:
        consumer.close()
    return found


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
