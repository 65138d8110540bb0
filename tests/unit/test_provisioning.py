from __future__ import annotations

import pytest

from streams.provisioning import Drift, outlived
from streams.topics import OUTPUT_TOPICS, RETENTION_MS, TOPICS

DAY = 86_400_000
ALL = tuple(TOPICS.values())
INPUTS = [topic.name for topic in ALL if topic.role == "input"]


def test_erasures_that_are_kept_for_less_time_than_any_event_are_drift() -> None:
    kept = {**dict.fromkeys(INPUTS, 30 * DAY), "downloads": 90 * DAY, "erasures": 60 * DAY}
    wanted = f"at least {90 * DAY} ms, as downloads"
    assert outlived(ALL, kept) == [Drift("erasures", "retention", f"{60 * DAY} ms", wanted)]


@pytest.mark.parametrize(
    "kept",
    [
        {},  # all to be made as the table says
        dict.fromkeys(INPUTS, 7 * DAY),
        {**dict.fromkeys(INPUTS, 7 * DAY), "erasures": -1},
        {**dict.fromkeys(INPUTS, RETENTION_MS), "erasures": 2 * RETENTION_MS},
    ],
)
def test_erasures_that_are_kept_as_long_as_events_are_not(kept: dict[str, int]) -> None:
    assert outlived(ALL, kept) == []


def test_events_that_are_kept_for_ever_want_erasures_that_are() -> None:
    (drift,) = outlived(ALL, {"page-views": -1, "erasures": 2 * RETENTION_MS})
    assert str(drift) == f"erasures: retention is {2 * RETENTION_MS} ms, should be at least for ever, as page-views"


def test_a_topic_that_is_not_there_yet_will_be_kept_as_the_table_says() -> None:
    (drift,) = outlived(ALL, {"erasures": 7 * DAY})
    assert drift.wanted.startswith(f"at least {RETENTION_MS} ms")


def test_who_does_not_need_erasures_is_not_told_of_them() -> None:
    assert outlived(OUTPUT_TOPICS, {"mql-events": DAY}) == []
