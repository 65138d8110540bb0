"""Output records as the worker writes them, made by hand, for tests of the relay."""

from __future__ import annotations

from typing import Any

from streams.qualification.ids import output_id
from streams.relay.intake import event_id_of
from streams.relay.lanes import Item
from tests.kafka_topics import CODEC

#: 2026-11-01T09:00:00Z
AT = 1_793_523_600_000
HOUR, DAY = 3_600_000, 86_400_000
PROFILE = {"email": "vera@buyer.example", "name": "Vera Lind", "company": "Buyer AG", "job_title": "Head of Sales"}


def _whole(topic: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The record as a reader gets it, defaults filled in."""
    record = CODEC.decode(topic, CODEC.encode(topic, fields))
    assert isinstance(record, dict), record
    return record


def qualification(lead_id: str, sequence: int, stage: str = "SQL", at: int = AT, **fields: Any) -> dict[str, Any]:
    return _whole(
        f"{stage.lower()}-events",
        {
            "event_id": output_id(lead_id, stage.lower(), at, sequence),
            "lead_id": lead_id,
            "occurred_at": at,
            "sequence": sequence,
            "stage": stage,
            "previous_stage": "mql" if stage == "SQL" else "lead",
            "episode_id": f"{lead_id}-episode",
            "route": "SALES" if stage == "SQL" else "NURTURE",
            "path": "demo" if stage == "SQL" else None,
            "reason": "Booked a demo.",
            "interest": 71.25,
            "fit": 50.0,
            "threshold": 20.0,
            "fit_band": "B",
            "qualified_until": at + 30 * DAY,
            "respond_by": at + DAY if stage == "SQL" else None,
            "model": "test",
            "groups": [],
            "evidence": [],
            "fit_evidence": [],
            "profile": PROFILE,
            **fields,
        },
    )


def lifecycle(
    lead_id: str, sequence: int, from_stage: str, to_stage: str, cause: str = "QUALIFIED", at: int = AT, **fields: Any
) -> dict[str, Any]:
    return _whole(
        "lifecycle-events",
        {
            "event_id": output_id(lead_id, "lifecycle", at, sequence),
            "lead_id": lead_id,
            "occurred_at": at,
            "sequence": sequence,
            "from_stage": from_stage,
            "to_stage": to_stage,
            "cause": cause,
            "route": "NONE",
            "interest": 10.0,
            "fit": 50.0,
            "model": "test",
            "profile": PROFILE,
            **fields,
        },
    )


def score(lead_id: str, sequence: int, at: int = AT, **fields: Any) -> dict[str, Any]:
    return _whole(
        "lead-scores",
        {
            "lead_id": lead_id,
            "as_of": at,
            "stage": "mql",
            "interest": 42.0,
            "fit": 50.0,
            "fit_band": "B",
            "route": "NURTURE",
            "sequence": sequence,
            "model": "test",
            **fields,
        },
    )


def topic_of(record: dict[str, Any]) -> str:
    if "fit_evidence" in record:
        return f"{record['stage'].lower()}-events"
    return "lifecycle-events" if "cause" in record else "lead-scores"


def item(record: dict[str, Any], offset: int = 0, **fields: Any) -> Item:
    topic = topic_of(record)
    return Item(
        place=(topic, 0),
        offset=offset,
        source=(topic, 0, offset),
        key=record["lead_id"].encode(),
        value=CODEC.encode(topic, record),
        lead_id=record["lead_id"],
        event_id=event_id_of(record),
        record=record,
        **fields,
    )
