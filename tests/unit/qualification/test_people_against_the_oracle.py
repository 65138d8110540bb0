"""Whole lives of people of many ids: the core must tell the story that the oracles tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from handmade import DAY, DEFAULT
from hypothesis import given, settings
from lead_histories import Happening, models, timed
from oracle_people import People
from oracle_standing import Granted, Happened
from people_histories import PEOPLE, PEOPLE_DRAWN, PeopleWalk, walk_people, walk_wired
from town import unmarked

from streams.qualification.decay import value_at
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import Alias, State

#: Much must come together before some of the rules of merging show.
EXAMPLES = settings(max_examples=max(120, settings.default.max_examples if settings.default else 0))


@given(PEOPLE)
@EXAMPLES
def test_the_default_model_tells_the_oracles_story_of_people_of_many_ids(history: Sequence[Happening]) -> None:
    same_story(walk_people(history, DEFAULT), history, DEFAULT)


@given(models(), PEOPLE_DRAWN)
@EXAMPLES
def test_any_model_tells_the_oracles_story_of_people_of_many_ids(model: Model, history: Sequence[Happening]) -> None:
    same_story(walk_people(history, model, packed=True), history, model)


@given(PEOPLE)
@EXAMPLES
def test_a_worker_tells_the_oracles_story_of_people_on_many_partitions(history: Sequence[Happening]) -> None:
    wired, oracle = walk_wired(history, DEFAULT)
    now = [arrival for _, _, arrival in timed(history)][-1]
    same_people(wired.states, oracle, now, DEFAULT)
    same_words(wired.told, oracle)
    for record in wired.qualifications:
        assert verify_receipt(record) == []


def same_story(done: PeopleWalk, history: Sequence[Happening], model: Model) -> None:
    """Core and oracles agree on everything up to 200 days after the last event."""
    now = [arrival for _, _, arrival in timed(history)][-1]
    same_people(done.core.states, done.oracle, now, model)
    end = now + 200 * DAY
    for id_ in list(done.core.states):
        done.transitions += done.core.advance(id_, end)
    done.oracle.pass_time(end)
    same_people(done.core.states, done.oracle, end, model)
    same_words(done.told, done.oracle)
    lines = {id_: person.lines for id_, person in done.oracle.persons.items() if person.lines}
    assert {id_: [line[1:] for line in those] for id_, those in done.lines.items()} == {
        id_: [line[1:] for line in those] for id_, those in lines.items()
    }
    for record in done.qualifications:
        assert verify_receipt(record) == []


def same_people(states: Mapping[str, State], oracle: People, at: int, model: Model) -> None:
    """The same ids are leads, of the same stage and worth, and the same ids are aliases of the same leads."""
    leads = {id_: state for id_, state in states.items() if isinstance(state, Lead)}
    assert {id_: (one.to, one.since) for id_, one in unmarked(states).items() if isinstance(one, Alias)} == {
        id_: (one.to, one.since) for id_, one in oracle.pointers.items()
    }
    assert {id_: lead.stage for id_, lead in leads.items()} == {
        id_: one.life.stage for id_, one in oracle.lives.items() if one.life
    }
    for id_, lead in leads.items():
        person = oracle.persons[id_]
        assert person.life is not None
        for name, group in model.groups.items():
            scale = sum(abs(one.points) for one in person.life.given if one.group == name)
            worth = value_at(*lead.groups[name], at, group.half_life_ms) if name in lead.groups else 0.0
            assert worth == pytest.approx(person.group_value(name, at), abs=1e-9 * scale + 1e-12, rel=0)


def same_words(records: Sequence[dict[str, Any]], oracle: People) -> None:
    """Of every id the same was said, in the same order, at the same times, and numbered without gaps."""
    said: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        said.setdefault(record["lead_id"], []).append(record)
    expected: dict[str, list[tuple[int, Happened | Granted]]] = {}
    for id_, number, what in oracle.told:
        expected.setdefault(id_, []).append((number, what))
    assert said.keys() == expected.keys()
    for id_, mine in said.items():
        assert [_short(one) for one in mine] == [_shortly(number, what) for number, what in expected[id_]]
        assert [one["occurred_at"] for one in mine] == [
            pytest.approx(what.at, abs=2, rel=0) for _, what in expected[id_]
        ]


def _short(record: dict[str, Any]) -> tuple[Any, ...]:
    if "path" in record:
        return record["sequence"], record["stage"], record["path"]
    return record["sequence"], record["cause"], record["from_stage"], record["to_stage"]


def _shortly(number: int, what: Happened | Granted) -> tuple[Any, ...]:
    if isinstance(what, Granted):
        return number, what.stage, what.path
    return number, what.cause, what.from_stage, what.to_stage
