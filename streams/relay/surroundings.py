"""What all targets and the feedback server of a process share."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from streams.monitoring.relay import RelayMetrics
from streams.relay.outbox import Outbox
from streams.wire.codec import Codec


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`now` is the wall clock in ms, `clock` a monotonic one in seconds."""

    bootstrap: str
    group_prefix: str
    retries_topic: str
    memory_topic: str
    codec: Codec
    outbox: Outbox
    metrics: RelayMetrics
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
