"""What the demo sees: every record of the input and output topics, read from the topics alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from streams.errors import LeadstreamError
from streams.kafka import DEFAULT_APP, admin_client, reader_config
from streams.topics import INPUT_TOPICS, OUTPUT_TOPICS
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec

_SECONDS = 15.0
#: How long a busy machine may take to make the logs of new partitions.
_LOGS_SECONDS = 60.0
_AT_ONCE = 1_000
_LOGS_BEING_MADE = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


class TopicsLost(LeadstreamError):
    """The topics can't be read any more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One record. `event` is None for one that can't be decoded, and for a tombstone. `arrival` in ms."""

    topic: str
    partition: int
    arrival: int
    event: dict[str, Any] | None


class Watcher:
    """Reads, committed records only, everything that comes to the topics after it was made."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._codec = Codec()
        self._admin = admin_client(bootstrap)
        self._consumer = Consumer({**reader_config(bootstrap), "fetch.wait.max.ms": 50})
        everywhere = [
            TopicPartition(topic.name, partition)
            for topic in (*INPUT_TOPICS, *OUTPUT_TOPICS)
            for partition in range(partitions)
        ]
        ends = self._ends(everywhere)
        self._consumer.assign(
            [TopicPartition(one.topic, one.partition, ends[one.topic, one.partition]) for one in everywhere]
        )
        self._inputs = [one for one in everywhere if one.topic in {topic.name for topic in INPUT_TOPICS}]

    def poll(self, seconds: float) -> Iterator[Seen]:
        """The records that have come since the last call; waits up to `seconds` for the first."""
        for message in self._consumer.consume(_AT_ONCE, seconds):
            seen = self._seen(message)
            if seen is not None:
                yield seen

    def worker_lag(self) -> int:
        """How many input records the worker group has not committed yet. 0 means that it is through."""
        ends = self._ends(self._inputs)
        group = ConsumerGroupTopicPartitions(DEFAULT_APP, self._inputs)
        answer = self._admin.list_consumer_group_offsets([group], request_timeout=_SECONDS)[DEFAULT_APP]
        done = {(one.topic, one.partition): max(one.offset, 0) for one in answer.result().topic_partitions}
        return sum(end - done.get(partition, 0) for partition, end in ends.items())

    def close(self) -> None:
        self._consumer.close()

    def _ends(self, partitions: list[TopicPartition]) -> dict[tuple[str, int], int]:
        deadline = time.monotonic() + _LOGS_SECONDS
        while True:
            answers = self._admin.list_offsets(dict.fromkeys(partitions, OffsetSpec.latest()), request_timeout=_SECONDS)
            try:
                ends = {(one.topic, one.partition): answer.result().offset for one, answer in answers.items()}
            except KafkaException as failed:
                error = failed.args[0]
                # A broker says that topics are there before it has made the logs of all their partitions.
                if error.code() not in _LOGS_BEING_MADE or time.monotonic() > deadline:
                    raise TopicsLost(f"Kafka does not say where the topics end: {error.str()}.") from None
                time.sleep(0.1)
                continue
            # A request that ran out of time has a result all the same, which is no offset.
            if all(end >= 0 for end in ends.values()):
                return ends
            if time.monotonic() > deadline:
                raise TopicsLost("Kafka does not say where the topics end.")

    def _seen(self, message: Message) -> Seen | None:
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF or error.retriable():
                return None
            raise TopicsLost(f"The demo can't read the topics any more: {error.str()}.")
        topic, partition = message.topic(), message.partition()
        assert topic is not None, "a record without an error has a topic"
        assert partition is not None, "a record without an error has a partition"
        event = self._codec.decode(topic, message.value()) if message.value() is not None else None
        arrival = message.timestamp()[1]
        return Seen(topic, partition, arrival, None if isinstance(event, BadRecord) else event)
