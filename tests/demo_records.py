"""Records as the demo's watcher reads them."""

from __future__ import annotations

from functools import cache
from typing import Any

from streams.local.demo.watcher import Seen
from streams.modelfile import read_model
from streams.qualification.model.values import Model
from streams.wire.codec import Codec

NOON = 1_795_348_800_000
DAY_MS = 86_400_000


@cache
def default_model() -> Model:
    return read_model()


@cache
def codec() -> Codec:
    return Codec()


def seen(topic: str, /, **fields: Any) -> Seen:
    """The record as a watcher reads it, the fields that are not given by the schema's defaults."""
    event = codec().decode(topic, codec().encode(topic, fields))
    assert isinstance(event, dict)
    return Seen(topic, 0, NOON + 40 * DAY_MS, event)


def page_view(lead_id: str, at: int, url: str = "https://www.vendor.example/pricing") -> Seen:
    return seen("page-views", event_id=f"{lead_id}:{at}", lead_id=lead_id, occurred_at=at, url=url)


def lifecycle(lead_id: str, from_stage: str, to_stage: str, cause: str, reason: str | None = None) -> Seen:
    return seen(
        "lifecycle-events",
        event_id=f"{lead_id}:{cause}",
        lead_id=lead_id,
        occurred_at=NOON,
        sequence=1,
        from_stage=from_stage,
        to_stage=to_stage,
        cause=cause,
        reason=reason,
        route="NONE",
        interest=1.0,
        fit=0.0,
        model="test",
    )


def qualification(topic: str, lead_id: str, stage: str, name: str | None = None) -> Seen:
    return seen(
        topic,
        event_id=f"{lead_id}:{stage}",
        lead_id=lead_id,
        occurred_at=NOON,
        sequence=1,
        stage=stage,
        previous_stage="lead",
        episode_id="episode",
        route="NURTURE",
        reason="Interest 24.0 reached 20.",
        interest=24.0,
        fit=50.0,
        threshold=20.0,
        fit_band="B",
        qualified_until=NOON + 30 * DAY_MS,
        model="test",
        groups=[],
        evidence=[],
        fit_evidence=[],
        profile=None if name is None else {"name": name},
    )
