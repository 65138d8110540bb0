"""Decayed sums: any order, any tree of merges, taken back exactly, clamped only when read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from handmade import DAY, START
from hypothesis import given
from hypothesis import strategies as st
from oracle_standing import naive_value

from streams.qualification.decay import Decayed, add, clamp, merge, value_at

Contribution = tuple[float, int]

half_lives = st.integers(min_value=12 * 3_600_000, max_value=365 * DAY)
contributions = st.lists(
    st.tuples(st.floats(-1_000, 1_000), st.integers(START, START + 400 * DAY)), min_size=1, max_size=30
)
AT = START + 401 * DAY


def total(parts: Sequence[Contribution], half_life_ms: int) -> Decayed | None:
    sum_: Decayed | None = None
    for points, occurred_at in parts:
        sum_ = add(sum_, points, occurred_at, half_life_ms)
    return sum_


def scale(parts: Sequence[Contribution]) -> float:
    return sum(abs(points) for points, _ in parts)


@given(contributions, half_lives, st.randoms())
def test_any_order_of_arrival_sums_to_the_naive_value(
    parts: list[Contribution], half_life_ms: int, random: object
) -> None:
    random.shuffle(parts)  # type: ignore[attr-defined]
    value, as_of = total(parts, half_life_ms) or (0.0, 0)
    assert as_of == max(occurred_at for _, occurred_at in parts)
    for at in (as_of, AT, AT + 100 * DAY):
        expected = naive_value(parts, half_life_ms, at)
        assert value_at(value, as_of, at, half_life_ms) == pytest.approx(expected, abs=1e-9 * scale(parts), rel=0)


@given(contributions, half_lives, st.data())
def test_any_tree_of_merges_sums_to_the_naive_value(
    parts: list[Contribution], half_life_ms: int, data: st.DataObject
) -> None:
    sums = [total(parts[at::3], half_life_ms) for at in range(3)] + [
        (points, occurred_at) for points, occurred_at in parts
    ]
    while len(sums) > 1:
        one = sums.pop(data.draw(st.integers(0, len(sums) - 1)))
        other = sums.pop(data.draw(st.integers(0, len(sums) - 1)))
        sums.append(merge(one, other, half_life_ms))
    assert sums[0] is not None
    expected = 2 * naive_value(parts, half_life_ms, AT)  # once in thirds, once each by itself
    assert value_at(*sums[0], AT, half_life_ms) == pytest.approx(expected, abs=2e-9 * scale(parts), rel=0)


@given(contributions, half_lives, st.data())
def test_what_is_taken_back_leaves_no_trace(parts: list[Contribution], half_life_ms: int, data: st.DataObject) -> None:
    taken = data.draw(st.lists(st.sampled_from(range(len(parts))), unique=True))
    sum_ = total(parts, half_life_ms)
    for index in taken:
        points, occurred_at = parts[index]
        sum_ = add(sum_, -points, occurred_at, half_life_ms)
    assert sum_ is not None
    left = [one for index, one in enumerate(parts) if index not in taken]
    expected = naive_value(left, half_life_ms, AT)
    assert value_at(*sum_, AT, half_life_ms) == pytest.approx(expected, abs=1e-9 * scale(parts), rel=0)


def test_nothing_merged_with_something_is_something() -> None:
    assert merge(None, None, DAY) is None
    assert merge((3.0, START), None, DAY) == (3.0, START)
    assert merge(None, (3.0, START), DAY) == (3.0, START)


def test_a_contribution_halves_in_a_half_life() -> None:
    assert value_at(40.0, START, START + 30 * DAY, 30 * DAY) == 20.0
    assert value_at(40.0, START, START - 30 * DAY, 30 * DAY) == 80.0


@given(st.floats(-1e6, 1e6), st.floats(-100, 0), st.floats(0, 100))
def test_a_clamped_value_lies_between_floor_and_cap(value: float, floor: float, cap: float) -> None:
    assert clamp(value, floor, cap) == min(max(value, floor), cap)
    assert clamp(value, None, None) == value
    assert clamp(value, floor, None) == max(value, floor)
    assert clamp(value, None, cap) == min(value, cap)
