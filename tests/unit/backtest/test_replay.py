from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from streams.backtest.replay import Rejected, read_events, replay
from streams.backtest.report import summary, write_scores
from streams.modelfile import read_model
from streams.wire.jsonlines import Line, parse_line

DAY = 86_400_000
START = 1_793_523_600_000
NOW = START + 1000 * DAY
MODEL = read_model()


def event(topic: str, lead_id: str, at: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    text = json.dumps({"topic": topic, "event": {"lead_id": lead_id, "occurred_at": at, **fields}})
    line = parse_line(text.encode())
    assert isinstance(line, Line), line
    return line.topic, line.event


HISTORY = [
    event("lead-profiles", "won", START, email="a@b.example", employees=500, job_title="Director"),
    event("downloads", "won", START + 1, asset_id="prices", funnel_stage="BOTTOM"),
    event("demo-bookings", "won", START + DAY, booking_id="b", status="BOOKED"),
    event("sales-feedback", "won", START + 2 * DAY, disposition="WON"),
    event("page-views", "lost", START + DAY, url="https://example.com/"),
    event("sales-feedback", "lost", START + 2 * DAY, disposition="LOST"),
    event("page-views", "visitor", START + 3 * DAY, url="https://example.com/"),
]


def test_the_summary_relates_qualification_to_what_was_bought() -> None:
    numbers = summary(replay(HISTORY, MODEL, NOW))
    assert (numbers["events"], numbers["leads"]) == (7, 3)
    assert (numbers["mql_events"], numbers["sql_events"], numbers["sql_paths"]) == (1, 1, {"demo": 1})
    assert numbers["stages"] == {"customer": 1, "lead": 1, "visitor": 1}
    assert numbers["outcomes"] == {
        "won": {"leads": 1, "qualified": 1, "share": 1.0},
        "lost": {"leads": 1, "qualified": 0, "share": 0.0},
    }


def test_scores_are_as_of_the_last_event_and_best_first() -> None:
    out = io.StringIO()
    write_scores(replay(HISTORY, MODEL, NOW), out)
    header, *rows = [line.split(",") for line in out.getvalue().splitlines()]
    assert header == ["lead_id", "score", "interest", "fit", "stage"]
    assert [row[0] for row in rows] == ["won", "visitor", "lost"]
    won = dict(zip(header, rows[0], strict=True))
    content, intent = 20 * 2 ** -((3 * DAY - 1) / (60 * DAY)), 60 * 2 ** -(2 / 45)
    assert float(won["interest"]) == pytest.approx(content + intent, abs=1e-9)
    assert float(won["score"]) == pytest.approx(float(won["interest"]) + 50)
    assert won["stage"] == "customer"


def test_the_order_of_the_input_does_not_matter() -> None:
    shuffled = random.Random(1).sample(HISTORY, len(HISTORY))
    one, other = replay(shuffled, MODEL, NOW), replay(HISTORY, MODEL, NOW)
    assert one.leads == other.leads
    assert {str(said) for said in one.transitions} == {str(said) for said in other.transitions}


def test_an_event_that_claims_to_be_in_the_future_happened_now() -> None:
    late = event("page-views", "won", START + 90_000 * DAY, url="https://example.com/")
    result = replay([*HISTORY, late], MODEL, NOW)
    assert result.until == NOW


def test_lines_that_a_worker_would_refuse_are_rejected_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    good = {"topic": "page-views", "event": {"lead_id": "a", "occurred_at": START, "url": "u"}}
    bad = [
        {"topic": "page-views", "event": {"lead_id": "", "occurred_at": START, "url": "u"}},
        {"topic": "mql-events", "event": {}},
        {"topic": "page-views", "event": {"lead_id": "a", "occurred_at": START}},
    ]
    path.write_text("\n".join(json.dumps(one) for one in [good, *bad]))
    rejected: list[Rejected] = []
    assert len(list(read_events([path], rejected))) == 1
    assert [one.line for one in rejected] == [2, 3, 4]


def test_what_an_alias_did_and_was_answered_is_its_leads() -> None:
    pages = [event("downloads", "anon", START + n, asset_id=f"{n}", funnel_stage="BOTTOM") for n in range(2)]
    facts = {"email": "a@b.example", "employees": 500, "job_title": "Director"}
    result = replay(
        [
            *pages,
            event("lead-profiles", "vera", START + DAY, **facts),
            event("identity-links", "vera", START + 2 * DAY, anonymous_id="anon"),
            event("sales-feedback", "anon", START + 3 * DAY, disposition="WON"),
            event("page-views", "email:a@b.example", START + 4 * DAY, url="https://example.com/"),
        ],
        MODEL,
        NOW,
    )
    assert set(result.leads) == {"vera"}
    assert {id_: result.person(id_) for id_ in result.aliases} == {"anon": "vera", "email:a@b.example": "vera"}
    numbers = summary(result)
    assert numbers["outcomes"]["won"] == {"leads": 1, "qualified": 1, "share": 1.0}
    assert (numbers["leads"], numbers["mql_events"]) == (1, 1)
