"""All partitions of a worker in memory, with everything encoded as on the topics."""

from __future__ import annotations

from typing import Any

from streams.engine.seam import Output, PlainRecord
from streams.modelfile import read_model
from streams.partitioning import partition_of
from streams.processing import LeadLogic
from streams.qualification.events import Transition
from streams.qualification.model.values import Model
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec

PARTITIONS = 12
CODEC = Codec()


class Uncounted:
    def ignored(self, reason: str, records: int, partition: int) -> None: ...

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None: ...

    def refused(self, topic: str, bad: BadRecord, partition: int) -> None: ...

    def strayed(self, topic: str, partition: int) -> None: ...


class Held:
    """A partition's batch in memory."""

    partition = 0

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.states: dict[bytes, Any] = {}
        self.dues: dict[bytes, int | None] = {}
        self.stream_time: int | None = None

    def get(self, key: bytes) -> Any:
        return self.states.get(key)

    def due(self, key: bytes) -> int | None:
        return self.dues.get(key)

    def put(self, key: bytes, state: Any, due: int | None) -> None:
        self.states[key], self.dues[key] = state, due

    def delete(self, key: bytes) -> None:
        del self.states[key], self.dues[key]

    def emit(self, output: Output) -> None:
        self.outputs.append(output)


class Worker:
    """All partitions of workers of one application id; what one says on strays, the other hears at once."""

    def __init__(self, app: str = "app", model: Model | None = None) -> None:
        self.logic = LeadLogic(CODEC, model or read_model(None), PARTITIONS, lambda: 0, Uncounted(), app)
        self.batches = [Held() for _ in range(PARTITIONS)]
        #: what subscribers hear, and its topic
        self.told: list[tuple[str, dict[str, Any]]] = []

    def take(self, record: PlainRecord) -> list[dict[str, Any]]:
        """Handle a record and the strays that it brings about, which are returned."""
        waiting, strays = [record], []
        while waiting:
            for stray in self.handle(waiting.pop(0)):
                waiting.append(stray)
                strays.append(decoded("strays", stray.value))
        return strays

    def handle(self, record: PlainRecord) -> list[PlainRecord]:
        """Handle a record in its partition. The strays that it brings about, as they come to theirs."""
        batch: Any = self.batches[record.partition]
        batch.outputs.clear()
        item = self.logic.decode(record)
        self.logic.handle(record, item, batch)
        if item.time is not None:
            batch.stream_time = max(batch.stream_time or 0, item.time)
        strays = []
        for output in batch.outputs:
            if output.topic == "strays":
                where = partition_of(output.key, PARTITIONS)
                strays.append(PlainRecord("strays", where, 0, record.timestamp, output.key, output.value))
            elif output.value is not None:
                self.told.append((output.topic, decoded(output.topic, output.value)))
        return strays

    @property
    def states(self) -> dict[bytes, Any]:
        return {key: state for batch in self.batches for key, state in batch.states.items()}


def decoded(topic: str, value: bytes | None) -> dict[str, Any]:
    fields = CODEC.decode(topic, value)
    assert isinstance(fields, dict)
    return fields
