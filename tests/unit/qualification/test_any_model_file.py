"""Whatever a model file says, if it loads: it can be checked, judge any event, and be told of."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lead_histories import walk
from model_events import DAY, as_event, drawn_event, drawn_history
from model_files import model_file, written
from test_step_against_the_oracle import same_story

from streams.modelfile import read_model
from streams.processing.outputs import published
from streams.processing.strays import Strays
from streams.qualification.events import Changed, Forward, Ignored, Qualified, Scored, Transition
from streams.qualification.lead import Lead
from streams.qualification.model.check import check_model
from streams.qualification.model.loading import ModelError, load_model
from streams.qualification.model.values import Model
from streams.qualification.population import Population
from streams.qualification.receipt import verify_receipt
from streams.qualification.state import pack, unpack
from streams.topics import TOPICS
from streams.wire.codec import Codec
from streams.wire.limits import MAX_VALUE_BYTES
from streams.wire.validation import invalid

CODEC = Codec()
STRAYS = Strays(CODEC, "app")
START = 1_780_272_000_000
SEEDS = st.integers(0, 2**32)
SCHOOL = Path(__file__).parents[3] / "deploy" / "models" / "x-education.yaml"
SHIPPED = (read_model(), read_model(SCHOOL))


def drawn(seed: int, *, odd: bool) -> Model:
    return load_model(written(model_file(Random(seed), odd=odd)))


@given(SEEDS, st.booleans())
def test_it_loads_and_can_be_checked(seed: int, odd: bool) -> None:
    report = check_model(drawn(seed, odd=odd))
    assert all(way.text for way in report.ways)
    assert all(isinstance(problem, str) for problem in (*report.problems, *report.warnings))


@given(SEEDS, st.data())
def test_a_file_with_a_value_put_in_another_s_place_loads_or_is_refused(seed: int, data: st.DataObject) -> None:
    text = written(model_file(Random(seed), odd=True))
    places = [place for place, character in enumerate(text) if character in " :,"]
    start, end = (data.draw(st.sampled_from(places)) for _ in range(2))
    other = data.draw(st.sampled_from(_PIECES))
    try:
        model = load_model(text[:start] + other + text[min(end, start + 30) :])
    except ModelError:
        return
    check_model(model)


_PIECES = [
    *(" null", " ~", " 1.0e999", " -1.0e-320", " 999999999999999", " 0.0", " -0.0", " true", " NaN", " .inf", ' ""'),
    *(" []", " {}", ' "\\0"', " [[[]]]", " {a: {b: c}}", ' "*"', " 0s", " 1ms", " never", " 36500d", " 1 per day"),
]


@given(SEEDS, st.booleans())
def test_it_judges_any_event_and_what_comes_of_it_can_be_told(seed: int, odd: bool) -> None:
    live(drawn(seed, odd=odd), Random(seed))


@pytest.mark.parametrize("model", SHIPPED, ids=lambda model: model.version)
@given(seed=SEEDS)
def test_a_model_that_ships_judges_any_event_and_what_comes_of_it_can_be_told(model: Model, seed: int) -> None:
    live(model, Random(seed))


def live(model: Model, dice: Random) -> None:
    """Three ids, of one person or several, to whom anything may happen in any order."""
    population = Population(model)
    now, stream_time = START, 0
    out: list[Transition] = []
    for number in range(50):
        now += dice.choice([0, 1, 60_000, DAY, 10 * DAY, dice.randint(0, 3 * DAY)])
        occurred_at = now - dice.choice([0] * 8 + [60_000, 5 * DAY, 60 * DAY])
        topic, fields = drawn_event(dice, number, occurred_at, dice.choice("xyz"), ("x", "y", "z"))
        assert invalid(topic, fields, now, fields[TOPICS[topic].key_field].encode()) is None
        out += population.take(as_event(topic, fields, now), stream_time)
        stream_time = max(stream_time, occurred_at)
        for id_ in dice.sample("xyz", dice.randint(0, 2)):
            out += population.advance(id_, stream_time - model.grace_ms)
    for id_ in population.leads:
        out += population.advance(id_, now + 100 * DAY)
    tellable(out)
    for state in population.states.values():
        assert unpack(pack(state)) == state
        if isinstance(state, Lead):
            assert all(isfinite(value) for value, _ in state.groups.values())


def tellable(out: list[Transition]) -> None:
    for one in out:
        if isinstance(one, (Qualified, Changed, Scored)):
            value = published(CODEC, b"x", one).value
            assert value is None or len(value) < MAX_VALUE_BYTES
            record = one.record
            assert record is None or (isfinite(record["interest"]) and isfinite(record["fit"]))
        elif not isinstance(one, (Ignored, Forward)):
            STRAYS.telling(one)
    for one in out:
        if isinstance(one, Qualified):
            assert verify_receipt(one.record) == []


@given(SEEDS, SEEDS)
def test_it_tells_the_oracle_s_story(seed: int, life: int) -> None:
    agrees(drawn(seed, odd=False), life)


@pytest.mark.parametrize("model", SHIPPED, ids=lambda model: model.version)
@given(life=SEEDS)
def test_a_model_that_ships_tells_the_oracle_s_story_of_any_events(model: Model, life: int) -> None:
    agrees(model, life)


def agrees(model: Model, life: int) -> None:
    history = drawn_history(life, 30)
    done = walk(history, model)
    same_story(done, history, model)
    for before, after in pairwise(done.changes):
        assert after["sequence"] > before["sequence"] or before["cause"] in ("ERASED", "EXPIRED")
