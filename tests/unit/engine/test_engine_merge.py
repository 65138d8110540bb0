from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from counting import CountingLogic
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.merge import SETTLE_MS, Decoded, SourceBuffer, take
from streams.engine.seam import PlainRecord, Record, Unavailable


def decode(records: Sequence[Record]) -> list[Decoded]:
    return [(record, CountingLogic().decode(record)) for record in records]


def records(topic: str, times: list[int | None], first: int = 0) -> list[PlainRecord]:
    return [
        PlainRecord(topic, 0, first + i, 0, b"k", b"bad" if at is None else b"%d" % at) for i, at in enumerate(times)
    ]


def source(topic: str, times: list[int | None]) -> SourceBuffer:
    buffer = SourceBuffer(topic, applied=-1)
    buffer.accept(records(topic, times))
    return buffer


def order(taken: list) -> list[tuple[str, int | None]]:
    return [(record.topic, item.time) for record, item in taken]


def test_the_smallest_event_time_goes_first_and_ties_go_by_the_order_of_topics() -> None:
    sources = [source("views", [1, 4, 5]), source("opens", [2, 4, 9])]
    taken = take(sources, decode, lambda s, since: True, 100)
    assert order(taken) == [
        ("views", 1), ("opens", 2), ("views", 4), ("opens", 4), ("views", 5), ("opens", 9),
    ]  # fmt: skip


def test_within_a_topic_nothing_is_reordered() -> None:
    taken = take([source("views", [5, 1, 6]), source("opens", [4, 5])], decode, lambda s, since: True, 100)
    assert [t for topic, t in order(taken) if topic == "views"] == [5, 1, 6]


def test_an_empty_topic_that_lags_blocks_everything() -> None:
    sources = [source("views", [1]), source("opens", [])]
    assert take(sources, decode, lambda s, since: s.topic != "opens", 100) == []
    assert len(take(sources, decode, lambda s, since: True, 100)) == 1


def test_a_topic_that_runs_empty_while_it_lags_blocks_from_there() -> None:
    sources = [source("views", [1, 2, 9]), source("opens", [5])]
    assert order(take(sources, decode, lambda s, since: s.topic != "opens", 100)) == [
        ("views", 1), ("views", 2), ("opens", 5),
    ]  # fmt: skip


def test_a_record_without_a_time_waits_for_nobody() -> None:
    sources = [source("views", [7, None]), source("opens", [8])]
    assert order(take(sources, decode, lambda s, since: True, 100)) == [
        ("views", 7),
        ("views", None),
        ("opens", 8),
    ]


def test_a_batch_ends_at_its_limit_and_the_next_goes_on() -> None:
    sources = [source("views", [1, 3]), source("opens", [2, 4])]
    assert [t for _, t in order(take(sources, decode, lambda s, since: True, 3))] == [1, 2, 3]
    assert [t for _, t in order(take(sources, decode, lambda s, since: True, 3))] == [4]
    assert all(s.records == 0 and s.bytes == 0 for s in sources)


def test_records_that_were_applied_are_dropped_before_they_are_decoded() -> None:
    buffer = SourceBuffer("views", applied=4)
    buffer.accept(records("views", [None] * 5 + [77], first=0))
    assert [r.offset for r, _ in take([buffer], decode, lambda s, since: True, 9)] == [5]


def test_a_chunk_that_comes_twice_is_taken_once() -> None:
    buffer = source("views", [1, 2])
    buffer.accept(records("views", [1, 2, 3]))
    assert [r.offset for r, _ in take([buffer], decode, lambda s, since: True, 9)] == [0, 1, 2]


def test_what_can_not_be_decoded_yet_stays_in_the_buffer() -> None:
    away = [True]

    def flaky(chunk: Sequence[Record]) -> Any:
        if away[0]:
            raise Unavailable("registry")
        return decode(chunk)

    buffer = source("views", [1, 2])
    for _ in range(2):
        try:
            take([buffer], flaky, lambda s, since: True, 9)
        except Unavailable:
            away[0] = False
    buffer = source("views", [1, 2])
    assert len(take([buffer], flaky, lambda s, since: True, 9)) == 2


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=30), min_size=1, max_size=5),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_the_order_does_not_depend_on_chunks_or_batches(times, limit, random) -> None:  # type: ignore[no-untyped-def]
    """The plain twin: merge whole logs, always the smallest head."""
    logs = [records(f"t{i}", list(ts)) for i, ts in enumerate(times)]
    heads, expected = [0] * len(logs), []
    while any(h < len(log) for h, log in zip(heads, logs, strict=True)):
        i = min((i for i, log in enumerate(logs) if heads[i] < len(log)), key=lambda i: (times[i][heads[i]], i))
        expected.append(logs[i][heads[i]])
        heads[i] += 1

    sources = [SourceBuffer(f"t{i}", -1) for i in range(len(logs))]
    given_out = [0] * len(logs)
    taken: list[PlainRecord] = []
    while len(taken) < len(expected):
        i = random.randrange(len(logs))
        chunk = random.randint(1, 7)
        sources[i].accept(logs[i][given_out[i] : given_out[i] + chunk])
        given_out[i] = min(len(logs[i]), given_out[i] + chunk)
        ended = {f"t{i}": given_out[i] == len(log) for i, log in enumerate(logs)}
        taken += [record for record, _ in take(sources, decode, lambda s, since: ended[s.topic], limit)]  # noqa: B023
    assert taken == expected


def test_history_waits_until_the_other_topics_were_seen_empty_after_it_came() -> None:
    views = SourceBuffer("views", -1, is_live=lambda event_time, arrival: False)
    views.accept(records("views", [5]), there_since=1_000)
    asked: list[int] = []

    def empty_since(source: SourceBuffer, since: int) -> bool:
        asked.append(since)
        return since <= 1_200

    assert take([views, SourceBuffer("opens", -1)], decode, empty_since, 10) == []
    assert asked == [1_000 + SETTLE_MS]


def test_live_records_wait_for_nothing() -> None:
    views = SourceBuffer("views", -1, is_live=lambda event_time, arrival: True)
    views.accept(records("views", [5]), there_since=1_000)
    assert order(take([views, SourceBuffer("opens", -1)], decode, lambda s, since: since == 0, 10)) == [("views", 5)]


def test_what_was_taken_is_not_lost_when_the_next_chunk_can_not_be_decoded_yet() -> None:
    views = SourceBuffer("views", -1)
    views.accept(records("views", [1, 2]))
    views.accept(records("views", [3], first=2))
    away = True

    def sometimes(chunk: Sequence[Record]) -> Any:
        if away and chunk[0].offset == 2:
            raise Unavailable("the registry")
        return decode(chunk)

    assert order(take([views], sometimes, lambda s, since: True, 10)) == [("views", 1), ("views", 2)]
    with pytest.raises(Unavailable):
        take([views], sometimes, lambda s, since: True, 10)
    away = False
    assert order(take([views], sometimes, lambda s, since: True, 10)) == [("views", 3)]
