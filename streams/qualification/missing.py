"""What a lead still lacks to be an MQL, or an SQL by one of the paths: `lifecycle`'s own conditions, one by one.

`lifecycle` asks them for every event, and stops at the first that fails. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from streams.qualification.fit import confirmed_bant
from streams.qualification.memory import path_fact, visits_within
from streams.qualification.model.values import SqlPath
from streams.qualification.turn import QUALIFIABLE, Turn

What = Literal["stage", "rest", "interest", "fit", "cell", "contact", "blocked", "fact", "visits", "bant"]


class Missing(msgspec.Struct, frozen=True):
    """One thing that is missing.

    - `stage`: another one than the lead's, which `names` has
    - `rest`: sales has sent the lead to rest, `until` (ms)
    - `interest`, `fit`: it `has` so many points and `needs` as many
    - `cell`: the matrix has no place for it in nurture, but the one that `names` has
    - `contact`: the profile's fields in `names` are not known
    - `blocked`: the condition in `names`, in words, keeps it from there
    - `fact`: that in `names`, no longer ago than `within_ms`, and newer than the end of the last episode (`after`, ms)
    - `visits`: it `has` so many days with a visit `within_ms` and `needs` as many
    - `bant`: it `has` so many of budget, authority, need and timeline confirmed and `needs` as many
    """

    what: What
    has: float | None = None
    needs: float | None = None
    names: tuple[str, ...] = ()
    within_ms: int | None = None
    until: int | None = None
    after: int | None = None


class ToPath(msgspec.Struct, frozen=True):
    """What is missing to an SQL by the model's path `name`; nothing, and it is one as soon as it is judged."""

    name: str
    missing: tuple[Missing, ...]


def missing_to_mql(turn: Turn, at: int) -> tuple[Missing, ...]:
    """What the turn's lead, which is none yet, lacks to be an MQL at `at`: nothing where `may_be_mql`."""
    return tuple(_to_mql(turn, at))


def missing_to_paths(turn: Turn, at: int) -> tuple[ToPath, ...]:
    """What the turn's lead, which is none yet, lacks to be an SQL at `at`, by each path of the model."""
    return tuple(ToPath(path.name, tuple(_to_path(turn, path, at))) for path in turn.model.sql_paths)


def _to_mql(turn: Turn, at: int) -> Iterator[Missing]:
    lead, mql = turn.lead, turn.model.mql
    yield from _standing(turn)
    if lead.resting:
        yield Missing("rest", until=lead.resting_until)
    low = [*_interest(turn, at, mql.interest), *_fit(turn, mql.fit)]
    yield from low
    cell = turn.model.matrix.cell(turn.fit, turn.interest(at))
    if not low and cell not in ("NURTURE", "SALES"):
        yield Missing("cell", names=(cell,))
    unknown = tuple(field for field in mql.requires if lead.profile.get(field) is None)
    if unknown:
        yield Missing("contact", names=unknown)
    if mql.blocked_by is not None and mql.blocked_by.matches(lead.profile):
        yield Missing("blocked", names=(mql.blocked_by.text,))


def _to_path(turn: Turn, path: SqlPath, at: int) -> Iterator[Missing]:
    lead, blocked_by = turn.lead, turn.model.sql_blocked_by
    yield from _standing(turn)
    if lead.resting and path.fact is None:
        yield Missing("rest", until=lead.resting_until)
    if path.fact is not None and path_fact(lead, path, at) is None:
        yield Missing("fact", names=(path.fact,), within_ms=path.within_ms, after=lead.episode_ended or None)
    if path.visits is not None:
        visits = visits_within(lead, at, path.visits)
        if visits < path.visits.at_least:
            yield Missing("visits", visits, path.visits.at_least, within_ms=path.visits.within_ms)
    if path.interest is not None:
        yield from _interest(turn, at, path.interest)
    if path.fit is not None:
        yield from _fit(turn, path.fit)
    if path.bant is not None:
        confirmed = confirmed_bant(lead.profile)
        if confirmed < path.bant:
            yield Missing("bant", confirmed, path.bant)
    if blocked_by is not None and blocked_by.matches(lead.profile):
        yield Missing("blocked", names=(blocked_by.text,))


def _standing(turn: Turn) -> Iterator[Missing]:
    if turn.lead.stage not in QUALIFIABLE:
        yield Missing("stage", names=(turn.lead.stage,))


def _interest(turn: Turn, at: int, needs: float) -> Iterator[Missing]:
    if turn.interest(at) < needs:
        yield Missing("interest", turn.interest(at), needs)


def _fit(turn: Turn, needs: float) -> Iterator[Missing]:
    if turn.fit < needs:
        yield Missing("fit", turn.fit, needs)
