from __future__ import annotations

from collections.abc import Mapping

from faust.types import TP

from streams.engine.config import EngineConfig
from streams.engine.watchdog import Watchdog

A, B = TP("views", 0), TP("views", 1)
CONFIG = EngineConfig("app", "127.0.0.1:1", ("views",), "log", 2, 0)
BEHIND: Mapping[TP, int] = {A: 3, B: 5}
ENDS: Mapping[TP, int] = {A: 9, B: 5}


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def looks(watchdog: Watchdog, time: Time, times: int, done: Mapping[TP, int] = BEHIND) -> list[TP | None]:
    """What the watchdog says each time it looks."""
    said = []
    for _ in range(times):
        said.append(watchdog.stalled(done, ENDS, waits=False))
        time.now += watchdog.check_s
    return said


def test_a_process_that_is_behind_and_does_nothing_is_noticed() -> None:
    time = Time()
    watchdog = Watchdog(CONFIG, time)
    needed = round(CONFIG.stalled_s / watchdog.check_s)
    assert looks(watchdog, time, needed + 1) == [None] * needed + [A]


def test_progress_waiting_being_caught_up_or_an_absent_broker_are_no_stall() -> None:
    for done, ends, waits in (
        ({A: 4}, {A: 9}, False),
        ({A: 3}, {A: 9}, True),
        ({A: 9}, {A: 9}, False),
        ({A: 3}, None, False),
    ):
        time = Time()
        watchdog = Watchdog(CONFIG, time)
        looks(watchdog, time, 6)
        assert watchdog.stalled(done, ends, waits) is None
        assert looks(watchdog, time, 5) == [None] * 5


def test_the_time_in_which_the_process_itself_was_frozen_does_not_count() -> None:
    time = Time()
    watchdog = Watchdog(CONFIG, time)
    looks(watchdog, time, 2)
    time.now += 10 * CONFIG.stalled_s
    assert looks(watchdog, time, 1) == [None]


def test_a_broker_that_is_away_has_no_ends() -> None:
    assert Watchdog(CONFIG).stable_ends([A]) is None


def test_one_look_without_an_answer_forgets_nothing_and_two_are_an_outage() -> None:
    for unanswered, noticed in ((1, True), (2, False)):
        time = Time()
        watchdog = Watchdog(CONFIG, time)
        needed = round(CONFIG.stalled_s / watchdog.check_s)
        looks(watchdog, time, needed)
        for _ in range(unanswered):
            assert watchdog.stalled(BEHIND, None, waits=False) is None
        assert looks(watchdog, time, 2) == [None, A if noticed else None]
