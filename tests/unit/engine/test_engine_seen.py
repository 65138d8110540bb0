"""Since when records are known to be in their log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.seen import LogSeen


def test_a_record_below_an_end_that_was_heard_has_been_there_since() -> None:
    seen = LogSeen()
    seen.heard(100, 1_000)
    seen.heard(150, 2_000)
    assert [seen.since(offset, 3_000) for offset in (0, 99, 100, 149)] == [1_000, 1_000, 2_000, 2_000]


def test_of_a_record_past_every_end_that_was_heard_nothing_is_known_before_now() -> None:
    seen = LogSeen()
    assert seen.since(0, 500) == 500
    seen.heard(1, 1_000)
    assert seen.since(1, 3_000) == 3_000


def test_a_source_that_grows_and_is_not_read_takes_little_room() -> None:
    seen = LogSeen()
    for at in range(100_000):
        seen.heard(at + 1, at)
    assert len(seen._ends) <= 1_000
    assert 50_000 <= seen.since(50_000, 10**6) <= 50_100


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 300)), max_size=30), st.data())
def test_no_record_is_said_to_have_been_there_before_it_was(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    seen, end, now, read = LogSeen(), 0, 0, 0
    came: list[int] = []  # the first instant at which the log's end was past each offset
    for grown, passed in steps:
        now += passed
        came += [now] * grown
        end += grown
        seen.heard(end, now)
        read = data.draw(st.integers(read, end))
        if read < end:
            assert came[read] <= seen.since(read, now) <= now
