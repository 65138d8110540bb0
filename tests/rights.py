"""What a Kafka user may do, found out by trying: the real operations, not what the authorizer says of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

#: (kind, name, operation)
Tried = tuple[str, str, str]

_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_SECONDS = 20.0


def works(client: dict[str, Any], topics: list[str], groups: Iterable[str], ids: Iterable[str]) -> set[Tried]:
    """What the user of `client` (librdkafka's settings) can do with these resources, out of all there is to do."""
    admin = AdminClient(client)
    found: set[Tried] = set()
    seen = [name for name in topics if name in admin.list_topics(timeout=_SECONDS).topics]
    found |= {("topic", name, "Describe") for name in seen}
    found |= {("topic", name, "Read") for name in _readable(client, seen)}  # to read is to see as well
    found |= {("topic", name, "Write") for name in _writable(client, topics)}
    created = admin.create_topics([NewTopic(name, 1) for name in topics], validate_only=True)
    found |= {("topic", name, "Create") for name, answer in created.items() if _passes(answer.result)}
    described = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
    found |= {("topic", one.name, "DescribeConfigs") for one, answer in described.items() if _passes(answer.result)}
    # One by one: nothing is changed, but librdkafka fails all of a request's when one is denied.
    for name in topics:
        change = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
        (answer,) = admin.incremental_alter_configs([resource], validate_only=True).values()
        found |= {("topic", name, "AlterConfigs")} if _passes(answer.result) else set()
    for group in groups:
        found |= {("group", group, operation) for operation in _in_group(admin, group)}
    found |= {("transactional-id", one, "Write") for one in ids if _may_begin(client, one)}
    return found


def _readable(client: dict[str, Any], topics: list[str]) -> set[str]:
    """Topics of which a fetch of partition 0 is answered."""
    consumer = Consumer({**client, "group.id": "none", "enable.partition.eof": True, "enable.auto.commit": False})
    readable: set[str] = set()
    left = set(topics)
    try:
        consumer.assign([TopicPartition(name, 0, 0) for name in topics])
        while left:
            message = consumer.poll(_SECONDS)
            assert message is not None, f"nothing is heard of {left}"
            error, name = message.error(), message.topic()
            if name is None:
                assert error is not None  # of the group, which is not what is tried here
                assert error.code() in _DENIED
                continue
            assert error is None or error.code() in {*_DENIED, KafkaError._PARTITION_EOF}, error
            left.discard(name)
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                readable.add(name)
    finally:
        consumer.close()
    return readable


def _writable(client: dict[str, Any], topics: list[str]) -> set[str]:
    """Topics of which partition 0 takes a record. Not idempotent: who may write nowhere gets no producer id, which is
    fatal, and the library does not survive what comes after.
    """
    answers: dict[str, KafkaError | None] = {}
    producer = Producer({**client, "message.timeout.ms": int(_SECONDS * 1000)})
    for name in topics:
        producer.produce(name, b"tried", b"tried", 0, on_delivery=lambda error, _, at=name: answers.update({at: error}))
    producer.flush(_SECONDS)
    assert set(answers) == set(topics)
    for error in answers.values():
        assert error is None or error.code() in _DENIED, error
    return {name for name, error in answers.items() if error is None}


def _in_group(admin: AdminClient, group: str) -> set[str]:
    """Whether its offsets can be seen, and be set as a member would."""
    here = TopicPartition("lead-scores", 0, 0)
    allowed = set()
    if _passes(lambda: _answer(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))):
        allowed.add("Describe")
    if _passes(lambda: _answer(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [here])]))):
        allowed.add("Read")
    return allowed


def _may_begin(client: dict[str, Any], transactional_id: str) -> bool:
    producer = Producer({**client, "transactional.id": transactional_id})
    return _passes(lambda: producer.init_transactions(_SECONDS))


def _answer(answers: dict[Any, Any]) -> None:
    (answer,) = answers.values()
    for place in answer.result().topic_partitions:
        # That the group is denied may be said of each partition; that a topic is says nothing of the group.
        if place.error is not None and place.error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise KafkaException(place.error)


def _passes(call: Callable[[], Any]) -> bool:
    """Whether it is not denied. That a topic is there already is said to those only who may create one."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            call()
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() in _DENIED:
                return False
            if cause.code() == KafkaError.COORDINATOR_LOAD_IN_PROGRESS and time.monotonic() < deadline:
                continue
            if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        return True
