"""Partitions read from their beginning to their end, once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from streams.errors import LeadstreamError

if TYPE_CHECKING:
    from confluent_kafka import Message


class CannotRead(LeadstreamError):
    """Kafka does not let a topic be read."""


def read_to_end(
    config: Mapping[str, Any], places: Iterable[tuple[str, int]], patience: float | None = None
) -> Iterator[Message]:
    """What the partitions, (topic, number) each, hold now; of each in order. `config` is a `reader_config`.

    Raises CannotRead, also when nothing is heard from Kafka for `patience` seconds; None waits for ever.
    """
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    left = set(places)
    consumer = Consumer(dict(config))
    try:
        consumer.assign([TopicPartition(topic, number, 0) for topic, number in sorted(left)])
        heard = time.monotonic()
        while left:
            for message in consumer.consume(1000, 0.1):
                error = message.error()
                if error is None:
                    yield message
                    heard = time.monotonic()
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic() or "", message.partition() or 0))
                    heard = time.monotonic()
                elif not error.retriable():
                    raise CannotRead(f"{message.topic() or 'Kafka'} can't be read: {error.str()}")
            if patience is not None and time.monotonic() - heard > patience:
                raise CannotRead(f"Nothing is heard from Kafka for {patience:g} s. Try again.")
    finally:
        consumer.close()
