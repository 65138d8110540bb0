"""What is known of the broker: which topics can't be had for now, and whether it is there at all.

A record that is not confirmed in time says nothing of the others: its topic may have been deleted, which librdkafka
tells as it tells of a broker that is away. So what was sent to one topic is a verdict on that topic alone, and the
broker itself is asked (`Publisher`) before everyone is told to come back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError

log = logging.getLogger(__name__)

#: After a failure, how long a topic's requests are told at once to come back, before one of them tries again.
_PAUSE_SECONDS: Final = 1.0
#: What a broker says that is there, at once: such records can't be had. There is nothing to wait for.
_REFUSALS: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.MSG_SIZE_TOO_LARGE,
    }
)
_REMIND_SECONDS: Final = 60.0


class Standing:
    """Times are of one clock, in seconds, as the caller reads it."""

    def __init__(self) -> None:
        #: The broker did not answer when it was asked last.
        self.away = False
        self._paused_until: dict[str, float] = {}
        self._said: dict[str, float] = {}

    @property
    def healthy(self) -> bool:
        """Whether the broker is there, and confirmed what was sent last to each topic."""
        return not self.away and not self._paused_until

    def attempt(self, topics: Iterable[str], now: float, seconds: float) -> bool:
        """Whether a request with records for `topics` may send them.

        Where a topic is in trouble, one request tries: for the `seconds` that this may take, the others may not.
        """
        troubled = [topic for topic in set(topics) if topic in self._paused_until]
        if self.away or any(now < self._paused_until[topic] for topic in troubled):
            return False
        self._paused_until.update(dict.fromkeys(troubled, now + seconds))
        return True

    def confirmed(self, topic: str) -> None:
        if self._paused_until.pop(topic, None) is not None:
            log.warning("the broker confirms for %s again", topic)

    def failed(self, topic: str, error: KafkaError, now: float) -> bool:
        """Note that the broker has not taken a record. Whether it must be asked if it is there."""
        if now >= self._said.get(topic, now):
            self._said[topic] = now + _REMIND_SECONDS
            log.error("the broker takes nothing for %s: %s; trackers are told to come back", topic, error.str())
        if error.code() in _REFUSALS:
            return False
        self._paused_until[topic] = now + _PAUSE_SECONDS
        return True

    def answered(self, answers: bool) -> None:
        """Note whether the broker answered a question."""
        if answers == self.away:
            log.warning("the broker answers again" if answers else "no broker answers; trackers are told to come back")
        self.away = not answers
