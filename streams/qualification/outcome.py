"""What becomes of an id that something came to: its state, and what is said because of it."""

from __future__ import annotations

import msgspec

from streams.qualification.erasure import Erased
from streams.qualification.events import Ignored, Transition
from streams.qualification.state import Alias, State, mark


class Outcome(msgspec.Struct, frozen=True):
    """What came of a message: the id's new state, None for nothing. `due`: as in `step.After`."""

    state: State | None
    transitions: list[Transition]
    due: int | None = None


def of_alias(alias: Alias, *transitions: Transition) -> Outcome:
    return Outcome(alias, list(transitions), alias.ends_at or None)


def ignored(state: State | None, reason: str, due: int | None) -> Outcome:
    return Outcome(state, [Ignored(reason)], due)


def marked(erased: Erased, *transitions: Transition) -> Outcome:
    """The id was erased: that is all that is left of it."""
    return of_alias(mark(erased), *transitions)


def left_of(erased: Erased | None, at: int, *transitions: Transition) -> Outcome:
    """Nothing is left of the id, as of `at`, but what it may remember of having been erased."""
    if erased is not None and at < erased.kept_until:
        return marked(erased, *transitions)
    return Outcome(None, list(transitions))
