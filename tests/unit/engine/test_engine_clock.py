from __future__ import annotations

from streams.engine.clock import Clock

GRACE, DAY = 120_000, 86_400_000


def test_the_clock_is_stream_time_minus_grace_while_behind() -> None:
    assert Clock("wall", GRACE).read(DAY, live=True, caught_up=False, wall=9 * DAY) == DAY - GRACE


def test_the_wall_clock_drives_when_caught_up_and_live() -> None:
    assert Clock("wall", GRACE).read(DAY, live=True, caught_up=True, wall=9 * DAY) == 9 * DAY - GRACE


def test_after_an_import_time_stands_still() -> None:
    assert Clock("wall", GRACE).read(DAY, live=False, caught_up=True, wall=9 * DAY) == DAY - GRACE


def test_the_stream_clock_never_uses_the_wall_clock() -> None:
    assert Clock("stream", GRACE).read(DAY, live=True, caught_up=True, wall=9 * DAY) == DAY - GRACE


def test_the_clock_never_goes_back() -> None:
    clock = Clock("wall", GRACE)
    clock.read(DAY, live=True, caught_up=True, wall=9 * DAY)
    assert clock.read(DAY + 1, live=False, caught_up=False, wall=9 * DAY) == 9 * DAY - GRACE


def test_before_the_first_event_there_is_no_time() -> None:
    assert Clock("wall", GRACE).read(None, live=False, caught_up=True, wall=DAY) is None


def test_a_record_is_live_when_it_arrives_within_grace() -> None:
    clock = Clock("wall", GRACE)
    assert clock.is_live(event_time=DAY, arrival=DAY + GRACE)
    assert not clock.is_live(event_time=DAY, arrival=DAY + GRACE + 1)
