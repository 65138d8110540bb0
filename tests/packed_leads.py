"""Leads of every shape that the types allow, to be packed."""

from __future__ import annotations

from hypothesis import strategies as st

from streams.qualification.erasure import Erased
from streams.qualification.lead import Booking, Contribution, Episode, Lead, Touch, Written

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["web", "page", "pricing page", "https://example.com/", "https://example.com/é", "https://example.com/è", "x" * 300]
)
_MAYBE = st.none() | _TEXTS
_TIMES = st.integers(0, 2**53) | st.integers(1_793_523_600_000, 1_793_523_700_000) | st.just(0)
_POINTS = (
    st.floats(allow_nan=False)
    | st.integers(-100, 100).map(float)
    | st.sampled_from([0.0, -0.0, 2.0**53, 2.0**53 + 2, -(2.0**53)])
)
_CONTRIBUTIONS = st.builds(Contribution, _TEXTS, _TEXTS, _MAYBE, _POINTS, _TIMES, _MAYBE)
_TOUCHES = st.none() | st.builds(Touch, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _TIMES)
_COUNTS = st.dictionaries(st.integers(0, 30_000), st.integers(1, 300), max_size=20)
_FACTS = st.dictionaries(_TEXTS, st.tuples(_TIMES, _TIMES), max_size=2)
_GIVEN = st.lists(st.tuples(_TEXTS, _TEXTS, _POINTS, _TIMES), max_size=2).map(tuple)

LEADS = st.builds(
    Lead,
    lead_id=_TEXTS,
    as_of=_TIMES,
    stage=st.sampled_from(["visitor", "lead", "mql", "customer"]),
    stage_since=_TIMES,
    sequence=st.integers(0, 2**31),
    groups=st.dictionaries(_TEXTS, st.tuples(_POINTS, _TIMES), max_size=4),
    strongest=st.dictionaries(_TEXTS, st.lists(_CONTRIBUTIONS, max_size=3).map(tuple), max_size=4),
    limits=st.dictionaries(_TEXTS, _COUNTS, max_size=3),
    seen=st.binary(max_size=600),
    visits=st.lists(st.integers(0, 30_000), max_size=20).map(tuple),
    facts=_FACTS,
    bookings=st.lists(st.builds(Booking, _TEXTS, _GIVEN, _FACTS, _TIMES, _GIVEN), max_size=2).map(tuple),
    profile=st.dictionaries(_TEXTS, _MAYBE | st.integers(-(2**31), 2**31) | st.booleans(), max_size=3),
    said=st.dictionaries(_TEXTS, _TIMES, max_size=3),
    first_touch=_TOUCHES,
    last_touch=_TOUCHES,
    last_scored=_TIMES,
    inactive=st.booleans(),
    last_event=_TIMES,
    episode=st.none() | st.builds(Episode, _TEXTS, _TIMES, _TEXTS, _TEXTS, _TIMES, _TIMES),
    episode_ended=_TIMES,
    resting_until=_TIMES,
    low_touch=st.booleans(),
    written=st.none() | st.builds(Written, _TEXTS, _TEXTS, _TEXTS, _POINTS, _POINTS, _TIMES),
    judged_by=_TEXTS,
    fit=_POINTS,
    persona=_MAYBE,
    aliases=st.lists(_TEXTS, max_size=3).map(tuple),
    unlinked_at=_TIMES,
    barred=st.booleans(),
    erased=st.none() | st.builds(Erased, _TIMES, _TIMES, _TIMES, _TIMES),
    was=st.none() | st.dictionaries(_TEXTS, _TEXTS, max_size=2),
)
