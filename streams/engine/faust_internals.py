"""The private names of Faust and aiokafka that the engine leans on, in one place.

`tests/unit/engine/test_engine_faust_internals.py` fails when an upgrade moves one of them. What each is
needed for:

- `Consumer.getmany`, `_getmany`, `_wait_next_records`: chunks instead of single records, and back-pressure
  per partition;
- `Consumer._add_gap`, `_filter_committable_offsets`, `perform_seek`, `verify_event_path`: offsets come from
  the engine;
- `AIOKafkaConsumerThread._create_worker_consumer`, `_fetch_records`, `_commit`: read_committed, fetch
  times, positions;
- aiokafka's subscription state: position and last stable offset of a partition, for "caught up";
- `aiokafka.consumer.fetcher`: the fetcher makes `MemoryRecords` and `PartitionRecords` of what a broker sent, by these
  names of its module; `fetched.py` puts its own there;
- `App._create_directories`: none are made;
- aiokafka's coordinator: the member id, to notice that another process took this one's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiokafka
from faust.types import TP

CONSUMER_NAMES = (
    "_add_gap",
    "_commit",
    "_filter_committable_offsets",
    "_getmany",
    "_new_consumer_thread",
    "_to_message",
    "_wait_next_records",
    "getmany",
    "on_partitions_assigned",
    "on_partitions_revoked",
    "perform_seek",
    "verify_event_path",
)
THREAD_NAMES = ("_commit", "_create_worker_consumer", "_ensure_consumer", "_fetch_records", "call_thread")
APP_NAMES = ("_create_directories", "_on_partitions_assigned", "_on_partitions_revoked")
#: Of one `PartitionRecords`.
RECORDS_NAMES = (
    "_aborted_producers",
    "_aborted_transactions",
    "_isolation_level",
    "_records",
    "_tp",
    "next_fetch_offset",
)
POSITION_NAMES = ("_position", "highwater", "lso", "timestamp")


def positions(consumer: aiokafka.AIOKafkaConsumer) -> Iterator[tuple[TP, int | None, int, int | None]]:
    """(partition, position, when the broker was heard last in ms, last stable offset) of all assigned
    partitions; None, and 0, where nothing was fetched yet.

    Must run in the consumer's own thread, where positions and buffers change together.
    """
    subscription = consumer._subscription.subscription
    if subscription is None or subscription.assignment is None:
        return
    assignment = subscription.assignment
    for tp in assignment.tps:
        state = assignment.state_value(tp)
        yield tp, state._position, state.timestamp or 0, state.lso


def member_id(consumer: aiokafka.AIOKafkaConsumer) -> str:
    """The name the group knows this consumer by; empty when the group does not know it."""
    coordinator: Any = consumer._coordinator
    name: str = coordinator.member_id
    return name
