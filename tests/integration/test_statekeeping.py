"""State in a file and back: after a loss, with more partitions, on another cluster. Rehearses deploy/operations.md."""

from __future__ import annotations

import itertools
import json
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import NewPartitions

from streams import statekeeping
from streams.engine import snapshot
from streams.kafka import admin_client, require_broker
from streams.local.broker import EmbeddedBroker
from streams.topics import INPUT_TOPICS, SOURCE_TOPICS, TOPICS
from tests.kafka_topics import changelog_of, ends_of, progress_of, read_all
from tests.processes import eventually, leadstream, running_worker
from tests.relay_bed import produce, running_relay, webhook
from tests.relay_records import qualification
from tests.servers import Subscriber, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAY = 86_400_000
START = 1_793_523_600_000
RUSH = START + 9 * DAY + 3_600_000
OUTPUTS = ("mql-events", "sql-events", "lifecycle-events")
CHANGELOG = "leadstream-leads-changelog"


def histories() -> list[str]:
    """Forty leads over thirty days, in time order, as JSON lines."""
    lines: list[tuple[int, str]] = []
    for number in range(40):
        lead, begin = f"lead-{number}", START + number * DAY // 3
        steps = [
            (0, "page-views", {"url": "https://example.com/"}),
            (
                600_000,
                "lead-profiles",
                {"email": f"{lead}@c.example", "employees": 500, "job_title": "Director of Sales"},
            ),
            (900_000, "page-views", {"url": "https://example.com/pricing"}),
            (DAY, "page-views", {"url": "https://example.com/pricing"}),
            (2 * DAY, "downloads", {"asset_id": "guide", "funnel_stage": "BOTTOM"}),
            *([(3 * DAY, "demo-bookings", {"booking_id": "b", "status": "BOOKED"})] if number % 3 == 0 else []),
            (9 * DAY, "page-views", {"url": "https://example.com/pricing"}),
        ]
        for after, topic, fields in steps:
            event = {"lead_id": lead, "occurred_at": begin + after, **fields}
            lines.append((begin + after, json.dumps({"topic": topic, "event": event})))
        # A minute in which all of them come by: what waits while partitions are added.
        event = {"lead_id": lead, "occurred_at": RUSH + number * 1000, "url": "https://example.com/case-studies/rush"}
        lines.append((RUSH + number * 1000, json.dumps({"topic": "page-views", "event": event})))
    return [text for _, text in sorted(lines)]


def ids(address: str) -> Counter[str]:
    """How often each event id is on the output topics."""
    return Counter(
        record["event_id"] for pairs in read_all(address, *OUTPUTS).values() for _, record in pairs if record
    )


def succeeds(*arguments: str, input: str = "") -> str:
    done = leadstream(*arguments, input=input.encode())
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def worker(address: str, log: Path) -> Iterator[None]:
    """A worker that has applied all there is when the block is left."""
    with running_worker(address, log, "--clock", "stream"):
        yield
        eventually(lambda: behind(address) == 0, f"the worker never came to the end, see {log}")


def behind(address: str) -> int:
    """Records on the source topics that are not applied. The group's own offsets are a hint, and may be ahead of it."""
    progress = progress_of(address, "leadstream")
    ends = ends_of(address, [topic.name for topic in SOURCE_TOPICS])
    applied = {(topic, number): last for number, one in progress.items() for topic, last in one.applied.items()}
    return sum(max(0, end - 1 - applied.get(place, -1)) for place, end in ends.items())


def partition_counts(address: str) -> set[int]:
    return {len(topic.partitions) for name, topic in require_broker(address).topics.items() if name in TOPICS}


def foresee(folder: Path, lines: list[str]) -> set[str]:
    events, foreseen = folder / "events.jsonl", folder / "foreseen.jsonl"
    events.write_text("\n".join(lines) + "\n")
    succeeds("backtest", str(events), "--events", str(foreseen))
    return {json.loads(one)["event"]["event_id"] for one in foreseen.read_text().splitlines()}


