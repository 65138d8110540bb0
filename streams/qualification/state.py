"""What is kept under an id: a lead, or the alias that is left of one. Packed with MessagePack arrays.

A lead is kept in its compact form, and goes to other partitions in full, as MessagePack has its fields. Both are read:
before the first release leads were kept in full.
"""

from __future__ import annotations

import msgspec

from streams.qualification.compact import Compact, compacted, expanded
from streams.qualification.erasure import Erased
from streams.qualification.lead import Lead


class Alias(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """What the id does is done by the lead `to`, since a link of `since` (ms); None: no more, since it was revoked.

    `sequence` is that of the last that was said of the id while it was a lead: if it becomes one again, it goes on.
    `aliases` are those that point to this id: as in a lead. At `ends_at` (ms) nothing is left of it; 0 for never.
    `erased`: as in a lead. `began` (ms) is when it came to point to `to`, 0 for `since`: later links may repeat it.
    """

    to: str | None
    since: int
    sequence: int = 0
    aliases: tuple[str, ...] = ()
    ends_at: int = 0
    erased: Erased | None = None
    began: int = 0

    @property
    def pointing_since(self) -> int:
        """When it came to point to `to` (ms)."""
        return self.began or self.since

    @property
    def is_mark(self) -> bool:
        """Whether nothing is known of the id but that it was erased."""
        return self.to is None and self.erased is not None and self.since == self.erased.until


def mark(erased: Erased) -> Alias:
    """All that is left under an id that was erased."""
    return Alias(None, erased.until, ends_at=erased.kept_until, erased=erased)


State = Lead | Alias

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Lead | Alias | Compact)


def pack(state: State) -> bytes:
    """The state as bytes."""
    return _encoder.encode(compacted(state) if isinstance(state, Lead) else state)


def in_full(lead: Lead) -> bytes:
    """The lead as bytes that `unpack` takes too, larger and sooner made."""
    return _encoder.encode(lead)


def unpack(payload: bytes) -> State:
    """The state that :func:`pack` packed; `msgspec.ValidationError` when it is something else."""
    try:
        state = _decoder.decode(payload)
    except UnicodeDecodeError as error:  # msgspec does not make it its own
        raise msgspec.ValidationError(f"a text in it is none: {error}") from None
    return expanded(state) if isinstance(state, Compact) else state
