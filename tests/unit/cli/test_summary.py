from __future__ import annotations

import pytest

from streams.cli.summary import _WHAT, one_line
from streams.topics import TOPICS

AT = 1_790_000_000_123


def test_every_topic_of_the_table_has_a_form() -> None:
    assert _WHAT.keys() == TOPICS.keys()


@pytest.mark.parametrize(
    ("topic", "event", "line"),
    [
        (
            "page-views",
            {"lead_id": "anna", "occurred_at": AT, "url": "https://example.com/pricing", "title": None},
            "2026-09-21 14:13:20.123 page-views       anna  https://example.com/pricing",
        ),
        (
            "sql-events",
            {
                "lead_id": "anna",
                "occurred_at": AT,
                "stage": "SQL",
                "path": "demo",
                "interest": 71.25,
                "fit": 70.0,
                "fit_band": "A",
                "reason": "Asked.",
            },
            "2026-09-21 14:13:20.123 sql-events       anna  SQL by demo  interest 71.2, fit 70 (A)  Asked.",
        ),
        (
            "lead-profiles",
            {
                "lead_id": "a",
                "occurred_at": AT,
                "email": "a@example.com",
                "budget": "UNKNOWN",
                "attributes": {},
            },
            "2026-09-21 14:13:20.123 lead-profiles    a  email=a@example.com",
        ),
        (
            "identity-links",
            {"lead_id": "anna", "occurred_at": AT, "anonymous_id": "v1", "revoked": False},
            "2026-09-21 14:13:20.123 identity-links   anna  is v1",
        ),
    ],
)
def test_a_record_is_one_line(topic: str, event: dict[str, object], line: str) -> None:
    assert one_line(topic, "key", event) == line


def test_an_erased_score_is_said_to_be() -> None:
    assert one_line("lead-scores", "anna", None).split() == ["lead-scores", "anna", "erased"]


def test_what_came_from_outside_cannot_steer_the_terminal() -> None:
    event = {"lead_id": "\x1b[2Jx\n", "occurred_at": AT, "url": "u\r\u202e", "title": None}
    line = one_line("page-views", "k", event)
    assert line.isprintable()


@pytest.mark.parametrize("at", [2**63 - 1, -(2**63), 253_402_300_800_000, -62_135_596_800_001])
def test_a_time_that_no_calendar_has_is_shown_as_its_number(at: int) -> None:
    event = {"lead_id": "anna", "occurred_at": at, "url": "u", "title": None}
    assert one_line("page-views", "k", event) == f"{at:<23} page-views       anna  u"


def test_a_line_has_an_end() -> None:
    event = {"lead_id": "x", "occurred_at": AT, "url": "u" * 100_000, "title": None}
    assert len(one_line("page-views", "k", event)) < 400
