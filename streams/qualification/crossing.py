"""When a sum of clamped, decaying groups crosses a threshold, to the millisecond.

Between the instants at which a group falls out of its clamp, interest is an exponential sum
`f(t) = K + sum a_i * e^(-l_i * t)`. Such a sum of n terms has at most n - 1 real zeros; they are isolated by the
derivative trick behind Descartes' rule for exponential sums (G. Polya, G. Szego, "Problems and Theorems in Analysis
II", part V, problem 77): divide by the slowest term, which makes it a constant, and differentiate, which removes it.
The zeros of the smaller sum are the turning points between which the larger one is monotone, so one bisection each
finds every crossing, tangents aside. The final answer is an integer, decided by the very function that judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import ceil, exp, inf, log, log2
from typing import NamedTuple

from streams.qualification.decay import Decayed, clamp, value_at
from streams.qualification.model.values import Group

_LN2 = log(2.0)
#: `a * e^(-l * t)`, with t in ms after some origin.
_Term = tuple[float, float]


def interest_of(parts: Iterable[tuple[Group, Decayed]], at: int) -> float:
    """Interest at `at`: the sum of the groups' values, each clamped as it is read."""
    total = 0.0
    for group, (value, as_of) in parts:
        total += clamp(value_at(value, as_of, at, group.half_life_ms), group.floor, group.cap)
    return total


def next_crossing(parts: Sequence[tuple[Group, Decayed]], threshold: float, after: int) -> int | None:
    """The first instant later than `after` at which interest is on the other side of `threshold` than at `after`.

    "At or above" is one side, "below" the other. `threshold` must be above 0 (points): interest tends to 0, so the
    search ends. Returns ms, or None when it never crosses.
    """
    if threshold <= 0:
        raise ValueError(f"threshold {threshold} must be above 0")
    parts = [(group, decayed) for group, decayed in parts if decayed[0] != 0.0]

    def above(at: int) -> bool:
        return interest_of(parts, at) >= threshold

    side = above(after)
    if not side and all(value > 0.0 for _, (value, _) in parts):
        return None  # only falling, and already below
    edges = [after, *_unclamping_times(parts, after)]
    for index, low in enumerate(edges):
        high = edges[index + 1] if index + 1 < len(edges) else None
        crossing = _crossing_in_piece(parts, threshold, low, high, side, above)
        if crossing is not None:
            return crossing
    return None


class Pulls(NamedTuple):
    """What pulls interest up and down at an instant (points, both above 0), and the shortest half-life of each (ms)."""

    at: int
    up: float
    up_half_life: int
    down: float
    down_half_life: int


def pulls_at(parts: Iterable[tuple[Group, Decayed]], at: int) -> Pulls:
    """The pulls of a lead's groups at `at`."""
    up = down = 0.0
    up_half_life = down_half_life = 0
    for group, (value, as_of) in parts:
        read = clamp(value_at(value, as_of, at, group.half_life_ms), group.floor, group.cap)
        if read > 0:
            up += read
            if not up_half_life or group.half_life_ms < up_half_life:
                up_half_life = group.half_life_ms
        elif read < 0:
            down -= read
            if not down_half_life or group.half_life_ms < down_half_life:
                down_half_life = group.half_life_ms
    return Pulls(at, up, up_half_life, down, down_half_life)


def quiet_until(pulls: Pulls, threshold: float) -> int | None:
    """An instant (ms) up to which interest surely does not cross `threshold`; None when it never will.

    A cheap bound, so that most leads never need the exact search: what pulls interest away from its side fades no
    faster than the shortest half-life among it allows, and what pushes the other way is taken to last.
    """
    at, up, up_half_life, down, down_half_life = pulls
    if up - down >= threshold:
        return at + int(up_half_life * log2(up / (threshold + down))) - 1
    if up <= threshold or not down:
        return None
    return at + int(down_half_life * log2(down / (up - threshold))) - 1


def _unclamping_times(parts: Sequence[tuple[Group, Decayed]], after: int) -> list[int]:
    """The instants after `after` from which on a group is within its floor..cap range, in order."""
    times = {_unclamped_from(group, decayed) for group, decayed in parts}
    return sorted(int(time) for time in times if after < time < inf)


def _unclamped_from(group: Group, decayed: Decayed) -> float:
    """The first ms at which the group is read as it is: -inf when it is from `as_of` on, inf when it never is.

    It says where pieces begin and what is clamped in them alike: asking the values would leave it to rounding.
    """
    value, as_of = decayed
    bound = group.cap if value > 0 else group.floor
    if bound is None or abs(value) <= abs(bound):
        return -inf
    return as_of + ceil(group.half_life_ms * log2(value / bound)) if bound else inf


