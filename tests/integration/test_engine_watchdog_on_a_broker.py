"""What the watchdog hears of a broker that freezes, and of one that was restarted."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from faust.types import TP

from streams.engine.config import EngineConfig
from streams.engine.watchdog import Watchdog
from streams.local.broker import EmbeddedBroker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

VIEWS = [TP("views", 0), TP("views", 1)]


def test_a_frozen_broker_does_not_answer_and_a_restarted_one_does_at_once(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})  # named: answers only come while the client lives
        admin.create_topics([NewTopic("views", 2)])["views"].result()
        watchdog = Watchdog(EngineConfig("app", broker.bootstrap, ("views",), "log", 2, 0))
        assert watchdog.stable_ends(VIEWS) == dict.fromkeys(VIEWS, 0)
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert watchdog.stable_ends(VIEWS) is None
            assert time.monotonic() - began < 20
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert watchdog.stable_ends(VIEWS) == dict.fromkeys(VIEWS, 0)
        for _ in range(2):  # each time its partitions' leaders are new ones
            broker.kill()
            assert watchdog.stable_ends(VIEWS) is None
            broker.start()
            assert watchdog.stable_ends(VIEWS) == dict.fromkeys(VIEWS, 0)
