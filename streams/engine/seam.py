"""The seam between the engine and the application that runs on it.

The engine moves records, keeps bytes per key and commits; the application says what a record means. It
gives the engine a :class:`Logic`; the engine gives it a :class:`Batch` to read and change state through.
Everything the application causes in the world leaves through :class:`Effects`, the one value that a
:class:`Committer` is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from streams.errors import LeadstreamError

Headers = Sequence[tuple[str, bytes]]


class EngineError(LeadstreamError):
    """The surroundings do not fit: topics, offsets or the changelog. Says what to do."""


class Unavailable(LeadstreamError):
    """`Logic.decode` raises this while something it needs is away: the engine waits and decodes the record
    again.
    """


class Record(Protocol):
    """One Kafka record as it was read. aiokafka's own record type satisfies this, so the hot path copies
    nothing.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Arrival: the record's timestamp in ms."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class PlainRecord(NamedTuple):
    """A record made by hand: for tests, and for logic that is run without a broker."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def size_of(records: Sequence[Record]) -> int:
    """The bytes of all values together."""
    known: int | None = getattr(records, "bytes", None)  # the compiled `Records` count faster
    return sum(len(record.value or b"") for record in records) if known is None else known


class Item(Protocol):
    """A decoded record, whatever the application makes of it."""

    @property
    def time(self) -> int | None:
        """Event time in ms; None for a record without one (a bad one): it waits for nobody and moves no
        clock.
        """


@dataclass(frozen=True, slots=True)
class Output:
    """A record to be written. Without a partition it goes where the key's murmur2 hash says, as the Java
    client does.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition is; stored with its state in the same transaction, under the reserved key.

    `applied` is the last applied offset of each source topic. `live` says whether the record that set the
    stream time arrived within grace of when it occurred. `partitions` is the number of partitions that keys
    were spread over. `note` is what the application keeps with the partition. `waking` says that keys which
    `Batch.wake_all` woke have not been seen yet: after a restart all are woken again. `labels` says how many keys
    there are of each `Logic.label`; None in what a release wrote that did not count them.
    """

    applied: dict[str, int]
    stream_time: int | None
    live: bool
    partitions: int
    note: bytes = b""
    waking: bool = False
    labels: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """All that one batch does to the world: written entirely or not at all.

    `changed` maps keys to their packed state (with envelope), None where the key was deleted. `wake_all` says
    that from now on every key is to be seen once.
    """

    partition: int
    outputs: list[Output]
    changed: dict[bytes, bytes | None]
    progress: Progress
    wake_all: bool = False


class Committer(Protocol):
    """Writes effects of one partition, in one transaction each."""

    async def commit(self, effects: Effects) -> None:
        """Return when the effects are durable. Raises CommitImpossible when they never can be: the process
        must end.
        """

    async def close(self) -> None: ...


class CommitImpossible(Exception):
    """Another process owns the partition, or the producer is broken for good. What is in memory must not be
    used.
    """


class Batch(Protocol):
    """What the logic sees while it handles records: one partition's state, with this batch's changes on
    top.

    Objects are the logic's own; the engine packs a key once at the end of the batch, however often it was
    put.
    """

    note: bytes
    """What the application keeps with the partition: small, written with every batch. Empty at the beginning."""

    @property
    def partition(self) -> int: ...

    @property
    def clock(self) -> int | None:
        """The partition's clock when the batch began, in ms: up to then due things may be done. None before the first
        event.
        """

    @property
    def waking(self) -> bool:
        """Whether keys that an earlier batch woke may still have to be seen, by this one or later."""

    @property
    def stream_time(self) -> int | None:
        """Largest event time applied before the current item, in ms; None at the very beginning."""

    def get(self, key: bytes) -> Any | None:
        """The key's state: what this batch put last, else freshly unpacked, else None."""

    def due(self, key: bytes) -> int | None:
        """The due time that the key was put with last, in ms; None for none."""

    def put(self, key: bytes, state: Any, due: int | None) -> None:
        """Replace the key's state. `due` is when `Logic.due` wants to see the key, in ms."""

    def delete(self, key: bytes) -> None: ...

    def emit(self, output: Output) -> None: ...

    def wake_all(self) -> None:
        """Have `Logic.due` called once for every key there is, some with each of the batches that follow."""


