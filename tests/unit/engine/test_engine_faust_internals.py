"""These fail when an upgrade of Faust or aiokafka moves a name that the engine leans on."""

from __future__ import annotations

import inspect

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.consumer.subscription_state import (
    Assignment,
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.record.memory_records import MemoryRecords
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

from streams.engine import faust_internals as names
from streams.engine.fetched import FetchedRecords
from streams.engine.transport import ChunkConsumer, ChunkConsumerThread


@pytest.mark.parametrize("name", names.CONSUMER_NAMES)
def test_fausts_consumer_has(name: str) -> None:
    assert hasattr(Consumer, name)


@pytest.mark.parametrize("name", names.THREAD_NAMES)
def test_fausts_consumer_thread_has(name: str) -> None:
    assert hasattr(AIOKafkaConsumerThread, name)


@pytest.mark.parametrize("name", names.APP_NAMES)
def test_fausts_app_has(name: str) -> None:
    assert hasattr(faust.App, name)


def test_what_is_overridden_has_the_parameters_it_had() -> None:
    for ours, theirs, name in (
        (ChunkConsumer, BaseConsumer, "getmany"),
        (ChunkConsumer, Consumer, "_getmany"),
        (ChunkConsumer, BaseConsumer, "_add_gap"),
        (ChunkConsumer, BaseConsumer, "_filter_committable_offsets"),
        (ChunkConsumer, BaseConsumer, "on_partitions_assigned"),
        (ChunkConsumer, BaseConsumer, "on_partitions_revoked"),
        (ChunkConsumerThread, AIOKafkaConsumerThread, "_create_worker_consumer"),
        (ChunkConsumerThread, AIOKafkaConsumerThread, "_commit"),
    ):
        parameters = list(inspect.signature(getattr(ours, name)).parameters)
        assert parameters == list(inspect.signature(getattr(theirs, name)).parameters), name


def test_the_consumer_still_calls_what_is_overridden() -> None:
    drain = inspect.getsource(BaseConsumer._drain_messages)
    assert "self.getmany" in drain
    assert "self._add_gap" in drain
    assert "self._filter_committable_offsets" in inspect.getsource(BaseConsumer._commit_tps)
    assert "self._getmany" in inspect.getsource(BaseConsumer._wait_next_records)
    assert "self._fetch_records" in inspect.getsource(AIOKafkaConsumerThread.getmany)
    assert "self._create_directories()" in inspect.getsource(faust.App.on_first_start)
    assert "self._create_worker_consumer" in inspect.getsource(AIOKafkaConsumerThread._create_consumer)


async def test_positions_are_where_aiokafka_keeps_them() -> None:
    tp = TopicPartition("views", 0)
    subscriptions = SubscriptionState()
    subscriptions.subscribe({"views"})
    subscriptions.assign_from_subscribed({tp})
    state: TopicPartitionState = subscriptions.subscription.assignment.state_value(tp)
    assert isinstance(subscriptions.subscription.assignment, Assignment)
    for name in names.POSITION_NAMES:
        assert hasattr(state, name)

    class Stub:
        _subscription = subscriptions

    assert list(names.positions(Stub())) == [(TP("views", 0), None, 0, None)]  # type: ignore[arg-type]
    state.seek(7)
    state.lso = 9
    state.timestamp = 8
    assert list(names.positions(Stub())) == [(TP("views", 0), 7, 8, 9)]  # type: ignore[arg-type]
    assert "self._subscription = SubscriptionState(" in inspect.getsource(aiokafka_consumer)
    assert AIOKafkaConsumer is aiokafka_consumer.AIOKafkaConsumer


def test_the_fetcher_still_makes_what_is_put_into_its_place() -> None:
    fetch = inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    assert "records = MemoryRecords(part_data[-1])" in fetch
    assert "if records.has_next():" in fetch
    assert "partition_records = PartitionRecords(" in fetch
    read = PartitionRecords(TopicPartition("views", 0), MemoryRecords(b""), [], 7, None, None, True, 1)  # type: ignore[no-untyped-call]
    for name in names.RECORDS_NAMES:
        assert hasattr(read, name)
    parameters = list(inspect.signature(PartitionRecords).parameters)
    assert parameters == list(inspect.signature(FetchedRecords).parameters)
    assert "self._unpack_records()" in inspect.getsource(PartitionRecords.__init__)
    assert "for msg in self._partition_records:" in inspect.getsource(fetcher.FetchResult.getall)


async def test_the_group_member_id_is_where_aiokafka_keeps_it() -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1", group_id="g")
    assert consumer._coordinator is None
    source = inspect.getsource(aiokafka_consumer.AIOKafkaConsumer.start)
    assert "self._coordinator = GroupCoordinator(" in source
    coordinator = inspect.getsource(aiokafka_consumer.GroupCoordinator)
    assert "self.member_id = JoinGroupRequest.UNKNOWN_MEMBER_ID" in coordinator
    await consumer.stop()


def test_an_installed_faust_finds_the_transport_by_its_scheme() -> None:
    from streams.engine.transport import SCHEME, Transport

    TRANSPORTS.aliases.setdefault(SCHEME, "streams.engine.transport:Transport")
    assert TRANSPORTS.by_url(f"{SCHEME}://localhost:9092") is Transport
