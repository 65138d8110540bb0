"""Caches that nobody can fill with what they like."""

from __future__ import annotations

from streams.collector.remembered import remembered


def test_short_texts_are_worked_out_once_and_long_ones_are_not_kept() -> None:
    asked = []

    @remembered(10)
    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    short, long = "x" * 512, "x" * 513
    assert [length(short), length(short), length(long), length(long)] == [512, 512, 513, 513]
    assert asked == [short, long, long]