class PackedBatch(Protocol):
    """A batch as a `Shortcut` sees it: state as the bytes that are kept.

    `values` are the committed envelopes by key, never to be changed; `packed` is what a shortcut put into this batch,
    envelopes whose checksum is still to come, and goes before them; of the keys in `opened` the state is in the logic's
    hands. Once what a shortcut left was handled, it is in `packed` again.
    """

    @property
    def values(self) -> Mapping[bytes, bytes]: ...
    @property
    def opened(self) -> Mapping[bytes, Any]: ...
    @property
    def packed(self) -> dict[bytes, bytes]: ...
    @property
    def partition(self) -> int: ...
    @property
    def stream_time(self) -> int | None: ...


class Shortcut(Protocol):
    """A quicker way through common records. What it does is what `Logic.decode` and `Logic.handle` would have done.

    `label` is that of all keys that it makes (`Logic.label`); those that there are keep theirs.
    """

    @property
    def label(self) -> str: ...

    def decode(self, records: Sequence[Record], otherwise: Callable[[Record], Item]) -> list[tuple[Record, Any]]:
        """Each record of a chunk with its item, by `otherwise` where the logic must look."""

    def run(self, items: list[Any], start: int, batch: PackedBatch) -> Ran:
        """Handle (record, item) pairs from `start` on, as far as it goes."""


class Ran(NamedTuple):
    """What a shortcut did: it went up to the place `end`. Where stream time moved, its new value and the arrival of the
    record that set it (ms). How many keys there were not before. And the places of those before the end that are left
    to `Logic.handle`, in order, each with the stream time before it: what is left of a key comes after all that was
    done for it, and touches no other key.
    """

    end: int
    stream_time: int | None
    arrival: int | None
    made: int
    left: list[tuple[int, int | None]]


class Logic(Protocol):
    """The application. Everything but `decode` must be a function of its arguments alone."""

    @property
    def shortcut(self) -> Shortcut | None:
        """A quicker way for some of the records, if there is one now. `handle` must take its items too."""

    def decode(self, record: Record) -> Item:
        """Never raises for bad data: a bad record is an item too. Raises Unavailable to be called again
        later.
        """

    def begin(self, batch: Batch) -> bool:
        """Called at the beginning of each batch, also of one that would do nothing. True when there is something to
        commit.
        """

    def handle(self, record: Record, item: Any, batch: Batch) -> None:
        """Apply one item that `decode` made. Whatever was due for its key before the item comes first; that is the
        logic's own work.
        """

    def due(self, key: bytes, at: int, batch: Batch) -> None:
        """Something of this key is due at or before `at` (ms): do it, and put the key with a later due time
        or none. A key that was woken may have nothing due, and need not be put.
        """

    def pack(self, state: Any) -> bytes: ...

    def unpack(self, payload: bytes) -> Any:
        """The inverse of `pack`. Raises for bytes that it did not write."""

    def label(self, state: Any) -> str:
        """What kind of state this is, for counting: one of a few."""


class Observer:
    """What happens inside, for metrics and health. Does nothing; override what is of interest. Must not
    block.
    """

    def ready(self, partitions: Sequence[int]) -> None:
        """All assigned partitions are restored and run."""

    def rebalanced(self, partitions: Sequence[int]) -> None:
        """The group assigned these partitions; those that are new here are about to be restored."""

    def restoring(self, partition: int, done: int, end: int) -> None:
        """`done` of `end` changelog offsets are read; called first, for all that are assigned, before any is."""

    def restored(self, partition: int, keys: int, seconds: float) -> None: ...

    def committed(self, partition: int, records: Mapping[str, int], due: int, seconds: float) -> None:
        """A batch of so many records of each topic and due keys is durable; `seconds` is what the transaction took."""

    def aborted(self, partition: int) -> None:
        """A transaction was aborted; the same effects are written again."""

    def waiting(self, reason: str) -> None:
        """Progress waits for something outside (a registry, an open transaction elsewhere)."""
