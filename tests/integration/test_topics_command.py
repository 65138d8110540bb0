from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from streams.kafka import Drift, admin_client, ensure_topics, require_broker
from streams.local.broker import EmbeddedBroker
from streams.topics import TOPICS

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LEADSTREAM = Path(sys.executable).parent / "leadstream"


def topics(bootstrap: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LEADSTREAM, "topics", "--bootstrap", bootstrap, *options],
        capture_output=True,
        text=True,
        timeout=120,
    )


def set_config(bootstrap: str, topic: str, setting: str, value: str) -> None:
    admin = admin_client(bootstrap)
    change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()


def config(bootstrap: str, topic: str) -> dict[str, str]:
    admin = admin_client(bootstrap)
    [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: entry.value for name, entry in future.result().items()}


def test_topics_are_created_as_the_table_says_mended_and_never_repartitioned() -> None:
    with EmbeddedBroker() as broker:
        address = broker.bootstrap
        unmade = topics(address, "--check", "--app", "scoring")
        assert unmade.returncode == 1
        assert "drift   page-views: topic is missing, should be there" in unmade.stderr
        assert require_broker(address).topics == {}

        created = topics(address, "--partitions", "3", "--app", "scoring")
        assert created.returncode == 0, created.stderr
        names = [*TOPICS, "scoring-leads-changelog", "scoring-relay-memory", "scoring-relay-retries"]
        assert created.stdout.splitlines() == [f"created {name}" for name in names]
        known = require_broker(address).topics
        assert {len(known[name].partitions) for name in names} == {3}
        for name, topic in TOPICS.items():
            assert topic.config.items() <= config(address, name).items()

        again = topics(address, "--app", "scoring")
        assert (again.returncode, again.stdout) == (0, "All topics are there, 3 partitions each.\n")

        set_config(address, "page-views", "max.message.bytes", "1000")
        set_config(address, "mql-events", "retention.ms", "-1")
        set_config(address, "downloads", "retention.ms", "1000")
        set_config(address, "lead-scores", "max.compaction.lag.ms", "1000")
        set_config(address, "page-views", "segment.bytes", "20971520")
        looked_at = topics(address, "--check", "--app", "scoring")
        assert looked_at.returncode == 1
        assert "page-views: max.message.bytes is 1000, should be 10485760" in looked_at.stderr
        assert config(address, "page-views")["max.message.bytes"] == "1000"
        mended = ensure_topics(address, app_id="scoring")
        wanted = TOPICS["page-views"].config["retention.ms"]
        assert mended.mended == (Drift("page-views", "max.message.bytes", "1000", "10485760"),)
        assert mended.longer == (Drift("mql-events", "retention.ms", "-1", wanted),)
        assert mended.drift == ()
        assert config(address, "page-views")["max.message.bytes"] == "10485760"
        assert config(address, "page-views")["segment.bytes"] == "20971520"  # the operator's own
        assert config(address, "downloads")["retention.ms"] == "1000"  # keeping less is the operator's right
        assert config(address, "lead-scores")["max.compaction.lag.ms"] == "1000"

        left = topics(address, "--app", "scoring")
        assert left.returncode == 0  # it is the operator's decision, and nothing is wrong
        assert "drift   mql-events: retention.ms is -1, should be 34560000000" in left.stderr
        assert "--shorten-retention" in left.stderr
        assert topics(address, "--check", "--app", "scoring").returncode == 1
        assert config(address, "mql-events")["retention.ms"] == "-1"

        set_config(address, "page-views", "retention.ms", "69120000000")
        longer = topics(address, "--app", "scoring")
        assert longer.returncode == 1  # who was erased would be back in a replay
        assert "erasures: retention is 34560000000 ms, should be at least 69120000000 ms" in longer.stderr
        assert config(address, "page-views")["retention.ms"] == "69120000000"

        shortened = topics(address, "--shorten-retention", "--app", "scoring")
        assert (shortened.returncode, shortened.stderr) == (0, "")
        assert shortened.stdout.splitlines() == [
            "mended  page-views: retention.ms was 69120000000, is 34560000000",
            "mended  mql-events: retention.ms was -1, is 34560000000",
        ]
        assert {config(address, name)["retention.ms"] for name in ("page-views", "mql-events")} == {wanted}

        set_config(address, "erasures", "retention.ms", "86400000")
        forgetful = topics(address, "--app", "scoring")
        assert forgetful.returncode == 1
        assert (
            "erasures: retention is 86400000 ms, should be at least 34560000000 ms, as page-views" in forgetful.stderr
        )
        assert "comes back in a replay" in forgetful.stderr
        assert config(address, "erasures")["retention.ms"] == "86400000"
        set_config(address, "erasures", "retention.ms", wanted)

        more = topics(address, "--partitions", "4", "--app", "scoring")
        assert more.returncode == 1
        assert "page-views: number of partitions is 3, should be 4" in more.stderr
        assert len(require_broker(address).topics["page-views"].partitions) == 3

        safer = topics(address, "--app", "scoring", "--replication-factor", "3", "--min-insync-replicas", "2")
        assert safer.returncode == 1
        assert "mended  page-views: min.insync.replicas was 1, is 2" in safer.stdout
        assert "page-views: replication factor is 1, should be 3" in safer.stderr
        assert "kafka-reassign-partitions" in safer.stderr
        absurd = topics(address, "--replication-factor", "1", "--min-insync-replicas", "2")
        assert (absurd.returncode, absurd.stdout) == (2, "")


def test_one_topic_with_another_number_of_partitions_is_drift() -> None:
    with EmbeddedBroker() as broker:
        admin = admin_client(broker.bootstrap)
        for future in admin.create_topics([NewTopic("downloads", 5)]).values():
            future.result()
        report = ensure_topics(broker.bootstrap, partitions=2)
        assert report.drift == (Drift("downloads", "number of partitions", "5", "2"),)
        assert "page-views" in report.created
