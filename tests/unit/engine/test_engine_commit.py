"""What each kind of Kafka error does to a commit, with a producer that fails as told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.engine import commit as module
from streams.engine.commit import TransactionalCommitter
from streams.engine.envelope import RESERVED_KEY, unpack_progress
from streams.engine.seam import CommitImpossible, Effects, Output, Progress

EFFECTS = Effects(
    3,
    [Output("out", b"k", b"v", [("h", b"1")])],
    {b"k": b"state", b"gone": None},
    Progress({"a": 7}, 5, True, 4),
)


def failure(code: int = KafkaError._TIMED_OUT, *, retriable: bool = False, abort: bool = False) -> KafkaException:
    return KafkaException(KafkaError(code, "made up", False, retriable, abort))


class FakeProducer:
    """Keeps what is in the open transaction and what was committed. `fails` is taken from, call by call."""

    def __init__(self, config: dict[str, Any], **_: Any) -> None:
        self.config = config
        self.calls: list[str] = []
        self.open: list[tuple[Any, ...]] = []
        self.committed: list[tuple[Any, ...]] = []
        self.fails: dict[str, list[KafkaException]] = {}
        self.full = 0

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.fails.get(name):
            raise self.fails[name].pop(0)

    def begin_transaction(self) -> None:
        self._call("begin")
        self.open = []

    def produce(self, topic: str, value: Any, key: Any, partition: int, headers: Any = ()) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        self.open.append((topic, partition, key, value, list(headers)))

    def poll(self, timeout: float) -> None:
        self.calls.append("poll")

    def commit_transaction(self, timeout: float) -> None:
        self._call("commit")
        self.committed += self.open

    def abort_transaction(self, timeout: float) -> None:
        self._call("abort")

    def init_transactions(self, timeout: float) -> None:
        self._call("init")


@pytest.fixture
def committer(monkeypatch: pytest.MonkeyPatch) -> Iterator[TransactionalCommitter]:
    monkeypatch.setattr(module, "Producer", FakeProducer)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    aborts: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        one = TransactionalCommitter({"bootstrap.servers": "x"}, "app", 3, "log", executor, lambda: aborts.append(1))
        one.aborts = aborts  # type: ignore[attr-defined]
        yield one


def producer_of(committer: TransactionalCommitter) -> FakeProducer:
    return committer._producer  # type: ignore[return-value]


async def test_outputs_state_and_progress_go_into_one_transaction(committer: TransactionalCommitter) -> None:
    producer = producer_of(committer)
    await committer.fence()
    await committer.commit(EFFECTS)
    assert producer.calls == ["init", "begin", "commit", "begin"]
    *rest, (topic, partition, key, value, _) = producer.committed
    assert rest == [
        ("out", -1, b"k", b"v", [("h", b"1")]),
        ("log", 3, b"k", b"state", []),
        ("log", 3, b"gone", None, []),
    ]
    assert (topic, partition, key, unpack_progress(value)) == ("log", 3, RESERVED_KEY, EFFECTS.progress)


async def test_the_producer_is_named_after_its_partition_and_partitions_as_java_does(
    committer: TransactionalCommitter,
) -> None:
    config = producer_of(committer).config
    assert (config["transactional.id"], config["partitioner"]) == ("app-3", "murmur2_random")


async def test_a_commit_without_an_answer_is_asked_again_and_not_redone(
    committer: TransactionalCommitter,
) -> None:
    producer = producer_of(committer)
    producer.fails["commit"] = [failure(retriable=True), failure(retriable=True)]
    await committer.commit(EFFECTS)
    assert producer.calls == ["commit", "commit", "commit", "begin"]
    assert len(producer.committed) == 4


async def test_an_abortable_failure_aborts_and_writes_the_same_again(
    committer: TransactionalCommitter,
) -> None:
    producer = producer_of(committer)
    producer.fails["commit"] = [failure(abort=True)]
    producer.fails["abort"] = [failure(retriable=True)]
    await committer.commit(EFFECTS)
    assert producer.calls == ["commit", "abort", "abort", "begin", "commit", "begin"]
    assert len(producer.committed) == 4
    assert committer.aborts == [1]  # type: ignore[attr-defined]


async def test_a_batch_that_is_aborted_again_and_again_is_told_of_once(
    committer: TransactionalCommitter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def at_once(_: float) -> None: ...

    monkeypatch.setattr(module.asyncio, "sleep", at_once)
    producer_of(committer).fails["commit"] = [failure(abort=True)] * 3
    await committer.commit(EFFECTS)
    assert committer.aborts == [1, 1, 1]  # type: ignore[attr-defined]
    assert len([one for one in caplog.messages if "aborted" in one]) == 1


async def test_a_fenced_producer_ends_it_at_once(committer: TransactionalCommitter) -> None:
    producer = producer_of(committer)
    producer.fails["commit"] = [failure(KafkaError._FENCED)]
    with pytest.raises(CommitImpossible, match=r"app-3: .*Another worker has taken"):
        await committer.commit(EFFECTS)
    assert "abort" not in producer.calls
    assert producer.committed == []


async def test_what_is_committed_is_not_done_again_when_the_next_transaction_can_not_begin(
    committer: TransactionalCommitter,
) -> None:
    producer = producer_of(committer)
    producer.fails["begin"] = [failure(abort=True)]
    with pytest.raises(CommitImpossible, match="begin_transaction of app-3"):
        await committer.commit(EFFECTS)
    assert len(producer.committed) == 4
    assert producer.calls == ["commit", "begin"]


async def test_an_abort_that_is_fenced_ends_it(committer: TransactionalCommitter) -> None:
    producer = producer_of(committer)
    producer.fails["commit"] = [failure(abort=True)]
    producer.fails["abort"] = [failure(KafkaError._FENCED)]
    with pytest.raises(CommitImpossible):
        await committer.commit(EFFECTS)


async def test_aborting_for_ever_is_given_up(
    committer: TransactionalCommitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_sleep(seconds: float) -> None: ...

    monkeypatch.setattr(module.asyncio, "sleep", no_sleep)
    producer_of(committer).fails["commit"] = [failure(abort=True)] * 100
    with pytest.raises(CommitImpossible, match="in a row"):
        await committer.commit(EFFECTS)


async def test_a_full_queue_is_waited_for(committer: TransactionalCommitter) -> None:
    producer = producer_of(committer)
    producer.full = 2
    await committer.commit(EFFECTS)
    assert producer.calls == ["poll", "poll", "commit", "begin"]


async def test_taking_over_waits_for_an_answer_and_gives_up_when_refused(
    committer: TransactionalCommitter,
) -> None:
    producer = producer_of(committer)
    producer.fails["init"] = [failure(retriable=True)]
    await committer.fence()
    assert producer.calls == ["init", "init", "begin"]
    producer.fails["init"] = [failure(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)]
    with pytest.raises(CommitImpossible):
        await committer.fence()
