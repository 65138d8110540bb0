"""Partitions read from their beginning to their end, once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from streams.errors import LeadstreamError

if TYPE_CHECKING:
    from confluent_kafka import Message


class CannotRead(LeadstreamError):
    """Kafka does not let a topic be read."""


def read_to_end(config: Mapping[str, Any], places: Iterable[tuple[str, int]]) -> Iterator[Message]:
    """What the partitions, (topic, number) each, hold now; of each in order. `config` is a `reader_config`.

    Raises CannotRead.
    """
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    left = set(places)
    consumer = Consumer(dict(config))
    try:
        consumer.assign([TopicPartition(topic, number, 0) for topic, number in sorted(left)])
        while left:
            for message in consumer.consume(1000, 0.1):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic() or "", message.partition() or 0))
                elif not error.retriable():
                    raise CannotRead(f"{message.topic() or 'Kafka'} can't be read: {error.str()}")
    finally:
        consumer.close()
