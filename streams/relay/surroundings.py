"""What all targets and the feedback server of a process share."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from streams.monitoring.relay import RelayMetrics
from streams.relay.outbox import Outbox
from streams.wire.codec import Codec


class Membership(NamedTuple):
    """How a process belongs to its targets' consumer groups, whose names begin with `group_prefix`. Who is silent for
    `session_timeout_s` loses its partitions. Who has an `instance_id`, nobody else's, keeps them over a restart.
    """

    group_prefix: str
    instance_id: str | None = None
    session_timeout_s: float = 6.0

    @property
    def standstill_s(self) -> float:
        """How long a process may stand still and be sure of its partitions all the same."""
        return self.session_timeout_s * 0.6


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`now` is the wall clock in ms, `clock` a monotonic one in seconds."""

    bootstrap: str
    membership: Membership
    retries_topic: str
    memory_topic: str
    codec: Codec
    outbox: Outbox
    metrics: RelayMetrics
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
