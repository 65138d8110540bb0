"""Reading topics whole, as a subscriber would, and writing raw records to them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
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
    with closing(_reader(bootstrap)) as consumer:
        return list(_from(consumer, dict.fromkeys(_partitions(consumer, topics), 0)))


def last_messages(
    bootstrap: str, topics: Iterable[str], wanted: Callable[[Any], bool] = lambda _: True
) -> dict[tuple[str, int], Any]:
    """The last committed message of each partition that is `wanted`, where there is one: read from the end back."""
    found: dict[tuple[str, int], Any] = {}
    with closing(_reader(bootstrap)) as consumer:
        places = _partitions(consumer, topics)
        ends = {one: consumer.get_watermark_offsets(TopicPartition(*one), timeout=20)[1] for one in places}
        back = 64
        while ends:
            starts = {place: max(0, end - back) for place, end in ends.items()}
            for message in _from(consumer, starts):
                if wanted(message):
                    found[message.topic(), message.partition()] = message
            ends = {place: end for place, end in ends.items() if place not in found and starts[place]}
            back *= 16
    return found


def _reader(bootstrap: str) -> Consumer:
    # An end is told of when a fetch comes back empty, for which the broker would take half a second.
    return Consumer({**reader_config(bootstrap), "fetch.wait.max.ms": 10})


def _partitions(consumer: Consumer, topics: Iterable[str]) -> list[tuple[str, int]]:
    metadata = consumer.list_topics(timeout=20).topics
    return [(topic, number) for topic in topics for number in metadata[topic].partitions]


def _from(consumer: Consumer, starts: Mapping[tuple[str, int], int]) -> Iterator[Any]:
    """The messages of partitions, each from its start to its end."""
    consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
    left = set(starts)
    heard = time.monotonic()
    while left:
        messages = consumer.consume(10_000, timeout=0.02)
        if messages:
            heard = time.monotonic()
        assert time.monotonic() - heard < 60, f"the ends of {sorted(left)} are not heard of"
        for message in messages:
            error = message.error()
            if error is None:
                yield message
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left.discard((message.topic(), message.partition()))


def ends_of(bootstrap: str, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """One past the last record of every partition that has any, (topic, partition) -> offset."""
    return {place: message.offset() + 1 for place, message in last_messages(bootstrap, topics).items()}


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


def progress_of(bootstrap: str, app: str) -> dict[int, Progress]:
    """Every partition's progress, as in its changelog's last commit."""
    last = last_messages(bootstrap, [changelog_topic(app).name], lambda message: message.key() == RESERVED_KEY)
    return {number: unpack_progress(message.value()) for (_, number), message in last.items()}


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
