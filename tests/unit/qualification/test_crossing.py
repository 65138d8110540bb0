"""The next crossing: the first millisecond on the other side, against looking everywhere."""

from __future__ import annotations

from math import exp2, log2

import pytest
from handmade import DAY, HOUR, START
from hypothesis import assume, example, given
from hypothesis import strategies as st

from streams.qualification.crossing import interest_of, next_crossing, pulls_at, quiet_until
from streams.qualification.decay import Decayed
from streams.qualification.model.values import Group

Part = tuple[Group, Decayed]

#: A difference to the threshold in points that rounding can hide.
ROUNDING = 1e-9


def part(
    value: float, half_life_ms: int, floor: float | None = None, cap: float | None = None, as_of: int = START
) -> Part:
    return Group("any", half_life_ms, floor, cap), (value, as_of)


@st.composite
def parts(draw: st.DrawFn) -> list[Part]:
    def one() -> Part:
        return part(
            draw(st.one_of(st.integers(-200, 200).map(float), st.floats(-200, 200))),
            draw(st.sampled_from([HOUR, DAY, 7 * DAY, 21 * DAY, 30 * DAY, 45 * DAY, 60 * DAY, 60 * DAY + 1])),
            draw(st.sampled_from([None, None, 0.0, -20.0, -60.0])),
            draw(st.sampled_from([None, None, 0.0, 20.0, 40.0, 100.0])),
            START - draw(st.integers(0, 10 * DAY)),
        )

    return [one() for _ in range(draw(st.integers(0, 5)))]


thresholds = st.one_of(st.sampled_from([0.5, 10.0, 20.0, 30.0, 60.0, 100.0]), st.floats(0.01, 300))


#: How far beside a whole millisecond a group leaves its clamp, in ms.
OFF = st.one_of(
    st.integers(-2, 2).map(float),
    st.sampled_from([0.5, -0.5, 1e-3, -1e-3, 1e-6, -1e-6]),
    st.floats(-2, 2),
)


@st.composite
def aimed_parts(draw: st.DrawFn) -> list[Part]:
    """Groups that leave their clamps at, or hardly beside, a whole millisecond."""

    def one() -> Part:
        half_life_ms = draw(st.sampled_from([HOUR, DAY, 7 * DAY, 30 * DAY, 60 * DAY + 1]))
        bound = draw(st.sampled_from([20.0, 40.0, 100.0, -20.0, -60.0]))
        leaves_after = draw(st.integers(0, 3 * half_life_ms)) + draw(OFF)
        value = bound * exp2(leaves_after / half_life_ms)
        return part(value, half_life_ms, min(bound, 0.0), max(bound, 0.0))

    return [one() for _ in range(draw(st.integers(1, 3)))]


def instants() -> list[int]:
    """Dense where fast groups move, up to where nothing is left."""
    near = range(START, START + 3 * DAY, 10 * 60_000)
    middle = range(START + 3 * DAY, START + 120 * DAY, 6 * HOUR)
    far = range(START + 120 * DAY, START + 1_500 * DAY, 2 * DAY)
    return [*near, *middle, *far]


LOOKS = instants()


def seen_beyond(all_parts: list[Part], threshold: float) -> int | None:
    """The first of many looks at which interest is clearly on the other side than at START."""
    side = interest_of(all_parts, START) >= threshold
    for at in LOOKS:
        interest = interest_of(all_parts, at)
        if (interest >= threshold) != side and abs(interest - threshold) > ROUNDING:
            return at
    return None


@given(parts(), thresholds)
@example([part(80.0, 30 * DAY, cap=40.0)], 20.0)
@example([part(40.0, 30 * DAY, cap=40.0)], 40.0)
@example([part(-100.0, 7 * DAY, floor=-60.0), part(90.0, 60 * DAY, cap=40.0)], 20.0)
@example([part(-100.0, 7 * DAY), part(90.0, 60 * DAY)], 20.0)
def test_the_crossing_is_the_first_millisecond_on_the_other_side(all_parts: list[Part], threshold: float) -> None:
    crossing = next_crossing(all_parts, threshold, START)
    seen = seen_beyond(all_parts, threshold)
    side = interest_of(all_parts, START) >= threshold
    if crossing is None:
        assert seen is None
        return
    assert crossing > START
    assert (interest_of(all_parts, crossing - 1) >= threshold) == side
    assert (interest_of(all_parts, crossing) >= threshold) != side
    assert seen is None or crossing <= seen