def _crossing_in_piece(
    parts: Sequence[tuple[Group, Decayed]],
    threshold: float,
    low: int,
    high: int | None,
    side: bool,
    above: Callable[[int], bool],
) -> int | None:
    """The first integer in (low, high] on the other side, where no group enters or leaves its clamp in between."""
    constant, terms = _exponential_sum(parts, low)
    end = _horizon(terms, constant - threshold) if high is None else float(high - low)
    turns = _turns([(constant - threshold, 0.0), *terms], end)
    # Floats only propose; integers around each proposal decide. A turning point may be a millisecond off, so both
    # neighbours are looked at.
    last = low
    for proposal in [*turns, end]:
        point = low + int(proposal)
        for candidate in (point - 1, point, point + 1, point + 2):
            if candidate <= last or (high is not None and candidate > high):
                continue
            if above(candidate) != side:
                return _bisect(above, last, candidate, side)
            last = candidate
    return None


def _exponential_sum(parts: Sequence[tuple[Group, Decayed]], low: int) -> tuple[float, list[_Term]]:
    """`(K, terms)` of interest on the piece that begins at `low`, time counted from `low`."""
    constant = 0.0
    by_rate: dict[int, float] = {}
    for group, decayed in parts:
        value, as_of = decayed
        start = value_at(value, as_of, low, group.half_life_ms)
        if _unclamped_from(group, decayed) > low:
            constant += clamp(start, group.floor, group.cap)
        else:
            by_rate[group.half_life_ms] = by_rate.get(group.half_life_ms, 0.0) + start
    return constant, [(amount, _LN2 / half_life) for half_life, amount in by_rate.items() if amount != 0.0]


def _horizon(terms: Sequence[_Term], offset: float) -> float:
    """A time after which the terms together are smaller than `offset`, so that the sign is settled.

    `offset` is never 0: what is clamped for ever is clamped to 0, so it is the threshold, taken away.
    """
    end = 1.0
    for amount, rate in terms:
        ratio = abs(amount) * len(terms) / abs(offset)
        if ratio > 1.0:
            end = max(end, log(ratio) / rate)
    return end + 2.0


def _turns(terms: Sequence[_Term], end: float) -> list[float]:
    """Proposals of where in (0, end) to look for a change of sign; none when looking at the end is enough.

    An exponential sum has at most as many zeros in t > 0 as the partial sums of its coefficients, slowest first, change
    sign (E. Laguerre, "Sur la theorie des equations numeriques", 1883): with one change, the ends tell.
    """
    total, changes, sign = 0.0, 0, 0
    for amount, _ in sorted(terms, key=lambda term: term[1]):
        total += amount
        now = (total > 0) - (total < 0)
        if now and sign and now != sign:
            changes += 1
        sign = now or sign
    return _zeros(terms, end) if changes > 1 else []


def _zeros(terms: Sequence[_Term], end: float) -> list[float]:
    """The zeros of the exponential sum in (0, end), in order."""
    terms = sorted((term for term in terms if term[0] != 0.0), key=lambda term: term[1])
    if len(terms) < 2:
        return []
    base = terms[0][1]
    # f * e^(base * t): the same zeros, and its slowest term is a constant.
    scaled = [(amount, rate - base) for amount, rate in terms]
    if all(amount > 0 for amount, _ in scaled) or all(amount < 0 for amount, _ in scaled):
        return []
    derivative = [(-amount * rate, rate) for amount, rate in scaled[1:]]
    zeros = []
    edges = [0.0, *_zeros(derivative, end), end]
    for low, high in pairwise(edges):
        if (_evaluate(scaled, low) < 0) != (_evaluate(scaled, high) < 0):
            zeros.append(_bisect_float(scaled, low, high))
        elif high != end:
            zeros.append(high)  # a tangent as far as floats can tell: let integers decide
    return zeros


def _evaluate(terms: Sequence[_Term], at: float) -> float:
    return sum(amount * exp(-rate * at) for amount, rate in terms)


def _bisect_float(terms: Sequence[_Term], low: float, high: float) -> float:
    negative = _evaluate(terms, low) < 0
    while high - low > 0.25:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if (_evaluate(terms, middle) < 0) == negative:
            low = middle
        else:
            high = middle
    return low


def _bisect(above: Callable[[int], bool], low: int, high: int, side: bool) -> int:
    """The first integer in (low, high] that is not on `side`; `low` is, `high` is not."""
    while high - low > 1:
        middle = (low + high) // 2
        if above(middle) == side:
            low = middle
        else:
            high = middle
    return high
