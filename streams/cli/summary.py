"""One readable line for a record of any topic."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]

_LONGEST = 160


def one_line(topic: str, key: str | None, event: Event | None) -> str:
    """Time (UTC), topic, lead and what happened; `event` None is a record that erases the ones before it.

    Whatever came from outside is made printable: a page's title must not steer somebody's terminal.
    """
    if event is None:
        return printable(f"{'':23} {topic:<16} {key or '-'}  erased")
    at = event.get("occurred_at") or event.get("as_of") or event.get("seen_at") or 0
    time = f"{_time(at):<23}"
    lead = event.get("lead_id") or key or "-"
    return printable(f"{time} {topic:<16} {lead}  {_WHAT[topic](event)}")


def _time(at: int) -> str:
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(" ", "milliseconds")[:23]
    except (ValueError, OverflowError, OSError):  # anything can be on a topic, and must not end the listing
        return str(at)


def printable(text: str) -> str:
    """The text as it may stand in a terminal, in one line that has an end."""
    shown = harmless(text.rstrip())
    return shown if len(shown) <= _LONGEST * 2 else shown[: _LONGEST * 2] + "…"


def harmless(text: str) -> str:
    """The text without what steers a terminal, in one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _fields(*names: str) -> Callable[[Event], str]:
    """What the fields `names` say, those without a value left out."""
    return lambda event: "  ".join(str(event[name]) for name in names if event.get(name) not in (None, ""))


def _scores(event: Event) -> str:
    band = f" ({event['fit_band']})" if event.get("fit_band") else ""
    return f"interest {event['interest']:.1f}, fit {event['fit']:g}{band}"


def _qualification(event: Event) -> str:
    path = f" by {event['path']}" if event.get("path") else ""
    return f"{event['stage']}{path}  {_scores(event)}  {event['reason']}"


def _lifecycle(event: Event) -> str:
    change = f"{event['from_stage']} -> {event['to_stage']}"
    reason = f"  {event['reason']}" if event.get("reason") else ""
    return f"{change}  {event['cause']}  {_scores(event)}{reason}"


def _profile(event: Event) -> str:
    known = {name: value for name, value in event.items() if name not in ("event_id", "lead_id", "occurred_at")}
    return ", ".join(f"{name}={value}" for name, value in known.items() if value not in (None, "", {}, "UNKNOWN"))


def _identity(event: Event) -> str:
    return f"{'is no longer' if event['revoked'] else 'is'} {event['anonymous_id']}"


def _stray(event: Event) -> str:
    if event["forwarded"] is not None:
        return f"forwarded from {event['forwarded']['topic']}"
    if event["merged"] is not None:
        return f"was known as {event['merged']['passed'][0]}"
    if event["linked"] is not None:
        return f"is {event['linked']['to']}"
    return "is to be forgotten"


def _dead_letter(event: Event) -> str:
    return f"{event['error']}  {event['topic']}[{event['partition']}]@{event['offset']}  {event['detail']}"


_WHAT: dict[str, Callable[[Event], str]] = {
    "page-views": _fields("url", "title"),
    "email-opens": _fields("email_id", "campaign"),
    "downloads": _fields("asset_id", "funnel_stage", "title"),
    "demo-bookings": _fields("status", "booking_id", "product"),
    "activities": _fields("kind", "subject", "value"),
    "lead-profiles": _profile,
    "sales-feedback": _fields("disposition", "reason", "actor"),
    "erasures": _fields("requested_by"),
    "identity-links": _identity,
    "strays": _stray,
    "mql-events": _qualification,
    "sql-events": _qualification,
    "lifecycle-events": _lifecycle,
    "lead-scores": lambda event: f"{event['stage']}  {event['route']}  {_scores(event)}",
    "dead-letters": _dead_letter,
}
