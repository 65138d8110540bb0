from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.relay.memory import NOTHING, Memory, News, Remembered, news_of
from tests.relay_records import AT, DAY, lifecycle, qualification, score


def _history() -> list[dict[str, Any]]:
    """One lead's records in order, each at a later time."""
    records = []
    for number in range(1, 13):
        at = AT + number * DAY
        made = lifecycle("lead", number, "lead", "mql", at=at)
        if number % 3 == 0:
            made = qualification("lead", number, at=at)
        records += [made, score("lead", number, at=at + 1)]
    return records


HISTORY = _history()


@given(st.lists(st.sampled_from(range(len(HISTORY))), min_size=1, max_size=60))
def test_in_any_order_with_any_repeats_the_crm_never_goes_back(order: list[int]) -> None:
    known, state, qualified = NOTHING, (0, -1), 0
    for number in order:
        record = HISTORY[number]
        news = news_of(record, known)
        if isinstance(news, News):
            if news.state:
                assert (record["sequence"], record.get("as_of", record.get("occurred_at"))) > state
                state = (record["sequence"], record.get("as_of") or record["occurred_at"])
            if news.qualification:
                assert record["sequence"] > qualified
                qualified = record["sequence"]
            known = news.remember
    newest = HISTORY[max(order)]
    assert known.sequence == newest["sequence"]


def test_a_qualification_that_comes_late_is_news_but_not_of_the_state() -> None:
    known = Remembered(sequence=4, at=AT)
    news = news_of(qualification("lead", 3), known)
    assert isinstance(news, News)
    assert (news.state, news.qualification) == (False, True)
    assert news.remember == Remembered(sequence=4, at=AT, qualification=3)


def test_an_erasure_forgets_the_sequence_and_stops_what_is_older() -> None:
    known = Remembered(9, AT, 9, -1, "100")
    news = news_of(lifecycle("lead", 10, "sql", "visitor", "ERASED", at=AT + DAY), known)
    assert isinstance(news, News)
    assert news.remember == Remembered(erased_at=AT + DAY)
    assert news_of(qualification("lead", 8), news.remember) == "erased"
    assert isinstance(news_of(lifecycle("lead", 1, "visitor", "lead", at=AT + 2 * DAY), news.remember), News)


def test_memory_is_each_targets_and_each_leads_own_and_names_nobody() -> None:
    memory, other = Memory("crm"), Memory("crm-2")
    for one in (memory, other):
        one.take_over(0, {})
    key, value = memory.keep(0, "email:vera@buyer.example", Remembered(3, AT, 3, -1, "7"))
    assert memory.of(0, "email:vera@buyer.example").sequence == 3
    assert memory.of(0, "another") == NOTHING
    assert b"vera" not in key + value
    restored = Memory("crm")
    restored.take_over(0, {key: value})
    other.take_over(0, {key: value})
    assert restored.of(0, "email:vera@buyer.example") == Remembered(3, AT, 3, -1, "7")
    assert other.of(0, "email:vera@buyer.example") == NOTHING
    restored.give_away(0)
    assert restored.of(0, "email:vera@buyer.example") == NOTHING
