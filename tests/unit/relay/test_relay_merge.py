from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.relay.intake import Raw
from streams.relay.merge import Merge

TOPICS = ("sql-events", "lifecycle-events")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def raw(topic: str, at: int, partition: int = 0) -> Raw:
    return Raw(topic, partition, at, b"k", b"v", at)


def merge(clock: Clock | None = None) -> Merge:
    made = Merge(["retries"], 5.0, clock or Clock())
    made.assigned([(topic, number) for topic in (*TOPICS, "retries") for number in range(2)])
    return made


@given(st.lists(st.integers(0, 100), max_size=20), st.lists(st.integers(0, 100), max_size=20), st.data())
def test_a_backlog_comes_in_the_order_in_which_it_was_written(
    one: list[int], other: list[int], data: st.DataObject
) -> None:
    made = merge()
    left = {TOPICS[0]: sorted(one), TOPICS[1]: sorted(other)}
    came: list[Raw] = []
    while any(left.values()):
        topic = data.draw(st.sampled_from([topic for topic, rest in left.items() if rest]))
        made.add(raw(topic, left[topic].pop(0)))
        if not left[topic]:
            made.ended((topic, 0))
        came += made.take(data.draw(st.integers(0, 3)))
    for topic in TOPICS:
        made.ended((topic, 0))
    came += made.take(100)
    assert [one.at for one in came] == sorted(one + other)


def test_what_may_still_hold_something_earlier_is_waited_for_but_not_by_other_partitions() -> None:
    made = merge()
    made.add(raw("sql-events", 5, 0))
    made.add(raw("sql-events", 7, 1))
    for topic in TOPICS:
        made.ended((topic, 1))
    assert [one.at for one in made.take(10)] == [7]
    for topic in TOPICS:
        made.ended((topic, 0))
    assert [one.at for one in made.take(10)] == [5]


def test_once_read_to_its_end_a_topic_is_not_waited_for_until_it_falls_behind() -> None:
    made = merge()
    for topic in TOPICS:
        made.ended((topic, 0))
    made.add(raw("sql-events", 5))
    assert len(made.take(10)) == 1
    made.behind(("lifecycle-events", 0))
    made.add(raw("sql-events", 6))
    assert made.take(10) == []


def test_a_topic_that_neither_gives_nor_ends_is_waited_for_only_so_long() -> None:
    clock = Clock()
    made = merge(clock)
    made.add(raw("sql-events", 5))
    assert made.take(10) == []
    clock.now = 6.0
    assert [one.at for one in made.take(10)] == [5]


def test_letters_that_come_back_wait_for_nothing_and_what_was_given_away_is_forgotten() -> None:
    made = merge()
    made.add(raw("retries", 5))
    assert len(made.take(10)) == 1
    made.add(raw("sql-events", 5))
    made.revoked([("sql-events", 0), ("lifecycle-events", 0)])
    made.add(raw("sql-events", 6))
    assert made.take(10) == []


def test_what_was_written_in_one_instant_goes_together_however_little_is_asked_for() -> None:
    made = merge()
    for _ in range(3):
        made.add(raw("lifecycle-events", 5))
    made.ended(("lifecycle-events", 0))
    made.add(raw("sql-events", 5))
    assert made.take(10) == [], "the other topic may hold more of that instant"
    made.add(raw("sql-events", 6))
    assert [one.at for one in made.take(1)] == [5, 5, 5, 5]
