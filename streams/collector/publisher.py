"""The edge to the broker: a request's records are sent, and confirmed as one.

Runs in the event loop's own thread: a timer polls librdkafka for confirmations while any are awaited, so that no
confirmation has to cross threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.kafka import producer_config

log = logging.getLogger(__name__)

#: What a tracker waits at least: Snowplow's gives up after five seconds, and asks again.
DELIVERY_SECONDS: Final = 4.0
_POLL_SECONDS: Final = 0.001
#: After a failure, how long everyone is told at once to come back, before one request tries again.
_PAUSE_SECONDS: Final = 1.0
_QUEUE_KILOBYTES: Final = 65_536
#: What a broker says that is there: these records can't be had in their topic. Others can be in theirs.
_OF_ONE_TOPIC: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.MSG_SIZE_TOO_LARGE,
    }
)
_REMIND_SECONDS: Final = 60.0


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
                "linger.ms": 2,
                "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
                "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
            }
        )
        self._waiting = 0
        self._polling = False
        self._paused_until = 0.0
        self.healthy = True
        self._answers = True
        self._said: dict[str | None, float] = {}
        self._asking: asyncio.Task[None] | None = None
        #: Done with what happened when this producer can never send again.
        self.broken: asyncio.Future[KafkaError] = self._loop.create_future()

    @property
    def ready(self) -> bool:
        """Whether it is worth sending requests here: the broker confirmed last, or answers again since it did not."""
        return self.healthy or self._answers

    @property
    def pausing(self) -> bool:
        """Whether `publish` would say at once that the broker was away a moment ago."""
        return not self.healthy and self._loop.time() < self._paused_until

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when the broker has all `records`. Raises Unavailable within DELIVERY_SECONDS or so."""
        if not records:
            return
        if not self.healthy:
            if self.pausing:
                raise Unavailable("the broker was away a moment ago")
            # This request tries; the others wait for what it finds.
            self._paused_until = self._loop.time() + DELIVERY_SECONDS
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

    def failed(self, error: KafkaError, topic: str | None) -> None:
        if error.code() in _OF_ONE_TOPIC:
            if self._loop.time() > self._said.get(topic, 0.0):
                self._said[topic] = self._loop.time() + _REMIND_SECONDS
                log.error("the broker takes nothing for %s: %s; trackers are told to come back", topic, error.str())
            return
        if self.healthy:
            log.error("the broker does not confirm: %s; trackers are told to come back", error.str())
        self.healthy = False
        self._paused_until = self._loop.time() + _PAUSE_SECONDS
        self._answers = False
        if self._asking is None or self._asking.done():
            self._asking = self._loop.create_task(self._ask())
        if (error.fatal() or error.code() == KafkaError._FATAL) and not self.broken.done():
            self.broken.set_result(error)

    async def _ask(self) -> None:
        """Ask for the broker until it answers: a collector that is not ready gets no requests to find out by."""
        while not self.ready:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._loop.run_in_executor(None, self._producer.list_topics, None, DELIVERY_SECONDS)
            except KafkaException:
                continue
            self._answers = True

    def settled(self, error: KafkaError | None, message: Message) -> None:
        self._waiting -= 1
        if error is not None:
            self.failed(error, message.topic())
        elif not self.healthy:
            self.healthy = True
            log.warning("the broker confirms again")

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
