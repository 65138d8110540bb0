"""All partitions of a worker, and a topic between them that takes a while: dice say which goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random
from zlib import crc32

from partitions import CODEC, PARTITIONS, Worker

from streams.engine.seam import PlainRecord
from streams.partitioning import partition_of
from streams.qualification.events import Event
from streams.qualification.model.values import Model
from streams.topics import INPUT_TOPICS


class SlowWorker(Worker):
    """What is told of ids is handled at once, in the partition that it came to; of strays, whatever partition the dice
    say handles its next.
    """

    def __init__(self, model: Model, dice: Random) -> None:
        super().__init__(model=model)
        self._dice = dice
        self._strays: list[deque[PlainRecord]] = [deque() for _ in range(PARTITIONS)]

    def tell(self, events: Iterable[Event], haste: float, astray: float = 0.0) -> None:
        """Events arrive in order; before each some strays do: the more, the closer `haste` is to 1. A share `astray`
        is of a tracker that leaves librdkafka's partitioner as it is.
        """
        for one in events:
            while self._dice.random() < haste and self.travel():
                pass
            (topic,) = [topic for topic in INPUT_TOPICS if topic.kind == one.kind]
            said = {"event_id": one.event_id, "lead_id": one.lead_id, "occurred_at": one.occurred_at}
            fields = {**one.fields, **said}
            key = str(fields[topic.key_field]).encode()
            where = crc32(key) % PARTITIONS if self._dice.random() < astray else partition_of(key, PARTITIONS)
            self._run(PlainRecord(topic.name, where, 0, one.arrival, key, CODEC.encode(topic.name, fields)))

    def travel(self) -> bool:
        """Some partition handles its next stray. False when there is none."""
        waiting = [one for one in self._strays if one]
        if not waiting:
            return False
        self._run(self._dice.choice(waiting).popleft())
        return True

    def settle(self) -> None:
        while self.travel():
            pass

    def _run(self, record: PlainRecord) -> None:
        for stray in self.handle(record):
            self._strays[stray.partition].append(stray)
