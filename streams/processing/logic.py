"""The application on the engine: every record of the source topics through the pure core.

`LeadLogic` holds no state of its own: the state under an id comes from the batch and goes back to it, and everything
that leaves is emitted to the batch, which is written whole or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from streams.engine.seam import Batch, Record, Shortcut
from streams.fastpath import PageViews, ViewReader
from streams.partitioning import partition_of
from streams.processing.decoding import Decoded, Decoder
from streams.processing.note import ChangesPending, Note, noted, take_over
from streams.processing.outputs import published, refused
from streams.processing.strays import Passing, Strays
from streams.qualification.events import Changed, Event, Ignored, Qualified, Scored, Transition
from streams.qualification.identity import carried_over, let_time_pass, receive, receive_event
from streams.qualification.lead import Lead
from streams.qualification.messages import Forward, Link, Merge
from streams.qualification.model.values import Model
from streams.qualification.state import State, pack, unpack
from streams.qualification.step import judged_at, step_owned
from streams.qualification.succession import Change, differences
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.times import rfc3339

log = logging.getLogger(__name__)

#: Models that this process has judged by and keeps: partitions may be a change or two apart, never so many.
_MODELS_AT_HAND = 32
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
        #: those that were offered, oldest first: a partition takes them in turn
        self._offers = [model]
        #: partition -> the model that was said to wait there
        self._told: dict[int, str] = {}
        #: that of the partition whose batch is at hand
        self._model = model
        self._models: dict[str, Model] = {}
        self._now = now
        self._counter = counter
        self._strays = Strays(codec, app)
        self._decode = Decoder(codec, self._strays).decode
        self._views = ViewReader.compiled(codec)
        self._short: dict[str, PageViews | None] = {}

    def begin(self, batch: Batch) -> bool:
        """Let models that were offered take over, at this point of the partition's stream: as of its clock.

        Where another process left off with another model, it is as of the last record that was handled: however long
        nothing ran, and whatever this one has heard yet. Raises ChangesPending when there is no room for a model, and
        the one before it is not at hand to go on with.
        """
        before = noted(batch.note)
        place = None if before is None else self._place(before.current)
        waiting = self._offers[-1:] if place is None else self._offers[place + 1 :]
        note, waking = before, batch.waking
        for model in waiting:
            since = batch.clock or 0
            if place is None and before is not None and batch.stream_time is not None:
                since = batch.stream_time - model.grace_ms
            following = take_over(note, model, max(0, since), self._now(), waking=waking)
            if following is None:
                break
            if batch.stream_time is not None:
                self._say_change(batch.partition, note, model, following.current)
            note, waking = following, True
            self._model = self._at_hand(model, note.current)
        if note is before:
            assert before is not None, "the first model always has room"
            self._stay(before, place, waiting, batch.partition)
            return False
        assert note is not None
        batch.note = note.packed()
        if batch.stream_time is None:
            return False  # nothing is there that could be carried over
        batch.wake_all()
        return True

    def _place(self, current: Change) -> int | None:
        """Which of the models that were offered is in force; None for one of another process."""
        places = [place for place, model in enumerate(self._offers) if model.identity == current.model]
        return places[-1] if places else None

    def _stay(self, note: Note, place: int | None, waiting: Sequence[Model], partition: int) -> None:
        """The model that is in force stays so, for lack of another or of room for it."""
        if place is None:
            raise ChangesPending(
                f"Partition {partition}: model {waiting[-1].version} can't take over from {note.current.model}, as "
                f"{len(note.changes)} changes of models are noted by which not all leads have been judged yet. Start "
                "workers with that model, and give them this one once they have (the file may then be changed while "
                "they run: they wait by themselves)."
            )
        self._model = self._at_hand(self._offers[place], note.current)
        if waiting and self._told.get(partition) != waiting[0].identity:
            self._told[partition] = waiting[0].identity
            log.warning(
                "partition %d: model %s waits until all leads have been judged by the %d changes before it",
                partition,
                waiting[0].version,
                len(note.changes),
            )

    def _say_change(self, partition: int, before: Note | None, model: Model, change: Change) -> None:
        said = differences(before.current, model) if before is not None else []
        log.info(
            "partition %d: judged by model %s as of %s%s",
            partition,
            model.version,
            rfc3339(change.since),
            "".join(f"; {one}" for one in said),
        )

    @property
    def shortcut(self) -> Shortcut | None:
        """The short way for page views, under the model of the partition whose batch is at hand."""
        if self._views is None:
            return None
        identity = self._model.identity
        if identity not in self._short:
            if len(self._short) >= _MODELS_AT_HAND:
                self._short.clear()
            self._short[identity] = self._views.under(self._model, self._partitions, self._counter)
        return self._short[identity]

    def decode(self, record: Record) -> Decoded:
        """What a record says. Raises Unavailable while the registry is away."""
        return self._decode(record)

    def _at_hand(self, model: Model, change: Change) -> Model:
        """The model as the change's: kept for leads of which something was due before the next takes over.

        What the partition knows of former names is its own.
        """
        known = self._models.get(change.identity)
        if known is None:
            known = self._models[change.identity] = model.again(change.number)
            if len(self._models) > _MODELS_AT_HAND:
                del self._models[next(iter(self._models))]
        return known.knowing(change.names)

    def offer(self, model: Model) -> None:
        """Judge by `model` from the next batch of each partition on. Callable from any thread."""
        self._offers = [*self._offers[1 - _MODELS_AT_HAND :], model]

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
        note = noted(batch.note)
        assert note is not None, "`begin` notes the model"
        carried = carried_over(state, batch.due(key), note.changes, self._models)
        self._settle(key, True, carried.state, carried.due, carried.transitions, batch)
        return carried.state

    def pack(self, state: State) -> bytes:
        return pack(state)

    def unpack(self, payload: bytes) -> State:
        return unpack(payload)

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
