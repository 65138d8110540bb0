"""Transactions: one confluent-kafka producer per partition, its transactional id named after the partition.

Taking a partition over means `init_transactions` under the same id: Kafka aborts what the former owner had
open and fences it, so that a zombie can never commit again. What a failure means:

- retriable, a time-out too: the outcome is open, and may be "committed", so commit is called again until it
  answers;
- abortable: nothing was written; abort, and write the same effects again (they are data, made from the old
  state);
- anything else: fenced, expired or broken. :class:`CommitImpossible`; the process must end without using
  its state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.engine.config import CLIENT_LOG
from streams.engine.envelope import RESERVED_KEY, pack_progress
from streams.engine.seam import CommitImpossible, Effects

log = logging.getLogger(__name__)

TRANSACTION_TIMEOUT_MS = 15_000
_CALL_SECONDS = 5.0
_REDO_LIMIT = 10
_TAKEN_OVER = (
    ". Another worker has taken the partition over, while this one took itself for its owner: it was frozen, cut off, "
    "or both have the same --instance."
)
#: A source record of the default size, handed on within a record of our own, must pass. The topic has the last word.
_LARGEST_MESSAGE = 2_000_000


class TransactionalCommitter:
    """The real committer of one partition. Calls to librdkafka block, so they run on `executor`."""

    def __init__(
        self,
        client: Mapping[str, Any],
        app_id: str,
        partition: int,
        changelog: str,
        executor: Executor,
        on_abort: Callable[[], object] = lambda: None,
    ) -> None:
        self.transactional_id = f"{app_id}-{partition}"
        self._changelog = changelog
        self._on_abort = on_abort
        self._executor = executor
        self._producer = Producer(
            {
                "delivery.report.only.error": True,  # that records were delivered, the commit says
                "linger.ms": 0,  # a transaction is flushed at once anyway
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
                "message.max.bytes": _LARGEST_MESSAGE,
                "partitioner": "murmur2_random",
                **client,
                "transactional.id": self.transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            },
            logger=CLIENT_LOG,
        )

    async def fence(self) -> None:
        """Become the partition's only writer. Raises CommitImpossible."""
        await self._run(self._init_and_begin)

    async def commit(self, effects: Effects) -> None:
        for attempt in range(_REDO_LIMIT):
            try:
                # Here, not on the executor: producing only fills buffers, and needs the interpreter all the
                # time.
                self._produce(effects)
                await self._run(self._end_and_begin)
                return
            except KafkaException as error:
                cause = error.args[0]
                if not cause.txn_requires_abort():
                    raise CommitImpossible(f"transaction {self.transactional_id}: {cause}") from error
                if not attempt:
                    log.warning("transaction %s aborted, doing it again: %s", self.transactional_id, cause)
            self._on_abort()
            await self._run(self._abort_and_begin)
            await asyncio.sleep(min(0.1 * 2**attempt, 5.0))
        raise CommitImpossible(f"transaction {self.transactional_id} was aborted {_REDO_LIMIT} times in a row")

    async def close(self) -> None:
        """Let go of the partition, between two batches."""
        await self._run(lambda: self._producer.close())

    # The next transaction begins, for the producer alone, as soon as the last has ended. `begin_transaction` waits for
    # librdkafka's own thread with the interpreter's lock held: at this moment that thread is awake, later it must be
    # woken first, which stopped the whole process for a millisecond a batch.

    def _init_and_begin(self) -> None:
        self._insist("init_transactions", self._producer.init_transactions)
        self._begin()

    def _end_and_begin(self) -> None:
        self._insist("commit_transaction", self._producer.commit_transaction)
        self._begin()

    def _abort_and_begin(self) -> None:
        self._insist("abort_transaction", self._producer.abort_transaction)
        self._begin()

    def _begin(self) -> None:
        """Never to be taken for a failure of the transaction before, which is done and must not be done again."""
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            raise CommitImpossible(f"begin_transaction of {self.transactional_id}: {error.args[0]}") from error

    async def _run(self, call: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def _produce(self, effects: Effects) -> None:
        partition, changelog, send, produce = effects.partition, self._changelog, self._send, self._producer.produce
        for output in effects.outputs:
            where = -1 if output.partition is None else output.partition
            if output.headers:
                send(output.topic, output.value, output.key, where, headers=list(output.headers))
            else:
                send(output.topic, output.value, output.key, where)
        for key, value in effects.changed.items():
            try:  # nearly always all there is to it
                produce(changelog, value, key, partition)
            except BufferError:
                send(changelog, value, key, partition)
        send(changelog, pack_progress(effects.progress), RESERVED_KEY, partition)

    def _send(self, *args: Any, **kwargs: Any) -> None:
        while True:
            try:
                return self._producer.produce(*args, **kwargs)
            except BufferError:
                self._producer.poll(0.05)

    def _insist(self, name: str, call: Callable[[float], object]) -> None:
        """Call until there is an answer. A fatal answer is CommitImpossible, an abortable one is raised as
        it is.
        """
        while True:
            try:
                call(_CALL_SECONDS)
                return
            except KafkaException as error:
                cause = error.args[0]
                if cause.txn_requires_abort():
                    raise
                if not cause.retriable():
                    why = _TAKEN_OVER if cause.code() == KafkaError._FENCED else ""
                    raise CommitImpossible(f"{name} of {self.transactional_id}: {cause}{why}") from error
                log.debug("%s of %s has no answer yet: %s", name, self.transactional_id, cause)
                time.sleep(0.2)
