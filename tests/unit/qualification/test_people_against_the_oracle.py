"""Whole lives of people of many ids: the core must tell the story that the oracles tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from handmade import DAY, DEFAULT
from hypothesis import given
from hypothesis import strategies as st
from lead_histories import Happening, models, timed
from oracle_standing import Granted, Happened
from people_histories import PEOPLE, PEOPLE_DRAWN, PeopleWalk, walk_people

from streams.qualification.decay import value_at
from streams.qualification.model.values import Model
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import Alias

SEEDS = st.integers(0, 2**32)


@given(PEOPLE, SEEDS)
def test_the_default_model_tells_the_oracles_story_of_people_of_many_ids(
    history: Sequence[Happening], seed: int
) -> None:
    same_story(walk_people(history, DEFAULT, seed), history, DEFAULT)


@given(models(), PEOPLE_DRAWN, SEEDS)
def test_any_model_tells_the_oracles_story_of_people_of_many_ids(
    model: Model, history: Sequence[Happening], seed: int
) -> None:
    same_story(walk_people(history, model, seed, packed=True), history, model)


def same_story(done: PeopleWalk, history: Sequence[Happening], model: Model) -> None:
    """Core and oracles agree on everything up to 200 days after the last event."""
    now = [arrival for _, _, arrival in timed(history)][-1]
    same_people(done, now, model)
    end = now + 200 * DAY
    for id_ in list(done.core.states):
        done.transitions += done.core.advance(id_, end)
    done.oracle.pass_time(end)
    same_people(done, end, model)
    said: dict[str, list[dict[str, Any]]] = {}
    for record in done.told:
        said.setdefault(record["lead_id"], []).append(record)
    expected: dict[str, list[tuple[int, Happened | Granted]]] = {}
    for id_, number, what in done.oracle.told:
        expected.setdefault(id_, []).append((number, what))
    assert said.keys() == expected.keys()
    for id_, records in said.items():
        assert [_short(one) for one in records] == [_shortly(number, what) for number, what in expected[id_]]
        assert [one["occurred_at"] for one in records] == [
            pytest.approx(what.at, abs=2, rel=0) for _, what in expected[id_]
        ]
    lines = {id_: person.lines for id_, person in done.oracle.persons.items() if person.lines}
    assert {id_: [line[1:] for line in those] for id_, those in done.lines.items()} == {
        id_: [line[1:] for line in those] for id_, those in lines.items()
    }
    for record in done.qualifications:
        assert verify_receipt(record) == []


def same_people(done: PeopleWalk, at: int, model: Model) -> None:
    """The same ids are leads, of the same stage and worth, and the same ids are aliases of the same leads."""
    core, oracle = done.core, done.oracle
    assert {id_: (one.to, one.since) for id_, one in core.aliases.items()} == {
        id_: (one.to, one.since) for id_, one in oracle.pointers.items()
    }
    assert {id_: lead.stage for id_, lead in core.leads.items()} == {
        id_: one.life.stage for id_, one in oracle.lives.items() if one.life
    }
    for id_, lead in core.leads.items():
        person = oracle.persons[id_]
        assert person.life is not None
        for name, group in model.groups.items():
            scale = sum(abs(one.points) for one in person.life.given if one.group == name)
            worth = value_at(*lead.groups[name], at, group.half_life_ms) if name in lead.groups else 0.0
            assert worth == pytest.approx(person.group_value(name, at), abs=1e-9 * scale + 1e-12, rel=0)
    assert all(isinstance(one, Alias) == (id_ in oracle.pointers) for id_, one in core.states.items())


def _short(record: dict[str, Any]) -> tuple[Any, ...]:
    if "path" in record:
        return record["sequence"], record["stage"], record["path"]
    return record["sequence"], record["cause"], record["from_stage"], record["to_stage"]


def _shortly(number: int, what: Happened | Granted) -> tuple[Any, ...]:
    if isinstance(what, Granted):
        return number, what.stage, what.path
    return number, what.cause, what.from_stage, what.to_stage
