"""What a lead remembers beside its points: event ids, visits, touches, facts."""

from __future__ import annotations

from hashlib import blake2b
from urllib.parse import urlsplit

from streams.qualification.events import Event
from streams.qualification.interest import DAY_MS, MAX_AGE_DAYS, booking_of, put_booking
from streams.qualification.lead import LONGEST_TEXT, Booking, Lead, Touch
from streams.qualification.model.conditions import Condition
from streams.qualification.model.values import Model, SqlPath, Visits

REMEMBERED_EVENTS = 64
_HASH_BYTES = 8


def is_duplicate(lead: Lead, event_id: str) -> bool:
    """Whether the event id is among the last 64 that were remembered.

    Ids are kept as 64 bit hashes: a chance of 3.5e-18 per event that a new one is taken for a known one.
    """
    digest = _digest(event_id)
    seen = lead.seen
    found = seen.find(digest)
    while found >= 0:
        if found % _HASH_BYTES == 0:
            return True
        found = seen.find(digest, found + 1)
    return False


def remember_event(lead: Lead, event_id: str) -> None:
    """Remember the event id. Not for noise: bots and mail proxies would push out the ids of what counts."""
    lead.seen = (lead.seen + _digest(event_id))[-REMEMBERED_EVENTS * _HASH_BYTES :]


def _digest(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=_HASH_BYTES).digest()


def remember_visit(lead: Lead, event: Event) -> None:
    """Note the UTC day of a page view, and where the visit came from."""
    day = event.occurred_at // DAY_MS
    if day not in lead.visits:
        oldest = lead.as_of // DAY_MS - MAX_AGE_DAYS
        lead.visits = tuple(sorted((*(one for one in lead.visits if one >= oldest), day)))
    touch = touch_of(event)
    if lead.first_touch is None or event.occurred_at < lead.first_touch.occurred_at:
        lead.first_touch = touch
    if _supersedes(touch, lead.last_touch):
        lead.last_touch = touch


def touch_of(event: Event) -> Touch:
    """The touch in a page view. A referrer on the page's own host is navigation, not a touch. Long texts are cut."""
    fields = event.fields
    referrer = fields["referrer"]
    if referrer and _host(referrer) == _host(fields["url"]):
        referrer = None
    return Touch(
        _cut(fields["utm_source"]),
        _cut(fields["utm_medium"]),
        _cut(fields["utm_campaign"]),
        _cut(referrer),
        _cut(fields["url"]),
        event.occurred_at,
    )


def _cut(text: str | None) -> str | None:
    return text and text[:LONGEST_TEXT]


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _supersedes(touch: Touch, last: Touch | None) -> bool:
    """Last touch is the latest that says where it came from ("last non-direct"), else the latest of all."""
    if last is None:
        return True
    if _direct(touch) != _direct(last):
        return _direct(last)
    return touch.occurred_at >= last.occurred_at


def _direct(touch: Touch) -> bool:
    return not (touch.source or touch.medium or touch.campaign or touch.referrer)


def visits_within(lead: Lead, at: int, visits: Visits) -> int:
    """How many visits (UTC days with a page view) lie within the window that ends at `at`."""
    first = (at - visits.within_ms) // DAY_MS
    last = at // DAY_MS
    return sum(first <= day <= last for day in lead.visits)


def note_facts(lead: Lead, event: Event, model: Model) -> None:
    """Note which of the model's facts the event makes true or false, whatever the order of arrival.

    Facts of demo bookings are kept with their booking: cancelling one does not undo another.
    """
    for fact in model.facts_on.get(event.kind, ()):
        true = fact.when.matches(event.fields)
        if not true and not _holds(fact.until, event):
            continue
        if event.kind == "demo_booking":
            booking = booking_of(lead, event.fields["booking_id"])
            facts = {**booking.facts, fact.name: _noted(booking.facts.get(fact.name), true, event)}
            put_booking(lead, Booking(booking.booking_id, booking.given, facts, booking.cancelled_at))
        else:
            lead.facts[fact.name] = _noted(lead.facts.get(fact.name), true, event)


def _holds(condition: Condition | None, event: Event) -> bool:
    return condition is not None and condition.matches(event.fields)


def _noted(known: tuple[int, int] | None, true: bool, event: Event) -> tuple[int, int]:
    became_true, became_false = known or (0, 0)
    if true:
        return max(became_true, event.occurred_at), became_false
    return became_true, max(became_false, event.occurred_at)


def fact_since(lead: Lead, name: str) -> int | None:
    """When the fact last became true, if it holds."""
    if not lead.facts and not lead.bookings:
        return None  # as for most leads
    candidates = [lead.facts.get(name), *(booking.facts.get(name) for booking in lead.bookings)]
    held = [pair[0] for pair in candidates if pair is not None and pair[0] > pair[1]]
    return max(held, default=None)


def path_fact(lead: Lead, path: SqlPath, at: int) -> int | None:
    """When the path's fact became true, if it holds, is young enough, and newer than the last episode's end."""
    assert path.fact is not None
    since = fact_since(lead, path.fact)
    if since is None or (since <= lead.episode_ended and lead.episode_ended > 0):
        return None
    if path.within_ms is not None and at - since > path.within_ms:
        return None
    return since
