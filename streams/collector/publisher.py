"""The edge to the broker: a request's records are sent, and confirmed as one.

Runs in the event loop's own thread: a timer polls librdkafka for confirmations while any are awaited, so that no
confirmation has to cross threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.collector.standing import Standing
from streams.kafka import producer_config

#: Snowplow's tracker gives up on a request after five seconds, and sends what it holds only along with its next event:
#: the answer must reach it before, also from a machine that has too much to do.
DELIVERY_SECONDS: Final = 3.0
#: Longer than a broker takes to confirm. With five messages of a partition in flight an idempotent librdkafka sends no
#: more of it, and turns round and round for as long as others have lingered: a whole core, where brokers have few
#: partitions each.
_LINGER_MS: Final = 10
_POLL_SECONDS: Final = 0.002
_QUEUE_KILOBYTES: Final = 65_536
#: How long the broker may take to answer when it is asked whether it is there, and how often it is.
_ANSWER_SECONDS: Final = 1.0


class Record(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes


class Unavailable(Exception):
    """The broker hasn't confirmed the records. Some may be there all the same: a repeat must carry the same ids."""


class Publisher:
    """An idempotent producer, `acks=all`. To be made and used within one running event loop."""

    def __init__(self, bootstrap: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(
            {
                **producer_config(bootstrap),
                "linger.ms": _LINGER_MS,
                "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
                "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
            }
        )
        self._waiting = 0
        self._polling = False
        self._standing = Standing()
        self._asking: asyncio.Task[None] | None = None
        #: Done with what happened when this producer can never send again.
        self.broken: asyncio.Future[KafkaError] = self._loop.create_future()

    @property
    def healthy(self) -> bool:
        """Whether the broker is there, and confirmed what was sent last to each topic."""
        return self._standing.healthy

    @property
    def away(self) -> bool:
        """Whether the broker does not answer: `publish` would say so at once."""
        return self._standing.away

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when the broker has all `records`. Raises Unavailable within DELIVERY_SECONDS or so."""
        if not records:
            return
        if not self._standing.healthy:
            topics = (record.topic for record in records)
            if not self._standing.attempt(topics, self._loop.time(), DELIVERY_SECONDS):
                raise Unavailable("the broker did not take such records a moment ago")
        pending = _Pending(self, self._loop.create_future())
        produce, delivered = self._producer.produce, pending.delivered
        try:
            for record in records:
                produce(record.topic, record.value, record.key, on_delivery=delivered)
                pending.left += 1
                self._waiting += 1
        except BufferError:
            pending.future.cancel()
            raise Unavailable("more is waiting for the broker than we keep") from None
        except KafkaException as error:
            pending.future.cancel()
            self.failed(error.args[0], record.topic)
            raise Unavailable(error.args[0].str()) from None
        finally:
            if self._waiting and not self._polling:
                self._polling = True
                self._loop.call_later(_POLL_SECONDS, self._poll)
        await pending.future
        if pending.error is not None:
            raise Unavailable(pending.error.str())

    async def close(self, seconds: float = 2 * DELIVERY_SECONDS) -> None:
        """Wait until what was sent is confirmed or has failed."""
        if self._asking is not None:
            self._asking.cancel()
        await self._loop.run_in_executor(None, self._producer.flush, seconds)

    def failed(self, error: KafkaError, topic: str) -> None:
        ask = self._standing.failed(topic, error, self._loop.time())
        if ask and (self._asking is None or self._asking.done()):
            self._asking = self._loop.create_task(self._ask())
        if (error.fatal() or error.code() == KafkaError._FATAL) and not self.broken.done():
            self.broken.set_result(error)

    async def _ask(self) -> None:
        """Ask for the broker until it answers: while it is away no request is sent to find out by."""
        while True:
            try:
                await self._loop.run_in_executor(None, self._producer.list_topics, None, _ANSWER_SECONDS)
            except KafkaException:
                self._standing.answered(False)
                await asyncio.sleep(_ANSWER_SECONDS)
            else:
                self._standing.answered(True)
                return

    def settled(self, error: KafkaError | None, message: Message) -> None:
        self._waiting -= 1
        if error is None and self._standing.healthy:
            return
        topic = message.topic()
        assert topic is not None
        if error is not None:
            self.failed(error, topic)
        else:
            self._standing.confirmed(topic)

    def _poll(self) -> None:
        self._producer.poll(0)
        self._polling = self._waiting > 0
        if self._polling:
            self._loop.call_later(_POLL_SECONDS, self._poll)


class _Pending:
    """The records of one request that aren't confirmed yet."""

    __slots__ = ("error", "future", "left", "publisher")

    def __init__(self, publisher: Publisher, future: asyncio.Future[None]) -> None:
        self.publisher = publisher
        self.future = future
        self.left = 0
        self.error: KafkaError | None = None

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        self.publisher.settled(error, message)
        self.left -= 1
        if error is not None:
            self.error = error
        if not self.left and not self.future.done():
            self.future.set_result(None)
