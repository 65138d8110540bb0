"""What a real broker sends is read by the compiled part as aiokafka reads it, from any offset, and judged alike."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.compiled import compiled
from streams.engine.fetched import FetchedRecords, as_one, read_compiled
from streams.local.broker import EmbeddedBroker
from streams.partitioning import partition_of
from tests.kafka_topics import CODEC, changelog_of, messages_of, progress_of
from tests.processes import await_ready, eventually, leadstream, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(compiled("streams.engine._native") is None, reason="Python is here without its headers"),
]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
NOW = 1_793_523_600_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(data_dir=tmp_path_factory.mktemp("kafka")) as running:
        yield running


class Producers:
    """One of each codec, plain and with transactions."""

    def __init__(self, bootstrap: str) -> None:
        common = {
            "bootstrap.servers": bootstrap, "linger.ms": 20, "message.max.bytes": 4_000_000,
            "log_level": 0,  # they outlive the broker
        }  # fmt: skip
        self.plain = [Producer(common | {"compression.type": codec}) for codec in CODECS]
        self.transactional = [
            Producer(common | {"compression.type": codec, "transactional.id": f"tx-{codec}"}) for codec in CODECS
        ]
        for one in self.transactional:
            one.init_transactions(20)


def create(bootstrap: str, name: str, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1, config={"max.message.bytes": "10000000", **config})])[name].result()


def fill(producers: Producers, topic: str, dice: Random, rounds: int = 40) -> None:
    """Batches of all codecs; transactions within one another, of which many are aborted; odd records among them."""
    begun: set[int] = set()
    for number in range(rounds):
        which = dice.randrange(len(CODECS))
        producer = producers.plain[which]
        if dice.random() < 0.6:
            producer = producers.transactional[which]
            if which in begun and dice.random() < 0.5:
                (producer.abort_transaction if dice.random() < 0.6 else producer.commit_transaction)(20)
                begun.discard(which)
            if which not in begun:
                producer.begin_transaction()
                begun.add(which)
        for _ in range(dice.choice([1, 2, 30])):
            producer.produce(
                topic,
                key=dice.choice([None, b"", b"k%d" % dice.randrange(5)]),
                value=dice.choice([None, b"", dice.randbytes(20), b"v" * dice.randrange(3_000)]),
                headers=dice.choice([[], [("näme", b"x"), ("", None)]]),
                timestamp=NOW + dice.randrange(-(10**9), 10**9),
            )
        if number == rounds // 2:
            producer.produce(topic, key=b"large", value=dice.randbytes(1_900_000))
        producer.flush()
    for which in begun:
        producers.transactional[which].commit_transaction(20)


async def consumed(bootstrap: str, topic: str, start: int, isolation: str) -> tuple[list[Any], int]:
    """All records of the topic from an offset on as tuples, and the position behind them."""
    where = aiokafka.TopicPartition(topic, 0)
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False, fetch_max_wait_ms=50,
        max_partition_fetch_bytes=50_000,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign([where])
        end = (await consumer.end_offsets([where]))[where]
        consumer.seek(where, start)
        records: list[Any] = []
        while await consumer.position(where) < end:
            for found in (await consumer.getmany(timeout_ms=200)).values():
                records += [tuple(vars(one).values()) for one in as_one(found)]
        return records, await consumer.position(where)
    finally:
        await consumer.stop()


async def settled(bootstrap: str, topic: str) -> None:
    """The marks of all transactions are in the log: a commit is answered before they are, and what stands behind the
    first that is missing can't be read as committed.
    """
    where, deadline = aiokafka.TopicPartition(topic, 0), time.monotonic() + 30
    ends: set[int] = set()
    while len(ends) != 1:
        assert time.monotonic() < deadline, f"a transaction is still open: {ends}"
        ends.clear()
        for isolation in ("read_committed", "read_uncommitted"):
            consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation)
            await consumer.start()
            try:
                ends.add((await consumer.end_offsets([where]))[where])
            finally:
                await consumer.stop()


async def both(
    monkeypatch: pytest.MonkeyPatch, bootstrap: str, topic: str, start: int, isolation: str = "read_committed"
) -> list[Any]:
    """What both readings find, which is the same."""
    theirs = await consumed(bootstrap, topic, start, isolation)
    with monkeypatch.context() as patch:
        patch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
        patch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
        patch.setattr("streams.engine.fetched.fetcher.PartitionRecords._unpack_records", _never, raising=True)
        read_compiled()
        assert fetcher.PartitionRecords is FetchedRecords
        ours = await consumed(bootstrap, topic, start, isolation)
    assert ours == theirs
    return ours[0]


def _never(self: Any) -> Iterator[Any]:
    raise AssertionError("left to aiokafka")


@pytest.mark.parametrize("config", [{}, {"message.timestamp.type": "LogAppendTime"}, {"compression.type": "zstd"}])
async def test_all_that_producers_write_is_read_alike_from_any_offset(
    config: dict[str, str], broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, topic = Random(7), f"written-{len(config)}-{config.get('compression.type')}"
    create(broker.bootstrap, topic, **config)
    fill(Producers(broker.bootstrap), topic, dice)
    await settled(broker.bootstrap, topic)
    whole = await both(monkeypatch, broker.bootstrap, topic, 0)
    all_of_it = await both(monkeypatch, broker.bootstrap, topic, 0, "read_uncommitted")
    assert 0 < len(whole) < len(all_of_it), "some was aborted"
    assert any(len(record[6] or b"") == 1_900_000 for record in all_of_it)
    last = all_of_it[-1][2]
    for start in [*dice.sample(range(last), 12), last]:
        part = await both(monkeypatch, broker.bootstrap, topic, start)
        assert part == [record for record in whole if record[2] >= start]


async def test_a_compacted_log_with_holes_is_read_alike(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, dice = "compacted", Random(3)
    settings = {"segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}
    create(broker.bootstrap, topic, **settings, **{"cleanup.policy": "compact", "segment.ms": "200"})
    producers = Producers(broker.bootstrap).plain
    for number in range(300):
        producer = producers[dice.randrange(len(CODECS))]
        for _ in range(dice.choice([1, 3, 10])):
            producer.produce(topic, key=b"k%d" % dice.randrange(60), value=dice.choice([None, b"v%d" % number * 300]))
        producer.flush()

    def holes() -> bool:
        producers[0].produce(topic, key=b"last", value=b"")  # has the segment end
        producers[0].flush()
        offsets = [one.offset() for one in messages_of(broker.bootstrap, [topic])]
        return len(offsets) < offsets[-1] // 2

    eventually(holes, "nothing was compacted", 90)
    whole = await both(monkeypatch, broker.bootstrap, topic, 0)
    for start in dice.sample(range(whole[-1][2]), 12):
        part = await both(monkeypatch, broker.bootstrap, topic, start)
        assert part == [record for record in whole if record[2] >= start]


def test_a_worker_without_compiled_parts_keeps_the_same_leads(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """Of the same topics, with batches of all codecs and what was aborted; the one with them is killed in between."""
    address, dice = broker.bootstrap, Random(5)
    options = ["--bootstrap", address, "--clock", "stream"]
    assert leadstream("topics", "--bootstrap", address).returncode == 0
    producers = Producers(address)
    _publish(producers, dice, range(12))
    log = tmp_path / "killed.log"
    with running(log, "worker", *options, "--app", "compiled") as worker:
        await_ready(worker, lambda: "ready " in log.read_text(), log)
        eventually(lambda: any(one.applied for one in progress_of(address, "compiled").values()), "nothing is handled")
        worker.kill()
    _publish(producers, dice, range(12, 24))
    ends = _ends(address)
    with ExitStack() as both:
        for app, more in (("compiled", {}), ("pure", {"LEADSTREAM_PURE": "1"})):
            both.enter_context(
                running(tmp_path / f"{app}.log", "worker", *options, "--app", app, env={**os.environ, **more})
            )

        def handled(app: str) -> bool:
            found = progress_of(address, app).items()
            return {(topic, n): last for n, one in found for topic, last in one.applied.items()} == ends

        eventually(lambda: handled("compiled") and handled("pure"), "not all is handled", 120)
    (short, short_progress), (leads, progress) = (changelog_of(address, app) for app in ("compiled", "pure"))
    assert short == leads
    assert len(leads) > 100
    assert not any(lead_id.startswith("aborted") for lead_id in leads)
    for number, one in progress.items():
        other = short_progress[number]
        assert (one.stream_time, one.live, one.labels) == (other.stream_time, other.live, other.labels)


def _publish(producers: Producers, dice: Random, rounds: range) -> None:
    """Page views and others, a third of them in transactions that are aborted; of some leads there is nothing else."""
    for number in rounds:
        which = number % len(CODECS)
        within, aborted = dice.random() < 0.7, dice.random() < 0.5
        producer = (producers.transactional if within else producers.plain)[which]
        if within:
            producer.begin_transaction()
        for _ in range(dice.choice([10, 500, 4_000])):
            lead_id = f"{'aborted-' if within and aborted and dice.random() < 0.3 else ''}{dice.randrange(200)}"
            event = {"event_id": f"{dice.getrandbits(64)}", "lead_id": lead_id, "occurred_at": NOW + number * 10_000}
            topic, more = "page-views", {"url": f"https://example.com/{dice.choice(['', 'pricing'])}"}
            if dice.random() < 0.02:
                topic, more = "activities", {"kind": "webinar_attended"}
            value: bytes | None = CODEC.encode(topic, event | more)
            key: bytes | None = lead_id.encode()
            if dice.random() < 0.002:
                key, value = dice.choice([(None, value), (key, None), (key, b"x" * 1_900_000), (b"", b"")])
            producer.produce(topic, value, key, partition_of(lead_id.encode(), 12), timestamp=NOW + number * 10_000)
            producer.poll(0)
        producer.flush()
        if within:
            (producer.abort_transaction if aborted else producer.commit_transaction)(30)


def _ends(address: str) -> dict[tuple[str, int], int]:
    """The last committed offset of each input partition that has any."""
    topics = ("page-views", "activities")
    return {(one.topic(), one.partition()): one.offset() for one in messages_of(address, topics)}