@pytest.mark.timeout(600)
def test_state_survives_a_reset_a_loss_more_partitions_and_a_move(tmp_path: Path) -> None:
    lines = histories()
    rushes = [place for place, line in enumerate(lines) if "/rush" in line]
    begin, end = rushes[0], rushes[-1] + 1
    later = (end + len(lines)) // 2
    first, second, rush = lines[: begin // 2], lines[begin // 2 : begin], lines[begin:end]
    third, fourth = lines[end:later], lines[later:]
    expected = foresee(tmp_path, lines)
    with EmbeddedBroker(tmp_path / "kafka") as broker, EmbeddedBroker(tmp_path / "other") as other:
        here, there = broker.bootstrap, other.bootstrap
        to = ("--bootstrap", here)
        succeeds("topics", "--partitions", "3", *to)
        succeeds("publish", "-", *to, input="\n".join(first))
        with worker(here, tmp_path / "1.log"):
            pass
        said = ids(here)
        assert said

        # Resetting the workers' consumer group changes nothing: what was applied is in the changelog.
        admin = admin_client(here)
        places = [TopicPartition(topic.name, number, 0) for topic in INPUT_TOPICS for number in range(3)]
        reset = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions("leadstream", places)])
        reset["leadstream"].result()
        backup = tmp_path / "leads.state"
        with worker(here, tmp_path / "2.log"):
            succeeds("state", "export", str(backup), *to)
            assert stat.S_IMODE(backup.stat().st_mode) == 0o600
            assert ids(here) == said
            succeeds("publish", "-", *to, input="\n".join(second))
        said = ids(here)
        assert set(said.values()) == {1}

        # The changelog is lost, and put back from the file: what came after it is said again, by the same ids.
        refused = leadstream("state", "import", str(backup), *to)
        assert refused.returncode == 1
        assert "holds records" in refused.stderr
        admin.delete_topics([CHANGELOG])[CHANGELOG].result()
        eventually(lambda: CHANGELOG not in require_broker(here).topics, "the changelog is still there")
        succeeds("topics", "--partitions", "3", *to)
        succeeds("state", "import", str(backup), *to)
        with worker(here, tmp_path / "3.log"):
            pass
        assert set(ids(here)) == set(said)

        # More partitions, begun by somebody and not brought to its end; events came since the workers were stopped.
        spread = tmp_path / "before-5.state"
        succeeds("state", "export", str(spread), *to)
        succeeds("publish", "-", *to, input="\n".join(rush))
        admin.create_partitions([NewPartitions("page-views", 5)])["page-views"].result()
        succeeds("state", "grow", "--partitions", "5", "--backup", str(spread), *to)
        assert {len(require_broker(here).topics[name].partitions) for name in (*TOPICS, CHANGELOG)} == {5}
        with worker(here, tmp_path / "4.log"):
            eventually(lambda: behind(here) == 0, "what lay on the old partitions is not handled")
            assert read_all(here, "strays")["strays"][-1][1] is not None
            succeeds("publish", "-", *to, input="\n".join(third))
        said = ids(here)

        # Another cluster.
        moved = tmp_path / "moving.state"
        succeeds("state", "export", str(moved), *to)
        succeeds("topics", "--partitions", "4", "--bootstrap", there)
        strange = leadstream("state", "import", str(moved), "--bootstrap", there)
        assert strange.returncode == 2
        assert "--handled" in strange.stderr
        succeeds("state", "import", str(moved), "--handled", "--bootstrap", there)
        succeeds("publish", "-", "--bootstrap", there, input="\n".join(fourth))
        with worker(there, tmp_path / "5.log"):
            pass
        rest = ids(there)
        assert not rest.keys() & said.keys()
        # What is due on a partition after its last event is not foreseen by a worker yet.
        assert said.keys() | rest.keys() <= expected
        assert len(said.keys() | rest.keys()) >= 0.9 * len(expected)


def test_more_partitions_are_refused_or_come_whole_also_when_the_way_there_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "before-3.state"
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        address, to = broker.bootstrap, ("--bootstrap", broker.bootstrap)
        again = ("state", "grow", "--partitions", "3", "--backup", str(file), *to)
        succeeds("topics", "--partitions", "2", *to)
        succeeds("publish", "-", *to, input="\n".join(histories()[:60]))
        with worker(address, tmp_path / "log"):
            refused = leadstream(*again)
            assert refused.returncode == 1
            assert "stop the workers" in refused.stderr
        fewer = leadstream("state", "grow", "--partitions", "1", "--backup", str(file), *to)
        assert fewer.returncode == 2
        whole = tmp_path / "whole"
        succeeds("state", "export", str(whole), *to)
        assert leadstream("state", "export", str(whole), *to).returncode == 1
        for name, content in (("cut", whole.read_bytes()[:-9]), ("other", b"no snapshot")):
            (tmp_path / name).write_bytes(content)
            broken = leadstream("state", "grow", "--partitions", "3", "--backup", str(tmp_path / name), *to)
            assert broken.returncode == 1, name
            assert "snapshot" in broken.stderr
        assert partition_counts(address) == {2}
        before, _ = changelog_of(address, "leadstream")

        def cut_off(place: str) -> None:
            """End a growth when `place` of the engine's snapshots is reached for the second time."""
            real, calls = getattr(snapshot, place), itertools.count()

            def once(*given: object) -> object:
                if next(calls) == 1:
                    raise KeyboardInterrupt
                return real(*given)

            with monkeypatch.context() as patch:
                patch.setattr(snapshot, place, once)
                with pytest.raises(KeyboardInterrupt):
                    statekeeping.grow(address, "leadstream", 3, file)

        cut_off("restore")
        assert not list(tmp_path.glob("before-3*"))
        cut_off("pack_progress")
        assert partition_counts(address) == {3}
        assert len(changelog_of(address, "leadstream")[1]) == 1
        succeeds(*again)
        after, progress = changelog_of(address, "leadstream")
        assert after == before
        assert set(progress) == {0, 1, 2}
        # By now workers may have gone on: what is there is never thrown away.
        done = leadstream(*again)
        assert done.returncode == 2
        assert "nothing is left to do" in done.stderr


def test_a_webhook_hears_again_by_the_same_ids_after_its_group_was_reset(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "kafka") as broker, serving(Subscriber()) as subscriber:
        address, group = broker.bootstrap, "leadstream-relay-hook"
        succeeds("topics", "--partitions", "1", "--bootstrap", address)
        for expected in (3, 6):
            with running_relay(address, tmp_path, {"hook": webhook(subscriber.url)}):
                if expected == 3:
                    produce(address, [qualification("again", number) for number in (1, 2, 3)])
                eventually(lambda wanted=expected: len(subscriber.heard) >= wanted, "not all was delivered")
            reset = [
                ConsumerGroupTopicPartitions(
                    group, [TopicPartition("mql-events", 0, 0), TopicPartition("sql-events", 0, 0)]
                )
            ]
            admin = admin_client(address)
            assert not any(
                one.error for one in admin.alter_consumer_group_offsets(reset)[group].result().topic_partitions
            )
        said = [one.headers["webhook-id"] for one in subscriber.heard]
        assert len(said) == 6
        assert said[:3] == said[3:]
