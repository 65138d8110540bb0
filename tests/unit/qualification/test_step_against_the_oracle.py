"""Whole lives of a lead: the core must tell the story that the oracle tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from handmade import DAY, DEFAULT
from hypothesis import given
from lead_histories import LIVELY, LIVELY_DRAWN, Happening, Walk, drawn_histories, models, timed, walk

from streams.qualification.model.values import Model
from streams.qualification.step import advance


@given(LIVELY)
def test_the_default_model_tells_the_oracle_s_story(history: Sequence[Happening]) -> None:
    same_story(walk(history, DEFAULT), history, DEFAULT)


@given(models(), LIVELY_DRAWN)
def test_any_model_tells_the_oracle_s_story(model: Model, history: Sequence[Happening]) -> None:
    same_story(walk(history, model), history, model)


@given(models(), drawn_histories())
def test_any_model_tells_the_oracle_s_story_of_odd_lives(model: Model, history: Sequence[Happening]) -> None:
    same_story(walk(history, model), history, model)


@given(models(), LIVELY_DRAWN)
def test_packing_between_any_two_events_changes_nothing(model: Model, history: Sequence[Happening]) -> None:
    kept, packed = walk(history, model), walk(history, model, packed=True)
    assert kept.lead == packed.lead
    assert _without_ids(kept) == _without_ids(packed)


def same_story(done: Walk, history: Sequence[Happening], model: Model) -> None:
    """Core and oracle agree on everything up to 200 days after the last event."""
    now = [arrival for _, _, arrival in timed(history)][-1]
    end = now + 200 * DAY
    if done.lead is not None:
        done.lead, transitions = advance(done.lead, end, model)
        done.transitions += transitions
    oracle = done.oracle
    oracle.pass_time(end)
    assert [(one["cause"], one["from_stage"], one["to_stage"]) for one in done.changes] == [
        (one.cause, one.from_stage, one.to_stage) for one in oracle.history
    ]
    same_times(done.changes, [one.at for one in oracle.history])
    assert [(one["stage"], one["path"]) for one in done.qualifications] == [
        (one.stage, one.path) for one in oracle.granted
    ]
    same_times(done.qualifications, [one.at for one in oracle.granted])
    lines = _lines(done.scores, ("visitor", model.band(0.0), "NONE"))
    assert [line[1:] for line in lines] == [line[1:] for line in oracle.lines]
    assert [at for at, *_ in lines] == [pytest.approx(at, abs=2, rel=0) for at, *_ in oracle.lines]
    if done.lead is None:
        assert oracle.life is None
    else:
        assert oracle.life is not None


def same_times(records: Sequence[dict[str, Any]], times: Sequence[int]) -> None:
    """The same to the millisecond, but for one of rounding where sums are added up in another order."""
    assert [one["occurred_at"] for one in records] == [pytest.approx(at, abs=2, rel=0) for at in times]


def _lines(scores: Sequence[dict[str, Any] | None], unknown: tuple[str, str, str]) -> list[tuple[int, str, str, str]]:
    """When stage, band or route became another, by the scores that were written."""
    lines: list[tuple[int, str, str, str]] = []
    last = unknown
    for score in scores:
        line = (score["stage"], score["fit_band"], score["route"]) if score else unknown
        if line != last and score is not None:
            lines.append((score["as_of"], *line))
        last = line
    return lines


def _without_ids(done: Walk) -> list[Any]:
    return [getattr(one, "record", one) for one in done.transitions]
