"""What a consumer group's member hands on while its partitions move."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.relay import source
from streams.relay.offsets import Place
from streams.relay.source import Source
from streams.relay.surroundings import Membership

PLACE = TopicPartition("sql-events", 0)


class Message:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return PLACE.topic

    def partition(self) -> int:
        return PLACE.partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"lead"

    def value(self) -> bytes:
        return b"value"

    def timestamp(self) -> tuple[int, int]:
        return 1, 1000 + self._offset


class Kafka:
    """A consumer whose polls do what a test wrote down; `refused` when the group knows it no more."""

    def __init__(self) -> None:
        self.polls: deque[Callable[[], list[Message]]] = deque()
        self.assigned: list[TopicPartition] = []
        self.commits: list[list[TopicPartition]] = []
        self.refused = False
        self.callbacks: dict[str, Any] = {}

    def subscribe(self, topics: Sequence[str], **callbacks: Any) -> None:
        self.callbacks = callbacks

    def consume(self, most: int, wait_s: float) -> list[Message]:
        return self.polls.popleft()() if self.polls else []

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition, -1001) for place in places]

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.commits.append(offsets)
        if self.refused:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))

    def close(self) -> None:
        pass

    def gets(self) -> list[Message]:
        self.assigned = [PLACE]
        self.callbacks["on_assign"](self, [PLACE])
        return []

    def loses(self) -> list[Message]:
        self.assigned = []
        self.callbacks["on_lost"](self, [PLACE])
        return []


class Owner:
    def __init__(self) -> None:
        self.lost: list[Place] = []

    async def assigned(self, memory: dict[int, dict[bytes, bytes]], places: Sequence[Place]) -> None:
        pass

    async def revoked(self, places: Sequence[Place], lost: bool) -> dict[Place, int]:
        self.lost += places
        return {}


class Bed:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka, self.owner, self.at = Kafka(), Owner(), 0.0
        monkeypatch.setattr(source, "Consumer", lambda _: self.kafka)
        monkeypatch.setattr(Source, "_restore", lambda _, number: {})
        self.source = Source("nowhere", "t", Membership("g"), [PLACE.topic], [], "memory", self.owner, lambda: self.at)


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    return Bed(monkeypatch)


async def test_what_was_read_of_a_partition_is_dropped_when_it_goes_in_the_same_poll(bed: Bed) -> None:
    await bed.source.open()
    bed.kafka.polls += [bed.kafka.gets, lambda: [Message(1), Message(2), Message(3)], bed.kafka.loses]
    assert await bed.source.read(10) == []
    assert [raw.offset for raw in await bed.source.read(1)] == [1]
    assert await bed.source.read(10) == [], "2 and 3 are another's now"
    assert bed.owner.lost == [("sql-events", 0)]
    await bed.source.close()


async def test_after_a_standstill_partitions_are_ours_only_once_kafka_takes_our_offsets(bed: Bed) -> None:
    await bed.source.open()
    bed.kafka.polls.append(bed.kafka.gets)
    await bed.source.read(10)
    assert (bed.source.alive(), bed.kafka.commits) == (True, [])
    bed.at += Membership("g").standstill_s
    assert not bed.source.alive()
    bed.kafka.refused = True
    await bed.source.read(10)
    assert not bed.source.alive(), "a poll that goes well says nothing"
    bed.kafka.refused = False
    await bed.source.read(10)
    assert bed.source.alive()
    assert [place.offset for place in bed.kafka.commits[-1]] == [0], "nothing was committed, and nothing is passed over"
    await bed.source.close()


async def test_who_has_lost_all_partitions_is_alive_without_any(bed: Bed) -> None:
    await bed.source.open()
    bed.kafka.polls.append(bed.kafka.gets)
    await bed.source.read(10)
    bed.at += Membership("g").standstill_s
    bed.kafka.polls.append(bed.kafka.loses)
    await bed.source.read(10)
    assert bed.source.alive()
    assert bed.kafka.commits == []
    await bed.source.close()


async def test_offsets_that_are_refused_for_a_while_are_told_of_once(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    await bed.source.open()
    place = ("sql-events", 0)
    for refused in (True, True, True, False, True):
        bed.kafka.refused = refused
        assert await bed.source.commit({place: 1}) is not refused
    assert len([one for one in caplog.messages if "committed later" in one]) == 2, "of two incidents"
    await bed.source.close()
