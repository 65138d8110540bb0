"""The application on the engine: every record of the source topics through the pure core.

`LeadLogic` holds no state of its own: the state under an id comes from the batch and goes back to it, and everything
that leaves is emitted to the batch, which is written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streams.engine.seam import Batch, Record, Shortcut
from streams.fastpath import PageViews, States, ViewReader
from streams.partitioning import partition_of
from streams.processing.decoding import Decoded, Decoder
from streams.processing.models import MODELS_AT_HAND, Models
from streams.processing.outputs import published, refused
from streams.processing.strays import Passing, Strays
from streams.qualification.events import Changed, Event, Ignored, Qualified, Scored, Transition
from streams.qualification.identity import let_time_pass, receive, receive_event
from streams.qualification.lead import Lead
from streams.qualification.messages import Forward, Link, Merge
from streams.qualification.model.values import Model
from streams.qualification.state import State
from streams.qualification.step import judged_at, step_owned
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec

#: Kinds of events that may make of a lead something that is none.
_OF_IDS = frozenset(("identity_link", "erasure"))
#: What an id counts as that is a lead's alias, and one of which nothing is left but that it was erased.
ALIAS, ERASED = "alias", "erased"


class Counter(Protocol):
    """What hears of all that happens to records and leads."""

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None:
        """`arrival` is when the event came to Kafka that brought it about (ms), None when time did. It is not durable
        before the partition's next commit.
        """

    def ignored(self, reason: str, records: int, partition: int) -> None:
        """So many records were counted and nothing else, for `reason`: as many `Ignored`."""

    def refused(self, topic: str, bad: BadRecord, partition: int) -> None:
        """A record of `topic` becomes a dead letter, not durable yet either."""

    def strayed(self, topic: str, partition: int) -> None:
        """A record of an id that is not known came on a partition that its key does not belong to. Not durable yet."""


class LeadLogic:
    """What the engine runs, for the workers `app`."""

    def __init__(
        self,
        codec: Codec,
        model: Model,
        partitions: int,
        now: Callable[[], int],
        counter: Counter,
        app: str,
    ) -> None:
        """`now` is the wall clock in ms, used for a dead letter's `seen_at`, and for when a model took over."""
        self._partitions = partitions
        self._codec = codec
        self._models = Models(model, now)
        #: that of the partition whose batch is at hand
        self._model = model
        self._now = now
        self._counter = counter
        self._strays = Strays(codec, app)
        self._decode = Decoder(codec, self._strays).decode
        self._views = ViewReader.compiled(codec)
        self._states = States()
        self._short: dict[str, PageViews | None] = {}

    def begin(self, batch: Batch) -> bool:
        """Let models that were offered take over: see `Models.begin`."""
        taken_over = self._models.begin(batch)
        self._model = self._models.in_force
        return taken_over

    @property
    def shortcut(self) -> Shortcut | None:
        """The short way for page views, under the model of the partition whose batch is at hand."""
        if self._views is None:
            return None
        identity = self._model.identity
        if identity not in self._short:
            if len(self._short) >= MODELS_AT_HAND:
                self._short.clear()
            self._short[identity] = self._views.under(self._model, self._partitions, self._counter)
        return self._short[identity]

    def decode(self, record: Record) -> Decoded:
        """What a record says. Raises Unavailable while the registry is away."""
        return self._decode(record)

    def offer(self, model: Model) -> None:
        """Judge by `model` from the next batch of each partition on. Callable from any thread."""
        self._models.offer(model)

    def handle(self, record: Record, item: Decoded, batch: Batch) -> None:
        """Judge one event, hear one message, or write a dead letter."""
        if item.__class__ is not Decoded:  # the short way read it, and left it to us
            item = self._decode(record)
        event, key = item.event, record.key
        if event is None or item.way is not None:
            self._stray_or_bad(record, item, batch)
            return
        assert key is not None, "an empty key is a dead letter"
        state = self._state(key, batch)
        if state.__class__ is Lead and state.erased is None and event.kind not in _OF_IDS:  # as nearly always
            at = judged_at(state, event, batch.stream_time or 0, self._model)
            after = step_owned(state, event, at, self._model, batch.due(key))
            if after.lead is not None:
                batch.put(key, after.lead, after.due)
            else:
                batch.delete(key)
            if after.transitions:
                self._say(key, after.transitions, batch, event.arrival)
        elif state is None and partition_of(key, self._partitions) != record.partition:
            self._counter.strayed(record.topic, record.partition)
            batch.emit(self._strays.forwarding(key.decode(), event, Passing(record)))
        else:
            self._take(key, state, event, Passing(record), batch)

    def due(self, key: bytes, at: int, batch: Batch) -> None:
        """Let time pass for an id of which something is due."""
        state = self._state(key, batch)
        due = batch.due(key)
        if state is not None and due is not None and due <= at:
            outcome = let_time_pass(key.decode(), state, at, self._model)
            self._settle(key, True, outcome.state, outcome.due, outcome.transitions, batch)

    def _state(self, key: bytes, batch: Batch) -> State | None:
        """The state under a key. A lead that another model judged is carried over first."""
        state: State | None = batch.get(key)
        if state.__class__ is not Lead or state.judged_by == self._model.identity:
            return state
        carried = self._models.carried_over(state, batch.due(key), batch.note)
        self._settle(key, True, carried.state, carried.due, carried.transitions, batch)
        return carried.state

    def pack(self, state: State) -> bytes:
        return self._states.pack(state)

    def unpack(self, payload: bytes) -> State:
        return self._states.unpack(payload)

    def label(self, state: State) -> str:
        """The stage of a lead, `alias` for an id that is one, `erased` for the mark of one that was erased."""
        if isinstance(state, Lead):
            return state.stage
        return ERASED if state.is_mark else ALIAS

    def _take(self, key: bytes, state: State | None, event: Event, way: Passing, batch: Batch) -> None:
        """An event for an id: of a lead, an alias, or nothing yet."""
        time = batch.stream_time or 0
        outcome = receive_event(key.decode(), state, event, way.passed, time, self._model, batch.due(key))
        known = state is not None
        self._settle(key, known, outcome.state, outcome.due, outcome.transitions, batch, event.arrival)
        for one in outcome.transitions:
            if isinstance(one, Forward):
                onward = Passing(way.source, way.hops, one.passed)
                batch.emit(self._strays.forwarding(one.lead_id, event, onward))

    def _stray_or_bad(self, record: Record, item: Decoded, batch: Batch) -> None:
        """A stray belongs on its key's partition: a record that goes round would do so for ever."""
        key, bad, way = record.key, item.bad, item.way
        if bad is None and item.event is None and item.message is None:
            return  # for other workers
        if bad is None and key is not None and partition_of(key, self._partitions) != record.partition:
            detail = f"forwarded to partition {record.partition}, which its key does not belong to"
            bad = BadRecord("LOOP", detail)
        if bad is not None:
            source = record if way is None else way.source
            self._counter.refused(source.topic, bad, record.partition)
            batch.emit(refused(self._codec, source, bad, self._now(), item.lead_id))
            return
        assert key is not None, "a stray without a key is a bad record"
        state = self._state(key, batch)
        if item.event is not None and way is not None:
            self._take(key, state, item.event, way, batch)
        elif item.message is not None:
            time = batch.stream_time or 0
            message = item.message
            outcome = receive(key.decode(), state, message, time, self._model, batch.due(key))
            arrival = message.arrival if isinstance(message, (Link, Merge)) else None
            self._settle(key, state is not None, outcome.state, outcome.due, outcome.transitions, batch, arrival)

    def _settle(
        self,
        key: bytes,
        known: bool,
        state: State | None,
        due: int | None,
        out: Sequence[Transition],
        batch: Batch,
        arrival: int | None = None,
    ) -> None:
        if state is not None:
            batch.put(key, state, due)
        elif known:
            batch.delete(key)
        self._say(key, out, batch, arrival)

    def _say(self, key: bytes, out: Sequence[Transition], batch: Batch, arrival: int | None) -> None:
        for one in out:
            self._counter.happened(one, batch.partition, arrival)
            if isinstance(one, Ignored):
                continue
            if isinstance(one, (Qualified, Changed, Scored)):
                batch.emit(published(self._codec, key, one))
            elif not isinstance(one, Forward):
                batch.emit(self._strays.telling(one))
