"""What a batch does once for each key that changed: envelopes are sealed, and put into the state. Compiled where that
could be done at installation (`native/envelopes.h`); here is what it means.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from streams.engine import envelope
from streams.engine.compiled import compiled
from streams.engine.envelope import PAYLOAD, READ, due_of, wrap
from streams.engine.table import Table

_native = compiled("streams.engine._native")
_VERSIONS = bytes(READ)

Changed = dict[bytes, bytes | None]


def seal_all(packed: dict[bytes, bytes]) -> None:
    """Seal each key's envelope: it was written without a checksum, and of any version."""
    if _native is not None:
        _native.seal_all(envelope.VERSION, packed)
    else:
        plain_seal_all(packed)


def plain_seal_all(packed: dict[bytes, bytes]) -> None:
    """`seal_all` in plain words."""
    for key, unsealed in packed.items():
        packed[key] = wrap(unsealed[PAYLOAD:], due_of(unsealed))


Timers = list[tuple[int, bytes]]


def timers_of(values: Table) -> tuple[Timers, int]:
    """The (due time, key) of all that have one, and how many bytes keys and values are."""
    if _native is not None:
        found: tuple[Timers, int] = _native.timers_of(_VERSIONS, values)
        return found
    return plain_timers_of(values)


def plain_timers_of(values: Mapping[bytes, bytes]) -> tuple[Timers, int]:
    """`timers_of` in plain words."""
    dues = ((due_of(value), key) for key, value in values.items())
    size = sum(len(key) + len(value) for key, value in values.items())
    return [(due, key) for due, key in dues if due is not None], size


Applied = tuple[Timers, int]


def apply_all(values: Table, changed: Changed, taken: set[bytes]) -> Applied:
    """Put `changed` into `values`, None for what is gone.

    Returns the (due time, key) for which a timer must be set, and by how many bytes keys and values have grown. A later
    due time needs no timer of its own, as the earlier one finds it when it comes up; one that was `taken` is no more.
    """
    if _native is not None:
        applied: Applied = _native.apply_all(_VERSIONS, values, changed, taken)
        return applied
    return plain_apply_all(values, changed, taken)


def plain_apply_all(values: MutableMapping[bytes, bytes], changed: Changed, taken: set[bytes]) -> Applied:
    """`apply_all` in plain words."""
    timers, grown = [], 0
    for key, value in changed.items():
        before = values.get(key)
        if before is not None:
            grown -= len(key) + len(before)
        if value is None:
            values.pop(key, None)
            continue
        values[key] = value
        grown += len(key) + len(value)
        due = due_of(value)
        if due is not None:
            known = due_of(before) if before is not None else None
            if known is None or due < known or key in taken:
                timers.append((due, key))
    return timers, grown
