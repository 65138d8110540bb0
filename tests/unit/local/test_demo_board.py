"""The board shows what the topics say, and works out warmth between two scores."""

from __future__ import annotations

import pytest

from streams.local.demo.board import Board
from streams.local.demo.watcher import Seen
from tests.demo_records import DAY_MS, NOON, default_model, lifecycle, page_view, qualification, seen


def test_a_lead_warms_with_its_events_and_cools_with_time() -> None:
    board = Board(default_model())
    board.take(page_view("a", NOON))
    board.take(page_view("a", NOON + 1000))
    warm = board.row("a", NOON + 1000)
    assert warm.interest == pytest.approx(20, abs=0.01)
    assert warm.warming
    cooled = board.row("a", NOON + 30 * DAY_MS)
    assert cooled.interest == pytest.approx(10, abs=0.01)
    assert cooled.peak == warm.peak
    assert not cooled.warming


def test_the_warmest_lead_comes_first() -> None:
    board = Board(default_model())
    board.take(page_view("cold", NOON, url="https://www.vendor.example/"))
    board.take(page_view("warm", NOON))
    assert [row.lead_id for row in board.warmest(5, NOON)] == ["warm", "cold"]
    assert len(board.warmest(1, NOON)) == 1


def test_the_stage_is_what_the_worker_said_and_not_what_we_would_say() -> None:
    board = Board(default_model())
    profile = {"email": "a@b.example", "employees": 500, "job_title": "Head of growth", "name": "Ada"}
    board.take(seen("lead-profiles", event_id="1", lead_id="a", occurred_at=NOON, **profile))
    board.take(page_view("a", NOON + 1000))
    board.take(page_view("a", NOON + 2000))
    board.take(page_view("a", NOON + 3000, url="https://www.vendor.example/case-studies/x"))
    assert board.leads["a"].stage == "mql"
    assert board.row("a", NOON + 3000).stage == "visitor"
    board.take(lifecycle("a", "lead", "mql", "QUALIFIED"))
    row = board.row("a", NOON + 3000)
    assert (row.stage, row.name, row.band) == ("mql", "Ada", "B")


def test_a_qualification_is_told_once_with_its_reason() -> None:
    board = Board(default_model())
    remark = board.take(qualification("mql-events", "a", "MQL", "Ada"))
    assert remark is not None
    assert (remark.name, remark.what, remark.reason) == ("Ada", "MQL", "Interest 24.0 reached 20.")
    assert remark.until == NOON + 30 * DAY_MS
    assert board.take(lifecycle("a", "lead", "mql", "QUALIFIED", "Interest 24.0 reached 20.")) is None
    assert list(board.qualifications) == [remark]
    assert not board.remarks


def test_other_changes_are_told_in_words() -> None:
    board = Board(default_model())
    assert board.take(lifecycle("a", "visitor", "lead", "IDENTIFIED")) is None
    cooled = board.take(lifecycle("a", "mql", "lead", "COOLED", "interest fell below 10"))
    warned = board.take(lifecycle("b", "lead", "lead", "LOW_TOUCH", "interest 61.0 with fit 0"))
    assert [(one.name, one.what) for one in board.remarks] == [("a", "mql -> lead"), ("b", "low touch")]
    assert list(board.remarks) == [cooled, warned]


def test_a_dead_letter_is_told_with_its_place() -> None:
    board = Board(default_model())
    remark = board.take(
        seen(
            "dead-letters",
            consumer="worker",
            topic="page-views",
            partition=3,
            offset=17,
            size=5,
            sha256="0" * 64,
            error="UNDECODABLE",
            detail="not Avro",
            seen_at=NOON,
        )
    )
    assert remark is not None
    assert (remark.name, remark.reason) == ("page-views/3 at 17", "UNDECODABLE: not Avro")


def test_what_cannot_be_decoded_is_counted_and_no_more() -> None:
    board = Board(default_model())
    assert board.take(Seen("page-views", 0, NOON, None)) is None
    assert (board.events, len(board.leads)) == (1, 0)


def test_events_are_inputs_only() -> None:
    board = Board(default_model())
    board.take(page_view("a", NOON))
    board.take(lifecycle("a", "visitor", "lead", "IDENTIFIED"))
    assert board.events == 1


def test_a_rate_is_that_of_the_last_seconds() -> None:
    board = Board(default_model())
    assert board.rate("page-views") == 0
    board.tick(100.0)
    for second in range(10):
        board.take(page_view("a", NOON + second))
    board.tick(102.0)
    assert board.rate("page-views") == pytest.approx(5.0)
    board.tick(104.0)
    board.tick(106.0)
    assert board.rate("page-views") == 0
