"""What is noted with a partition: the model that judges its leads, since when, and what came before."""

from __future__ import annotations

import msgspec

from streams.qualification.model.values import Model
from streams.qualification.succession import half_lives_of

#: Of so many models the half-lives are kept. Leads are carried over within minutes of a change.
MOST_MODELS = 8


class Note(msgspec.Struct, array_like=True, frozen=True):
    """`model` is its identity, `since` the instant (ms) as of which it took over.

    `half_lives`: identity of a model -> group -> half-life in ms, the latest models last.
    """

    model: str
    since: int
    half_lives: dict[str, dict[str, int]]

    def packed(self) -> bytes:
        return _encode(self)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Note).decode


def noted(packed: bytes) -> Note | None:
    """The note of a partition, None where there is none yet."""
    return _decode(packed) if packed else None


def take_over(before: Note | None, model: Model, stream_time: int | None) -> Note:
    """`model` takes over: as of the partition's clock, and never before its predecessor did."""
    since = max(0, (stream_time or 0) - model.grace_ms)
    known: dict[str, dict[str, int]] = {}
    if before is not None:
        since = max(since, before.since)
        known = {name: lives for name, lives in before.half_lives.items() if name != model.identity}
    latest = [*known.items(), (model.identity, half_lives_of(model))][-MOST_MODELS:]
    return Note(model.identity, since, dict(latest))
