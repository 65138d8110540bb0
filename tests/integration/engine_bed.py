"""What the engine's tests on a real broker share: topics, records, worker processes, and what was written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from engine_worker import SOURCES

from streams.engine.envelope import RESERVED_KEY

WORKER = Path(__file__).with_name("engine_worker.py")


class Bed:
    """One application's topics on a broker, and its workers. Use as a context: no worker outlives it."""

    def __init__(self, bootstrap: str, folder: Path, partitions: int = 4) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        self.app_id = f"t{uuid.uuid4().hex[:8]}"
        self.expected: dict[bytes, int] = defaultdict(int)
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        for name in (*SOURCES, "counted", "refused", "changelog"):
            self.create(name)

    def __enter__(self) -> Bed:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()

    def topic(self, name: str) -> str:
        return f"{self.app_id}-{name}"

    def create(self, name: str, partitions: int | None = None) -> None:
        topic = NewTopic(self.topic(name), partitions or self.partitions, 1)
        self.admin.create_topics([topic])[topic.topic].result()

    def delete(self, name: str) -> None:
        self.admin.delete_topics([self.topic(name)])[self.topic(name)].result()
        eventually(lambda: self.topic(name) not in self.admin.list_topics(timeout=5).topics, "the topic is gone")

    def send(self, name: str, key: bytes | None, value: bytes | None, partition: int = -1) -> None:
        self._producer.produce(self.topic(name), value, key, partition)
        self._producer.poll(0)

    def views(self, count: int, keys: int = 50, topics: tuple[str, ...] = SOURCES) -> None:
        """`count` records over `keys` keys, alternately on the source topics; they occurred now."""
        now = time.time_ns() // 1_000_000
        for i in range(count):
            key = b"key-%d" % (i * 7919 % keys)
            self.send(topics[i % len(topics)], key, b"%d" % now)
            self.expected[key] += 1
        self._producer.flush()

    def worker(self, instance: str = "", **hooks: Path) -> subprocess.Popen[bytes]:
        """A worker process; `hooks` are files that make it misbehave, see `engine_worker`."""
        log = (self._folder / f"worker-{len(self._workers)}.log").open("wb")
        command = [sys.executable, str(WORKER), self.bootstrap, self.app_id, str(self.partitions)]
        env = {**os.environ, **{name.upper(): str(file) for name, file in hooks.items()}}
        worker = subprocess.Popen([*command, instance] if instance else command, stdout=log, stderr=log, env=env)
        self._workers.append(worker)
        return worker

    def log_of(self, worker: subprocess.Popen[bytes]) -> str:
        return (self._folder / f"worker-{self._workers.index(worker)}.log").read_text()

    def ready(self, worker: subprocess.Popen[bytes]) -> None:
        eventually(lambda: "ready" in self.log_of(worker), "the worker is ready", lambda: self.log_of(worker))

    def ends(self, worker: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Exit status and log of a worker that ends by itself."""
        return worker.wait(40), self.log_of(worker)

    def read(self, name: str) -> Iterator[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        """(key, value, headers) of all committed records of a topic, in order within each partition."""
        config = {
            "bootstrap.servers": self.bootstrap, "group.id": "reads", "isolation.level": "read_committed",
            "enable.partition.eof": True, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10,
        }  # fmt: skip
        consumer = Consumer(config)
        try:
            consumer.assign([TopicPartition(self.topic(name), p, 0) for p in range(self.partitions)])
            ended: set[int | None] = set()
            while len(ended) < self.partitions:
                for message in consumer.consume(1000, 0.02):
                    error = message.error()
                    if error is None:
                        yield message.key(), message.value(), dict(message.headers() or ())
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF
                        ended.add(message.partition())
        finally:
            consumer.close()

    def counted(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = defaultdict(list)
        for key, value, _ in self.read("counted"):
            assert key is not None
            assert value is not None
            found[key].append(int(value))
        return found

    def done(self, seconds: float = 60.0) -> None:
        """Wait until all that was sent is counted, and check that it was: once, in order, nothing else."""
        total = sum(self.expected.values())
        eventually(
            lambda: sum(map(len, self.counted().values())) >= total,
            f"{total} records are counted",
            lambda: f"{sum(map(len, self.counted().values()))} are\n" + "\n".join(map(self.log_of, self._workers)),
            seconds,
        )
        assert self.counted() == {key: list(range(1, n + 1)) for key, n in self.expected.items()}

    def keys_in_changelog(self) -> set[bytes]:
        values: dict[bytes, bytes | None] = {}
        for key, value, _ in self.read("changelog"):
            assert key is not None
            values[key] = value
        return {key for key, value in values.items() if value is not None and key != RESERVED_KEY}

    def group_lag(self) -> int:
        """Records that the group's committed offsets leave unread, all source partitions together."""
        group = [ConsumerGroupTopicPartitions(self.app_id)]
        committed = self.admin.list_consumer_group_offsets(group)[self.app_id].result().topic_partitions
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "lag"})
        try:
            offsets = {(tp.topic, tp.partition): tp.offset for tp in committed}
            lag = 0
            for name in SOURCES:
                for partition in range(self.partitions):
                    tp = TopicPartition(self.topic(name), partition)
                    _, end = consumer.get_watermark_offsets(tp, timeout=5)
                    lag += end - max(0, offsets.get((tp.topic, partition), 0))
            return lag
        finally:
            consumer.close()


def eventually(
    true: Callable[[], bool], what: str, more: Callable[[], str] = lambda: "", seconds: float = 40.0
) -> None:
    asked = time.monotonic()
    end = asked + seconds
    while not true():
        answered = time.monotonic()
        assert answered < end, f"not within {seconds} s: {what}\n{more()}"
        time.sleep(max(0.1, answered - asked))  # to ask takes from what is waited for
        asked = time.monotonic()
