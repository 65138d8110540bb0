"""`leadstream dead-letters retry`: however many there are."""

from __future__ import annotations

from typing import Any

import pytest

from streams.cli import dead_letters
from streams.cli.dead_letters import Letter


class _FullProducer:
    """Holds one record until it is polled."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.waiting: list[Any] = []
        self.sent: list[tuple[str, bytes]] = []
        _FullProducer.last = self

    last: _FullProducer

    def produce(self, topic: str, value: bytes, key: bytes | None, *, on_delivery: Any, headers: Any = None) -> None:
        if self.waiting:
            raise BufferError("Local: Queue full")
        self.waiting.append(on_delivery)
        self.sent.append((topic, value))

    def poll(self, wait_s: float) -> None:
        if wait_s:
            while self.waiting:
                self.waiting.pop()(None, None)

    def flush(self, wait_s: float) -> int:
        self.poll(wait_s)
        return 0


def test_more_letters_than_a_producer_holds_are_all_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confluent_kafka.Producer", _FullProducer)
    monkeypatch.setattr("streams.kafka.ensure_topics", lambda *_, **__: None)
    record = {"consumer": "worker", "topic": "page-views", "partition": 0, "key": b"k", "value": b"v", "size": 1}
    letters = [Letter(f"0:{n}", record, b"k", b"raw") for n in range(3)]
    assert dead_letters._send("nowhere", "leadstream", letters) == (3, [])
    assert [value for _, value in _FullProducer.last.sent] == [b"v", b"raw"] * 3
