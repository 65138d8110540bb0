"""What an engine needs to know."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.engine.clock import ClockKind

#: librdkafka's own messages. During an outage each of many clients repeats them by the second.
CLIENT_LOG = logging.getLogger("streams.engine.librdkafka")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`topics`: source topics, in the order that breaks ties of event time. All of them and the changelog
    have `partitions` partitions. `grace_ms`: see `streams.engine.clock`. `agent`: what Faust calls the agent.
    `instance_id`: static group membership, unique per process; a restart within `session_timeout_s` then passes
    without a rebalance.
    `stalled_s`: a process that is behind and does nothing for so long is ended.
    `security`: librdkafka's names for encryption and login, used for every client.
    """

    app_id: str
    bootstrap: str
    topics: tuple[str, ...]
    changelog_topic: str
    partitions: int
    grace_ms: int
    agent: str = "chunks"
    clock: ClockKind = "wall"
    instance_id: str | None = None
    session_timeout_s: float = 10.0
    heartbeat_s: float = 2.0
    drain_s: float = 10.0
    stalled_s: float = 60.0
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)  # holds a password

    @property
    def client(self) -> dict[str, Any]:
        """Configuration that all librdkafka clients share."""
        return {"bootstrap.servers": self.bootstrap, **self.security}
