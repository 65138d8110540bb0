"""The collector while the broker, or a part of what is there, can't take what it is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streams.kafka import admin_client
from streams.local.broker import EmbeddedBroker
from tests.integration.collector_bed import RunningCollector, events_of, running_collector
from tests.processes import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def sent(collector: RunningCollector, event: str, message_id: str) -> int:
    """The status of an answer to a tracked event."""
    message = {"userId": "u", "event": event, "messageId": message_id, "properties": {"asset_id": "guide"}}
    return collector.post("/v1/track", message).status_code


def test_a_topic_that_was_deleted_holds_up_no_other(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker, running_collector(broker.bootstrap, tmp_path) as collector:
        assert sent(collector, "File Downloaded", "before") == 200
        admin = admin_client(broker.bootstrap)
        for deleted in admin.delete_topics(["downloads"]).values():
            deleted.result()
        eventually(lambda: "downloads" not in admin.list_topics(timeout=10).topics, "it is still there")
        with ThreadPoolExecutor(4) as trackers:
            refused = [
                trackers.submit(lambda: [sent(collector, "File Downloaded", "after") for _ in range(40)])
                for _ in range(2)
            ]
            taken = 0
            while not all(one.done() for one in refused):
                assert sent(collector, "Looked", f"looked-{taken}") == 200
                assert collector.get("/health/ready").status_code == 200
                taken += 1
            assert {status for one in refused for status in one.result()} == {503}
        looked = {one["event_id"] for one in events_of(broker.bootstrap, "activities", "u")}
        assert looked == {f"looked-{number}" for number in range(taken)}
        assert "takes nothing for downloads" in collector.log.read_text()
