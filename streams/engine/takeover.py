"""A partition becomes this process's own: its former owner is fenced, and its state restored from the changelog."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from faust.types import TP

from streams.engine.clock import Clock
from streams.engine.commit import TransactionalCommitter
from streams.engine.config import EngineConfig
from streams.engine.partition import PartitionState
from streams.engine.restore import restore
from streams.engine.runner import PartitionRunner
from streams.engine.seam import EngineError, Logic, Observer

log = logging.getLogger(__name__)

_RESTORES_AT_ONCE = 4

#: A partition number, and what gives the takeover up when it is set (`RestoreInterrupted`).
TakeOver = Callable[[int, threading.Event], Awaitable[PartitionRunner]]


class Owner:
    """Takes partitions over, several at once."""

    def __init__(self, config: EngineConfig, logic: Logic, observer: Observer) -> None:
        self._config = config
        self._logic = logic
        self._observer = observer
        self._commits = ThreadPoolExecutor(config.partitions, thread_name_prefix="commit")
        self._restores = ThreadPoolExecutor(_RESTORES_AT_ONCE, thread_name_prefix="restore")

    async def take_over(self, number: int, interrupt: threading.Event) -> PartitionRunner:
        """Raises CommitImpossible, CorruptChangelog, and RestoreInterrupted once `interrupt` is set."""
        config = self._config
        committer = TransactionalCommitter(
            config.client,
            config.app_id,
            number,
            config.changelog_topic,
            self._commits,
            lambda: self._observer.aborted(number),
        )
        # Never given up half-way: a fence that lands late would throw out the partition's next owner.
        await committer.fence()
        state = await asyncio.get_running_loop().run_in_executor(self._restores, self._restore, number, interrupt)
        clock = Clock(config.clock, config.grace_ms)
        return PartitionRunner(state, config.topics, self._logic, committer, clock, self._observer)

    def _restore(self, number: int, interrupt: threading.Event) -> PartitionState:
        config = self._config
        state = restore(
            config.client,
            config.app_id,
            config.changelog_topic,
            number,
            config.partitions,
            self._observer,
            interrupt,
        )
        state.count_labels(self._logic)
        return state


def complete(assigned: Iterable[TP], topics: Collection[str]) -> list[int]:
    """Partition numbers of which all topics are assigned. While members of the group read different
    topics, as in a rolling upgrade, the assignor may part them: then the one that has all but the
    newest topics works, and whoever has the rest must not touch the partition.
    """
    counts = Counter(tp.partition for tp in set(assigned) if tp.topic in topics)
    numbers = sorted(number for number, count in counts.items() if count == len(topics))
    if len(numbers) < len(counts):
        parted = sorted(set(counts) - set(numbers))
        log.warning("partitions %s are shared with members that read other topics; left to them", parted)
    return numbers


def starts_of(state: PartitionState, ends: Mapping[TP, tuple[int, int]], config: EngineConfig) -> dict[TP, int]:
    """The offsets to go on from, by (first offset, one past the last) of the partition's topics. Raises EngineError
    when more was applied than there is.
    """
    starts: dict[TP, int] = {}
    for tp, (first, end) in ends.items():
        after = state.applied.get(tp.topic, -1) + 1
        if after > end:
            _refuse_recreated(tp, after, end, config)
        if 0 < after < first:
            log.warning(
                "%s, partition %d: records %d to %d were deleted before they were read",
                tp.topic, tp.partition, after, first - 1,
            )  # fmt: skip
        starts[tp] = max(after, first)
    return starts


def _refuse_recreated(tp: TP, after: int, end: int, config: EngineConfig) -> NoReturn:
    raise EngineError(
        f"Topic {tp.topic}, partition {tp.partition}, ends at offset {end}, but offset {after - 1} was "
        "applied already: the topic was deleted and made anew, or lost data. To build all state again from "
        f"the topics as they are, delete {config.changelog_topic} too, or use another application id."
    )
