from __future__ import annotations

from faust.types import TP

from streams.engine.config import EngineConfig
from streams.engine.watchdog import STALLED_SECONDS, Watchdog

A, B = TP("views", 0), TP("views", 1)
CONFIG = EngineConfig("app", "127.0.0.1:1", ("views",), "log", 2, 0)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_process_that_is_behind_and_does_nothing_is_noticed() -> None:
    time = Time()
    watchdog = Watchdog(CONFIG, time)
    ends = {A: 9, B: 5}
    assert watchdog.stalled({A: 3, B: 5}, ends, waits=False) is None
    time.now = STALLED_SECONDS - 1
    assert watchdog.stalled({A: 3, B: 5}, ends, waits=False) is None
    time.now = STALLED_SECONDS
    assert watchdog.stalled({A: 3, B: 5}, ends, waits=False) == A


def test_progress_waiting_being_caught_up_or_an_absent_broker_are_no_stall() -> None:
    for done, ends, waits in (
        ({A: 4}, {A: 9}, False),
        ({A: 3}, {A: 9}, True),
        ({A: 9}, {A: 9}, False),
        ({A: 3}, None, False),
    ):
        time = Time()
        watchdog = Watchdog(CONFIG, time)
        watchdog.stalled({A: 3}, {A: 9}, waits=False)
        time.now = STALLED_SECONDS * 0.9
        assert watchdog.stalled(done, ends, waits) is None
        time.now = STALLED_SECONDS * 1.8
        assert watchdog.stalled(done, ends, waits) is None


def test_a_broker_that_is_away_has_no_ends() -> None:
    assert Watchdog(CONFIG).stable_ends([A]) is None
