from __future__ import annotations

from streams.relay.handoff import handoff_text, headline
from tests.relay_records import AT, DAY, qualification


def _did(kind: str, subject: str | None, days_ago: int, points: float = 5.0) -> dict[str, object]:
    return {
        "name": "rule",
        "kind": kind,
        "subject": subject,
        "group": "web",
        "points": points,
        "points_now": points,
        "occurred_at": AT - days_ago * DAY,
    }


def _touch(medium: str | None, days_ago: int) -> dict[str, object]:
    return {
        "source": "news" if medium else None,
        "medium": medium,
        "campaign": None,
        "referrer": "https://blog.example/",
        "url": "https://vendor.example/",
        "occurred_at": AT - days_ago * DAY,
    }


def test_it_reads_as_a_salesperson_needs_it() -> None:
    record = qualification(
        "lead-1",
        5,
        reason="Booked a demo of Team on 1 November.",
        evidence=[
            _did("page_view", "/pricing", 2),
            _did("page_view", "/pricing", 1),
            _did("page_view", "/docs", 3),
            _did("download", "Buyer's guide", 4),
            _did("activity", "unsubscribe", 4, points=-50.0),
        ],
        first_touch=_touch("email", 30),
        last_touch=_touch(None, 1),
        profile={
            "email": "vera@buyer.example",
            "name": "Vera Lind",
            "company": "Buyer AG",
            "job_title": "Head of Sales",
            "budget": "CONFIRMED",
            "timeline": "ABSENT",
            "expected_amount": 12500.0,
        },
    )
    assert handoff_text(record).splitlines() == [
        "Vera Lind, Head of Sales at Buyer AG",
        "vera@buyer.example",
        "Why now: Booked a demo of Team on 1 November.",
        "Respond by: Mon 02 Nov 2026, 09:00 UTC",
        "Downloaded: Buyer's guide (28 Oct)",
        "Read: /pricing (31 Oct), /docs (29 Oct)",
        "First came from: news / email on 02 Oct, https://vendor.example/",
        "Last came from: https://blog.example/ on 31 Oct, https://vendor.example/",
        "Confirmed: a budget",
        "Said to be absent: a date to buy by",
        "Expected amount: 12,500",
        "Not known yet: the authority to decide, a need, phone",
        "Score: interest 71, fit 50 (B)",
    ]


def test_it_makes_do_with_what_is_known() -> None:
    record = qualification("anonymous-7", 5, profile=None, respond_by=None)
    lines = handoff_text(record).splitlines()
    assert lines[:2] == ["anonymous-7", "Why now: Booked a demo."]
    assert lines[2].startswith("Not known yet: a budget, the authority to decide, a need, a date to buy by, email, ")
    assert headline(record) == "SQL: anonymous-7"


def test_what_a_lead_says_of_itself_looks_like_no_line_of_ours() -> None:
    profile = {
        "email": "v@buyer.example",
        "name": "Vera\nWhy now: Wants ten thousand seats\u2028at once",
        "company": " ",
    }
    record = qualification("lead-1", 5, profile=profile, evidence=[_did("page_view", "/" + "x" * 500, 1)])
    lines = handoff_text(record).splitlines()
    assert lines[0].startswith("Vera Why now: Wants ten thousand seats at once")
    assert [line for line in lines if line.startswith("Why now")] == ["Why now: Booked a demo."]
    assert max(map(len, lines)) < 200
    assert len(headline(record)) <= 255
