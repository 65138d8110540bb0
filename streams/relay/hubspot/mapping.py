"""Which of HubSpot's properties get which facts, and how a fact is written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEFAULT_FIELDS: Final[Mapping[str, str]] = {
    "leadstream_lead_id": "lead_id",
    "leadstream_sequence": "sequence",
    "leadstream_score": "score",
    "leadstream_fit_band": "fit_band",
    "leadstream_route": "route",
    "leadstream_qualified_until": "qualified_until",
    "leadstream_qualification_id": "qualification_id",
    "leadstream_handoff": "handoff",
    "firstname": "first_name",
    "lastname": "last_name",
    "phone": "phone",
    "company": "company",
    "jobtitle": "job_title",
    "country": "country",
}
DEFAULT_STAGES: Final[Mapping[str, str]] = {
    "lead": "lead",
    "mql": "marketingqualifiedlead",
    "sql": "salesqualifiedlead",
    "opportunity": "opportunity",
    "customer": "customer",
}
#: A task's property with unique values: the event that asked for it.
TASK_KEY: Final = "leadstream_event_id"

Properties = dict[str, str]


def text(value: Any) -> str:
    """A property's value: HubSpot takes texts; an empty one clears. Instants are ms since the epoch."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
