"""Ids of what is made here: functions of what brought it about, so that a replay makes the same again (UUIDv5)."""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("6a1a1f0e-5a6b-5d3c-9f0d-2f6c1e7f4b11")


def output_id(lead_id: str, record_kind: str, occurred_at: int, sequence: int) -> str:
    """The id of an output event: the same on every replay, a subscriber's key for dropping duplicates."""
    return str(uuid5(_NAMESPACE, f"{lead_id}|{record_kind}|{occurred_at}|{sequence}"))


def message_id(lead_id: str, kind: str, source: str) -> str:
    """The id of a message to `lead_id` that the record with the id `source` brings about."""
    return str(uuid5(_NAMESPACE, f"{lead_id}|{kind}|{source}"))
