from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.relay.breaker import Breaker
from streams.relay.lanes import Item, Lanes
from streams.relay.offsets import Offsets
from tests.relay_records import AT, DAY, item, lifecycle, qualification, score


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def items(leads: list[int]) -> list[Item]:
    return [item(lifecycle(f"lead-{lead}", n + 1, "lead", "mql"), offset=n) for n, lead in enumerate(leads)]


@given(st.lists(st.integers(0, 5), max_size=40), st.data())
def test_each_lead_goes_in_order_one_at_a_time_and_all_get_through(leads: list[int], data: st.DataObject) -> None:
    clock = Clock()
    lanes, done, flying = Lanes(clock), [], list[Item]()
    for one in items(leads):
        lanes.add(one)
    while len(lanes) or flying:
        flying += lanes.take(data.draw(st.integers(1, 4)))
        assert len({one.lead_id for one in flying}) == len(flying)
        if flying and data.draw(st.booleans()):
            one = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            if data.draw(st.booleans()):
                lanes.finish(one)
                done.append(one)
            else:
                one.not_before = clock.now + 1
                lanes.put_back(one)
        clock.now += 0.5
    assert len(done) == len(leads)
    for lead in set(leads):
        offsets = [one.offset for one in done if one.lead_id == f"lead-{lead}"]
        assert offsets == sorted(offsets)


def test_what_waits_for_its_time_keeps_its_lead_waiting_and_no_other() -> None:
    clock = Clock()
    lanes = Lanes(clock)
    for one in items([1, 1, 2]):
        lanes.add(one)
    first, second = lanes.take(10)
    first.not_before = 5.0
    lanes.put_back(first)
    lanes.finish(second)
    assert lanes.take(10) == []
    assert lanes.next_in_s() == 5.0
    clock.now = 5.0
    assert [one.offset for one in lanes.take(10)] == [0]


def test_what_another_consumer_has_now_is_dropped() -> None:
    lanes = Lanes(Clock())
    for one in items([1, 2]):
        lanes.add(one)
    lanes.drop([("lifecycle-events", 0)])
    assert (len(lanes), lanes.take(10), lanes.next_in_s()) == (0, [], None)


@given(st.permutations(range(20)), st.integers(0, 20))
def test_offsets_move_only_past_what_is_finished(order: list[int], finished: int) -> None:
    offsets, place = Offsets(), ("t", 0)
    for number in range(20):
        offsets.read(place, 3 * number)  # offsets of a topic written in transactions have gaps
    for number in order[:finished]:
        offsets.finish(place, 3 * number)
    done = set(order[:finished])
    prefix = next((n for n in range(20) if n not in done), 20)
    assert offsets.due() == ({place: 3 * (prefix - 1) + 1} if prefix else {})
    assert offsets.held == 20 - prefix
    assert offsets.unfinished == 20 - finished


def test_what_was_committed_is_not_due_again_and_what_was_given_away_never() -> None:
    offsets, place = Offsets(), ("t", 0)
    offsets.read(place, 0)
    offsets.read(place, 1)
    offsets.finish(place, 0)
    offsets.committed(offsets.due())
    assert offsets.due() == {}
    offsets.forget(place)
    offsets.finish(place, 1)
    assert offsets.due() == {}


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    clock = Clock()
    breaker = Breaker(failures=3, open_s=10.0, clock=clock)
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert breaker.may_start(5)
    breaker.failed()
    assert (breaker.open, breaker.may_start(0), breaker.wait_s()) == (True, False, 10.0)
    clock.now = 10.0
    assert (breaker.may_start(0), breaker.may_start(1)) == (True, False)
    breaker.failed()
    assert breaker.wait_s() == 10.0
    clock.now = 20.0
    breaker.succeeded()
    assert (breaker.open, breaker.may_start(5)) == (False, True)


def test_a_target_that_asks_to_be_left_alone_is() -> None:
    breaker = Breaker(failures=3, open_s=10.0, clock=Clock())
    breaker.failed(2.5)
    assert (breaker.may_start(0), breaker.wait_s()) == (False, 2.5)


def test_what_waits_of_a_lead_goes_in_the_order_of_its_count_whatever_topic_came_first() -> None:
    lanes = Lanes(Clock())
    erased = lifecycle("lead", 5, "sql", "visitor", "ERASED", at=AT + 2 * DAY)
    records = [qualification("lead", 4, at=AT + DAY), score("lead", 4, at=AT + DAY), lifecycle("lead", 3, "mql", "sql")]
    records += [lifecycle("lead", 1, "visitor", "lead", at=AT + 3 * DAY), erased, lifecycle("lead", 2, "lead", "mql")]
    for one in records:
        lanes.add(item(one))
    came = []
    while taken := lanes.take(1):
        came.append(taken[0].record)
        lanes.finish(taken[0])
    assert [records.index(one) for one in came] == [5, 2, 0, 1, 4, 3]


def test_a_fresh_event_waits_a_moment_for_one_that_is_missing_before_it() -> None:
    clock = Clock()
    lanes = Lanes(clock)

    def add(record: dict[str, object]) -> None:
        lanes.add(item(record, hold_until=clock.now + 0.25))

    def take() -> list[int]:
        taken = lanes.take(10)
        for one in taken:
            lanes.finish(one)
        return [one.record["sequence"] for one in taken]

    add(lifecycle("lead", 1, "visitor", "lead"))
    assert take() == [1], "the first of a lead has nothing before it"
    add(qualification("lead", 3))
    assert (take(), lanes.next_in_s()) == ([], 0.25)
    add(lifecycle("lead", 2, "lead", "sql"))
    assert (take(), take()) == ([2], [3])
    add(qualification("lead", 9))
    clock.now = 0.3
    assert take() == [9], "what never comes is not waited for"


def test_a_letter_that_comes_back_overtakes_nothing() -> None:
    lanes = Lanes(Clock())
    lanes.add(item(lifecycle("lead", 7, "mql", "sql")))
    lanes.add(item(qualification("lead", 3), retried=True))
    assert [one.record["sequence"] for one in lanes.take(1)] == [7]
