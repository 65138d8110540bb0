"""The school's model on a handful of typical leads, made up by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streams.modelfile import read_model
from streams.qualification.events import Qualified, event_of
from streams.qualification.model.fields import FIELDS
from streams.qualification.step import judged_at, step

MODEL = read_model(Path(__file__).parents[2] / "deploy" / "models" / "x-education.yaml")
START = 1_779_000_000_000
HOUR = 3_600_000


def becomes(*events: tuple[str, dict[str, Any]]) -> list[str]:
    """The qualifications of a lead to whom these events happen, one every six hours."""
    lead = None
    stages = []
    for number, (kind, fields) in enumerate(events):
        at = START + number * 6 * HOUR
        known = {"event_id": str(number), "lead_id": "l", "occurred_at": at}
        event = event_of(kind, {**dict.fromkeys(FIELDS[kind]), **known, **fields}, at)
        lead, out = step(lead, event, judged_at(lead, event, at, MODEL), MODEL)
        stages += [one.record["stage"] for one in out if isinstance(one, Qualified)]
    return stages


def profile(unsubscribed: bool | None = None, **attributes: str) -> tuple[str, dict[str, Any]]:
    return "lead_profile", {"country": "India", "attributes": attributes, "unsubscribed": unsubscribed}


def activity(kind: str, subject: str | None = None) -> tuple[str, dict[str, Any]]:
    return "activity", {"kind": kind, "subject": subject}


def page(minutes: float) -> tuple[str, dict[str, Any]]:
    return "page_view", {"url": "https://x-education.example/courses/a", "duration_ms": int(minutes * 60_000)}


def test_a_passer_by_stays_a_lead() -> None:
    assert becomes(profile(occupation="Unemployed"), page(0.2), page(0.1), ("download", {"asset_id": "a"})) == []


def test_who_reads_for_long_becomes_an_mql_and_with_more_reading_an_sql() -> None:
    reader = [profile(occupation="Unemployed"), page(6)]
    assert becomes(*reader) == ["MQL"]
    assert becomes(*reader, page(7), page(3)) == ["MQL", "SQL"]


def test_who_asks_to_be_added_goes_to_sales_at_once() -> None:
    asked = activity("form_submitted", "lead-add-form")
    assert becomes(profile(lead_origin="Lead Add Form"), asked) == ["SQL"]


def test_of_whom_nothing_is_known_is_not_called_however_long_they_read() -> None:
    assert becomes(profile(), page(10), page(10), page(10)) == []


def test_who_opted_out_of_mail_is_not_nurtured_but_is_called_once_hot() -> None:
    reader = [profile(unsubscribed=True, occupation="Working Professional"), page(7)]
    assert becomes(*reader) == []
    assert becomes(*reader, activity("phone_conversation")) == ["SQL"]


def test_a_bounced_address_takes_the_interest_of_mail_away() -> None:
    warm = [profile(occupation="Student"), activity("form_submitted", "landing-page-submission"), page(1.5)]
    assert becomes(*warm, page(1)) == ["MQL"]
    assert becomes(*warm[:1], activity("email_bounce"), *warm[1:], page(1)) == []
