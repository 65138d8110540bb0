"""The picture fits the terminal and holds what matters, at any size."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from streams.local.demo.advice import Advice
from streams.local.demo.board import Board
from streams.local.demo.office_hours import HISTORY_MS
from streams.local.demo.scene import Scene
from streams.local.demo.view import picture
from tests.demo_records import NOON, default_model, lifecycle, page_view, qualification, seen

NAME = "Researcher at Example Software"


def scene(*, live: bool = False, keys: bool = True) -> Scene:
    board = Board(default_model())
    board.tick(0.0)
    for number in range(60):
        board.take(page_view(f"visitor-{number:03}", NOON))
    board.take(seen("lead-profiles", event_id="1", lead_id="r", occurred_at=NOON, name=NAME, job_title="Researcher"))
    board.take(page_view("r", NOON + 1))
    board.take(page_view("r", NOON + 2))
    board.take(lifecycle("r", "lead", "mql", "QUALIFIED"))
    board.take(qualification("mql-events", "r", "MQL", NAME))
    board.take(lifecycle("other", "mql", "lead", "COOLED", "interest fell below 10"))
    board.take(page_view("you", NOON, url="https://www.vendor.example/"))
    board.tick(1.0)
    advice = Advice("you: 14 of 20, one more pricing visit to MQL", ["a demo booking makes an SQL at once"])
    you = "you" if live else None
    return Scene(board, NOON - HISTORY_MS // 2, NOON + HISTORY_MS // 2, NOON, live, keys, you, advice if live else None)


def drawn(one: Scene, width: int, height: int) -> list[str]:
    out = StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture(one, width, height), end="")
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (160, 50), (240, 70)])
def test_the_picture_is_exactly_as_large_as_the_terminal(width: int, height: int) -> None:
    for live in (False, True):
        lines = drawn(scene(live=live), width, height)
        assert len(lines) == height
        assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(("width", "height"), [(20, 6), (40, 10), (79, 12)])
def test_a_terminal_that_is_too_small_is_no_failure(width: int, height: int) -> None:
    assert drawn(scene(live=True), width, height)


def test_the_smallest_proper_terminal_shows_everything_that_matters() -> None:
    text = "\n".join(drawn(scene(), 80, 24))
    for part in ("day 16 of 30", "64 events", "page-views", "dead-letters", "Researcher, Software"):
        assert part in text
    assert "MQL Researcher at Example Software, would cool on 22 Dec" in text
    assert "Interest 24.0 reached 20." in text


def test_a_wide_terminal_also_shows_what_else_happened() -> None:
    text = "\n".join(drawn(scene(), 160, 50))
    assert "mql -> lead: interest fell below 10" in text
    assert f"{NAME}  " in text


def test_when_it_is_your_turn_the_keys_and_your_standing_are_there() -> None:
    lines = drawn(scene(live=True), 80, 24)
    assert lines[-3].strip() == "you: 14 of 20, one more pricing visit to MQL"
    assert lines[-2].strip() == "a demo booking makes an SQL at once"
    for part in (" p  pricing page", " d  download", " b  book a demo", " q  quit"):
        assert part in lines[-1]


def test_you_are_on_the_board_even_when_you_are_cold() -> None:
    assert any(line.split("  ")[-1] and " you " in line for line in drawn(scene(live=True), 80, 24)[:15])


def test_without_a_keyboard_no_keys_are_offered() -> None:
    lines = drawn(scene(live=True, keys=False), 80, 24)
    assert "pricing page" not in lines[-1]
    assert "Ctrl-C" in lines[-1]