@given(aimed_parts(), st.sampled_from([10.0, 20.0, 40.0, 60.0, 100.0]))
def test_no_crossing_is_missed_where_clamps_end_at_whole_milliseconds(all_parts: list[Part], threshold: float) -> None:
    crossing = next_crossing(all_parts, threshold, START)
    side = interest_of(all_parts, START) >= threshold
    leaving = [as_of + int(group.half_life_ms * log2(value / bound_of(group))) for group, (value, as_of) in all_parts]
    looks = sorted({*LOOKS, *(at + near for at in leaving for near in range(-3, 4) if at + near > START)})
    seen = next((at for at in looks if (interest_of(all_parts, at) >= threshold) != side), None)
    if crossing is None:
        assert seen is None
        return
    assert (interest_of(all_parts, crossing - 1) >= threshold) == side
    assert (interest_of(all_parts, crossing) >= threshold) != side
    assert seen is None or crossing <= seen


@pytest.mark.parametrize(
    ("half_life_ms", "bound", "value"),
    [(300 * DAY, 20.0, "0x1.93319aaf048edp+6"), (300 * DAY, 60.0, "0x1.165a80c8fcb6fp+6")],
)
def test_a_clamp_that_rounding_prolongs_by_a_millisecond_hides_no_crossing(
    half_life_ms: int, bound: float, value: str
) -> None:
    capped = [part(float.fromhex(value), half_life_ms, cap=bound)]
    for threshold in (bound, bound / 2):
        assert next_crossing(capped, threshold, START) is not None


def bound_of(group: Group) -> float:
    return group.cap or group.floor or 1.0


@pytest.mark.parametrize("half_life_ms", [HOUR, DAY, 30 * DAY, 60 * DAY + 1])
@pytest.mark.parametrize("bound", [20.0, 40.0, 60.0])
@pytest.mark.parametrize("off", [-1.5, -0.5, -1e-6, 0.0, 1e-6, 0.5, 0.999, 1.0, 1.001, 1.5])
def test_a_capped_group_always_falls_below_what_its_cap_reaches(half_life_ms: int, bound: float, off: float) -> None:
    capped = [part(bound * exp2((12_345_678 + off) / half_life_ms), half_life_ms, cap=bound)]
    for threshold in (bound, bound / 2):
        crossing = next_crossing(capped, threshold, START)
        assert crossing is not None
        assert interest_of(capped, crossing) < threshold <= interest_of(capped, crossing - 1)


@given(parts(), thresholds)
def test_crossings_alternate_and_come_to_an_end_below(all_parts: list[Part], threshold: float) -> None:
    at, found = START, []
    above = interest_of(all_parts, START) >= threshold
    while (crossing := next_crossing(all_parts, threshold, at)) is not None:
        assert crossing > at
        at, above = crossing, not above
        found.append(crossing)
        assume(len(found) < 50)
        assert (interest_of(all_parts, crossing) >= threshold) == above
    assert not above


@given(parts(), thresholds, st.integers(0, 100 * DAY))
def test_a_crossing_does_not_depend_on_when_it_is_asked_for(
    all_parts: list[Part], threshold: float, waited_ms: int
) -> None:
    crossing = next_crossing(all_parts, threshold, START)
    assume(crossing is not None)
    assert crossing is not None
    later = START + waited_ms % (crossing - START)
    assert next_crossing(all_parts, threshold, later) == crossing


def test_a_falling_group_crosses_after_its_half_life() -> None:
    assert next_crossing([part(40.0, 30 * DAY)], 20.0, START) == START + 30 * DAY + 1  # at 20 it is still not below


def test_a_capped_group_falls_only_after_it_has_left_its_cap() -> None:
    crossing = next_crossing([part(160.0, 30 * DAY, cap=40.0)], 40.0, START)
    assert crossing == START + 60 * DAY + 1


def test_interest_rises_as_a_negative_group_fades() -> None:
    rising = [part(40.0, 300 * DAY), part(-50.0, 7 * DAY)]
    crossing = next_crossing(rising, 20.0, START)
    assert crossing is not None
    assert interest_of(rising, crossing) >= 20.0
    falls = next_crossing(rising, 20.0, crossing)
    assert falls is not None
    assert falls > crossing
    assert next_crossing(rising, 20.0, falls) is None


def test_nothing_never_crosses() -> None:
    assert next_crossing([], 20.0, START) is None
    assert next_crossing([part(0.0, DAY)], 20.0, START) is None
    assert next_crossing([part(-30.0, DAY)], 20.0, START) is None


def test_a_threshold_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        next_crossing([part(1.0, DAY)], 0.0, START)


@given(parts(), thresholds, st.integers(0, 50 * DAY))
def test_interest_stays_on_its_side_as_long_as_the_quick_bound_says(
    all_parts: list[Part], threshold: float, waited_ms: int
) -> None:
    after = START + waited_ms
    quiet = quiet_until(pulls_at(all_parts, after), threshold)
    crossing = next_crossing(all_parts, threshold, after)
    if crossing is not None:
        assert quiet is not None
        assert quiet < crossing
