"""Writing to Kafka from the event loop, each record awaited until the broker has it."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.errors import LeadstreamError
from streams.kafka import producer_config


class BrokerRefused(LeadstreamError):
    """Kafka did not take a record."""


class Outbox:
    """One idempotent producer for the whole process; `with` ends it. `timeout_s`: how long a record may take."""

    def __init__(self, bootstrap: str, timeout_s: float = 60.0) -> None:
        settings = {"message.timeout.ms": round(timeout_s * 1000), "linger.ms": 2}
        self._producer = Producer({**producer_config(bootstrap), **settings})
        self._ending = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="outbox", daemon=True)

    def __enter__(self) -> Outbox:
        self._poller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._poller.join()
        self._producer.flush(10)

    async def write(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        partition: int = -1,
    ) -> None:
        """Write one record and wait for the broker's acknowledgement. Raises BrokerRefused."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if written.done():
                return
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(BrokerRefused(f"Kafka did not take a record for {topic}: {error.str()}"))

        def on_delivery(error: KafkaError | None, _: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, error)

        try:
            self._producer.produce(topic, value, key, partition, on_delivery=on_delivery)
        except (KafkaException, BufferError) as error:
            raise BrokerRefused(f"Kafka did not take a record for {topic}: {error}") from None
        await written

    def _poll(self) -> None:
        while not self._ending.is_set():
            self._producer.poll(0.1)
