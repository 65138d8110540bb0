"""Booking webhooks: `POST /v1/demo-bookings`, from Calendly or from anything that can send our own plain form.

Ours: `{"booking_id": ..., "status": "BOOKED", "email": ..., "lead_id": ..., "scheduled_for": ..., "product": ...}`, of
which the email or the lead id must be there, with any traits of the person beside them. Both are signed alike:
`t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`, in the header `Calendly-Webhook-Signature` or
`Webhook-Signature`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from streams.collector import values
from streams.collector.events import BadBody, Outcome, Refused, Unusable, Visit, event_of, judged
from streams.collector.lenient import read_leniently
from streams.collector.mapping import TrackerMapping, profile_fields
from streams.collector.values import instant, mapping, sequence, text
from streams.wire.bad import BadRecord

PROTOCOL: Final = "booking"
SIGNATURE_HEADERS: Final = ("calendly-webhook-signature", "webhook-signature")
#: An older signature may be a recorded one that somebody sends again.
_MAX_AGE_S: Final = 300
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_STATUSES: Final = ("BOOKED", "RESCHEDULED", "CANCELLED", "ATTENDED", "NO_SHOW")
_OWN_FIELDS: Final = frozenset(
    {"booking_id", "status", "scheduled_for", "product", "lead_id", "occurred_at", "event_id"}
)


def signed(secret: bytes, header: str | None, body: bytes, now_s: float) -> bool:
    """Whether `header` is a signature of `body`, made with `secret` within the last five minutes."""
    if not header:
        return False
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    sent, given = parts.get("t", ""), parts.get("v1", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 12 and given.isascii()):
        return False
    expected = hmac.new(secret, sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, given) and abs(now_s - int(sent)) <= _MAX_AGE_S


def decode(body: bytes) -> Mapping[str, Any]:
    """The object in a body. Raises BadBody."""
    try:
        return read_leniently(_OBJECT, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"no JSON object: {error}".replace("`", "")) from None


def outcomes(found: Mapping[str, Any], visit: Visit, names: TrackerMapping, original: bytes) -> list[Outcome]:
    """The booking, and what it tells of who booked. Empty for news that say nothing of a booking."""
    try:
        if isinstance(found.get("event"), str) and isinstance(found.get("payload"), dict):
            return _calendly(found["event"], found["payload"], instant(found.get("created_at")), visit, names, original)
        return _own(found, visit, names, original)
    except Unusable as error:
        return [Refused("demo-bookings", BadRecord("INVALID", str(error)), original)]


def _calendly(
    event: str, payload: Mapping[str, Any], created: int | None, visit: Visit, names: TrackerMapping, original: bytes
) -> list[Outcome]:
    """Calendly makes a new invitee of a rescheduled one, who names the last one alone, and tells of both.

    A booking has the id of its first invitee, until it is rescheduled again: nothing that Calendly sends then names the
    first one and the newest together. The cancellation of the invitee in between names two of the three, and hands the
    booking over: to the id that the newest one's news will have. The booking under the new id comes first, so that at
    no moment there is none.
    """
    invitee = mapping(payload.get("invitee")) or payload
    uri = text(invitee.get("uri")) or text(payload.get("invitee")) or text(payload.get("uri"))
    old = text(payload.get("old_invitee"))
    booking_id = old or uri
    if event == "invitee.created":
        told = [(booking_id, "RESCHEDULED" if old else "BOOKED")]
    elif event == "invitee.canceled" and payload.get("rescheduled") is True:
        told = [(uri, "BOOKED"), (old, "CANCELLED")] if old else []
    elif event == "invitee.canceled":
        told = [(booking_id, "CANCELLED")]
    elif event == "invitee_no_show.created":
        told = [(booking_id, "NO_SHOW")]
    elif event == "invitee_no_show.deleted":  # the host has taken the mark off again: the booking stands as before
        told = [(booking_id, "BOOKED")]
    else:
        told = []
    if not told:
        return []
    scheduled = mapping(invitee.get("scheduled_event")) or mapping(payload.get("scheduled_event"))
    about = {"scheduled_for": instant(scheduled.get("start_time")), "product": text(scheduled.get("name"))}
    traits = {name: invitee.get(name) for name in ("email", "name", "first_name", "last_name")}
    for answer in sequence(invitee.get("questions_and_answers")):
        if question := text(mapping(answer).get("question")):
            traits[values.snake_case(question)] = mapping(answer).get("answer")
    at = values.corrected(created, None, visit.received_at)
    # An invitee is booked, moved and called off once; the mark of a no-show may come and go.
    which = f":{created}" if event.startswith("invitee_no_show.") else ""
    found: list[Outcome] = []
    for number, (name, status) in enumerate(told):
        booking = {"booking_id": name, "status": status, **about}
        lead_id, news = (f"email:{values.email_address(traits['email'])}", {}) if number else (None, traits)
        found += _booked(lead_id, booking, news, f"{uri}:{status}{which}", at, visit, names, original)
    return found


def _own(found: Mapping[str, Any], visit: Visit, names: TrackerMapping, original: bytes) -> list[Outcome]:
    status = text(found.get("status")) or "BOOKED"
    if status.upper() not in _STATUSES:
        raise Unusable(f"status is none of {', '.join(_STATUSES)}")
    booking = {
        "booking_id": text(found.get("booking_id")),
        "status": status.upper(),
        "scheduled_for": instant(found.get("scheduled_for")),
        "product": text(found.get("product")),
    }
    traits = {name: value for name, value in found.items() if name not in _OWN_FIELDS}
    event_id = text(found.get("event_id")) or hashlib.sha256(original).hexdigest()[:32]
    at = values.corrected(instant(found.get("occurred_at")), None, visit.received_at)
    return _booked(text(found.get("lead_id")), booking, traits, event_id, at, visit, names, original)


def _booked(
    lead_id: str | None,
    booking: dict[str, Any],
    traits: Mapping[str, Any],
    event_id: str,
    at: int,
    visit: Visit,
    names: TrackerMapping,
    original: bytes,
) -> list[Outcome]:
    email = values.email_address(traits.get("email"))
    lead = lead_id or (f"email:{email}" if email else None)
    if lead is None:
        raise Unusable("neither lead_id nor an email address: it can't be told who booked")
    if booking["booking_id"] is None:
        raise Unusable("booking_id is missing")
    made = [("demo-bookings", event_of("demo-bookings", event_id, lead, at, **booking))]
    if any(value is not None for value in traits.values()):
        fields = profile_fields(names.traits, traits)
        made.insert(0, ("lead-profiles", event_of("lead-profiles", f"{event_id}:profile", lead, at, **fields)))
    return [judged(topic, event, visit.received_at, original) for topic, event in made]
