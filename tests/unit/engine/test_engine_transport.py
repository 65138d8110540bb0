"""What the consumer's thread tells of its partitions, without a broker."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.engine import transport
from streams.engine.seen import LogSeen
from streams.engine.transport import ChunkConsumerThread

VIEWS = TP("views", 1)


class Consumer:
    """Stands for aiokafka's."""

    def __init__(self) -> None:
        self.position = 0

    def seek(self, _: Any, offset: int) -> None:
        self.position = offset


class Thread(ChunkConsumerThread):
    """One that is not started: its calls are made here."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.positions = {}
        self._handed_out, self._follows, self._seen = {}, {}, defaultdict(LogSeen)

    def _ensure_consumer(self) -> Any:
        return self.consumer

    def _beat(self) -> float:
        return 0.0

    async def call_thread(self, call: Any, *args: Any, **more: Any) -> Any:
        return await call(*args, **more)


@pytest.mark.parametrize(("again", "handed_out"), [(False, None), (True, 572)])
async def test_what_was_handed_out_before_a_topic_is_read_again_does_not_pass_for_applied(
    again: bool, handed_out: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the group's offset went over what waits in the buffer, with the position."""

    async def nothing(*_: Any, **__: Any) -> dict[TP, Any]:
        return {}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", nothing)
    monkeypatch.setattr(transport, "positions", lambda consumer: [(VIEWS, consumer.position, 10**15, 600)])
    thread = Thread()
    await thread.start_at({VIEWS: 572}, again=again)
    await thread._fetch_records()
    where = thread.positions[VIEWS]
    assert (where.handed_out, where.position) == (handed_out, 572)
