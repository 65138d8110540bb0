"""Ends a process that has work and does none.

After an outage a consumer can stay silent for good while everything looks alive. Whether there is work is
therefore asked of the broker by another client than the one that may be stuck. While no broker answers
there is nothing to judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from faust.types import TP

from streams.engine.config import CLIENT_LOG, EngineConfig

_ANSWER_SECONDS = 5.0


class Watchdog:
    """`now` is a monotonic clock in seconds."""

    def __init__(self, config: EngineConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._client = config.client
        self._admin = self._connected()
        self._now = now
        self._stalled_s = config.stalled_s
        #: How often to look.
        self.check_s = config.stalled_s / 6
        self._looked_at = now()
        #: For so long work is there and nothing was done, in seconds.
        self.idle_s = 0.0
        self._seen: Mapping[TP, int] = {}
        self._answered = True

    def stable_ends(self, tps: list[TP]) -> Mapping[TP, int] | None:
        """One past the last readable record of each partition, None when no broker answers. Blocks."""
        ends = self._asked(tps)
        if ends is None:
            # A client that saw an outage, or new leaders, goes on for minutes with those that it knew.
            self._admin = self._connected()
            ends = self._asked(tps)
        return ends

    def _connected(self) -> AdminClient:
        return AdminClient(self._client, logger=CLIENT_LOG)

    def _asked(self, tps: list[TP]) -> Mapping[TP, int] | None:
        wanted = {TopicPartition(*tp): OffsetSpec.latest() for tp in tps}  # type: ignore[no-untyped-call]
        try:
            answers = self._admin.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ANSWER_SECONDS
            )
            ends = {TP(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}
        except KafkaException:
            return None
        # A request that ran out of time has a result all the same, which is no offset.
        return ends if all(end >= 0 for end in ends.values()) else None

    def stalled(self, done: Mapping[TP, int], ends: Mapping[TP, int] | None, waits: bool) -> TP | None:
        """A partition that has been behind for `stalled_s` in which nothing at all moved, else None.

        `done` is the next offset of each partition, `ends` what `stable_ends` said, `waits` whether work
        waits for something outside that is known to be away.
        """
        # While the process itself was frozen it could do nothing: that time does not count.
        passed = min(self._now() - self._looked_at, 2 * self.check_s)
        self._looked_at = self._now()
        answered, self._answered = self._answered, ends is not None
        if ends is None and answered and done == self._seen:
            return None  # one question without an answer is no outage: nothing is known, nothing forgotten
        behind = [tp for tp, end in (ends or {}).items() if tp in done and done[tp] < end]
        if not behind or waits or done != self._seen:
            self._seen = done
            self.idle_s = 0.0
            return None
        self.idle_s += passed
        return behind[0] if self.idle_s >= self._stalled_s else None
