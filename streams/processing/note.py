"""What is noted with a partition: the model that judges its leads, and those before it that some may still wait for."""

from __future__ import annotations

import msgspec

from streams.errors import LeadstreamError
from streams.qualification.model.values import Model
from streams.qualification.succession import Change, change_to

#: So many changes are kept at most. All leads are seen within minutes of one, and then those before it are forgotten.
MOST_CHANGES = 24
#: In bytes: it is written with every batch.
LARGEST_NOTE = 65_536


class ChangesPending(LeadstreamError):
    """No further model can take over before all leads have been judged by those that are noted."""


class Note(msgspec.Struct, array_like=True, frozen=True):
    """`changes`, oldest first: the last one's model judges the leads; of those that it has not seen yet, one of the
    others was the last.
    """

    changes: tuple[Change, ...]

    @property
    def current(self) -> Change:
        return self.changes[-1]

    def packed(self) -> bytes:
        return _encode(self)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Note).decode


def noted(packed: bytes) -> Note | None:
    """The note of a partition, None where there is none yet."""
    return _decode(packed) if packed else None


def take_over(before: Note | None, model: Model, since: int, arrival: int, *, waking: bool) -> Note | None:
    """`model` takes over as of `since` (ms), and never before its predecessor did; `arrival`: as in `Change`.

    `waking`: there may be leads that the predecessor has not seen. None when there is no room for another change among
    those that such leads wait for: none of them may be passed over.
    """
    if before is None:
        return Note((change_to(model, 0, since, arrival),))
    kept = list(before.changes if waking else before.changes[-1:])
    times = [change.number for change in kept if change.model == model.identity]
    number = max(times, default=-1) + 1
    kept.append(change_to(model, number, max(since, before.current.since), arrival, before.current))
    note = Note(tuple(kept))
    fits = len(kept) <= MOST_CHANGES and len(note.packed()) <= LARGEST_NOTE
    return note if fits or not waking else None
