"""The models that leads are judged by: those that were offered, and which of them is in force on a partition."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from streams.engine.seam import Batch
from streams.processing.note import ChangesPending, Note, noted, take_over
from streams.qualification.identity import carried_over
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.outcome import Outcome
from streams.qualification.succession import Change, differences
from streams.wire.times import rfc3339

log = logging.getLogger(__name__)

#: Models that this process has judged by and keeps: partitions may be a change or two apart, never so many.
MODELS_AT_HAND = 32


class Models:
    """`in_force` is the model of the partition whose batch has begun last. `now` is the wall clock in ms."""

    def __init__(self, model: Model, now: Callable[[], int]) -> None:
        self.in_force = model
        #: those that were offered, oldest first: a partition takes them in turn
        self._offers = [model]
        #: partition -> the model that was said to wait there
        self._told: dict[int, str] = {}
        self._models: dict[str, Model] = {}
        self._now = now

    def offer(self, model: Model) -> None:
        """Judge by `model` from the next batch of each partition on. Callable from any thread."""
        self._offers = [*self._offers[1 - MODELS_AT_HAND :], model]

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
            self.in_force = self._at_hand(model, note.current)
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
        self.in_force = self._at_hand(self._offers[place], note.current)
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

    def carried_over(self, lead: Lead, due: int | None, packed: bytes) -> Outcome:
        """A lead that another model judged last, as the one in force has it; `packed` is the partition's note."""
        note = noted(packed)
        assert note is not None, "`begin` notes the model"
        return carried_over(lead, due, note.changes, self._models)

    def _at_hand(self, model: Model, change: Change) -> Model:
        """The model as the change's: kept for leads of which something was due before the next takes over.

        What the partition knows of former names is its own.
        """
        known = self._models.get(change.identity)
        if known is None:
            known = self._models[change.identity] = model.again(change.number)
            if len(self._models) > MODELS_AT_HAND:
                del self._models[next(iter(self._models))]
        return known.knowing(change.names)
