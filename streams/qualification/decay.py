"""Exponential forward decay: a sum of decaying contributions kept in two numbers.

A contribution of `w` points made at `t_i` in a group of half-life `h` is worth `w * 2^-((t - t_i) / h)` at `t`. Because
the decay is exponential, the sum of any number of them is one `(value, as_of)` pair, whatever the order of arrival
(Cormode, Shkapenyuk, Srivastava, Xu: "Forward decay: a practical time decay model for streaming systems", ICDE 2009).
Times and half-lives are int milliseconds, values are points.
"""

from __future__ import annotations

from math import exp2

#: A group's value in points and the instant (ms) at which it is worth that.
Decayed = tuple[float, int]


def value_at(value: float, as_of: int, at: int, half_life_ms: int) -> float:
    """What `value` points as of `as_of` are worth at `at`; `at` may lie before `as_of`."""
    return value if at == as_of else value * exp2((as_of - at) / half_life_ms)


def add(sum_: Decayed | None, points: float, occurred_at: int, half_life_ms: int) -> Decayed:
    """The sum with `points` made at `occurred_at` added; late ones land exactly where they belong."""
    if sum_ is None:
        return points, occurred_at
    value, as_of = sum_
    if occurred_at >= as_of:
        return value_at(value, as_of, occurred_at, half_life_ms) + points, occurred_at
    return value + value_at(points, occurred_at, as_of, half_life_ms), as_of


def merge(one: Decayed | None, other: Decayed | None, half_life_ms: int) -> Decayed | None:
    """The sum of two partial sums."""
    if one is None or other is None:
        return one or other
    return add(one, other[0], other[1], half_life_ms)


def clamp(value: float, floor: float | None, cap: float | None) -> float:
    """`value` between `floor` and `cap`, where they are given. Applied on reading, never to what is kept."""
    if cap is not None and value > cap:
        return cap
    if floor is not None and value < floor:
        return floor
    return value
