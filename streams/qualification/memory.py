"""What a lead remembers beside its points: event ids, visits, touches, facts."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from itertools import chain, zip_longest
from urllib.parse import urlsplit

import msgspec

from streams.qualification.events import Event
from streams.qualification.interest import DAY_MS, MAX_AGE_DAYS, booking_of, put_booking
from streams.qualification.lead import LONGEST_TEXT, Lead, Touch
from streams.qualification.model.conditions import Condition
from streams.qualification.model.values import Model, SqlPath, Visits

REMEMBERED_EVENTS = 64
_HASH_BYTES = 8


def event_digest(event_id: str) -> bytes:
    """What is kept of an event id: 64 bit, a chance of 3.5e-18 per event that a new one is taken for a known one."""
    return blake2b(event_id.encode(), digest_size=_HASH_BYTES).digest()


def is_duplicate(lead: Lead, digest: bytes) -> bool:
    """Whether the digest of an event id is among the last 64 that were remembered."""
    seen = lead.seen
    found = seen.find(digest)
    while found >= 0:
        if found % _HASH_BYTES == 0:
            return True
        found = seen.find(digest, found + 1)
    return False


def remember_event(lead: Lead, digest: bytes) -> None:
    """Remember the event id. Not for noise: bots and mail proxies would push out the ids of what counts."""
    lead.seen = (lead.seen + digest)[-REMEMBERED_EVENTS * _HASH_BYTES :]


def joined_digests(mine: bytes, theirs: bytes) -> bytes:
    """The newest of both sides, taken in turns, as nothing tells which is newer: the last 64, oldest first."""
    both = chain.from_iterable(zip_longest(_digests(mine), _digests(theirs)))
    kept = list(dict.fromkeys(digest for digest in both if digest is not None))[:REMEMBERED_EVENTS]
    return b"".join(reversed(kept))


def _digests(seen: bytes) -> list[bytes]:
    """The digests that are remembered, newest first."""
    return [seen[place : place + _HASH_BYTES] for place in range(len(seen) - _HASH_BYTES, -1, -_HASH_BYTES)]


def joined_visits(mine: Lead, theirs: Lead) -> tuple[int, ...]:
    """The days of both, those left out that are too old as of `mine.as_of`."""
    oldest = mine.as_of // DAY_MS - MAX_AGE_DAYS
    return tuple(sorted(day for day in {*mine.visits, *theirs.visits} if day >= oldest))


def first_of(mine: Touch | None, theirs: Touch | None) -> Touch | None:
    """The first touch of two leads that are one."""
    if mine is None or theirs is None:
        return mine or theirs
    return theirs if theirs.occurred_at < mine.occurred_at else mine


def last_of(mine: Touch | None, theirs: Touch | None) -> Touch | None:
    """The last touch of two leads that are one: the latest that says where it came from, else the latest of all."""
    if mine is None or theirs is None:
        return mine or theirs
    if _direct(mine) != _direct(theirs):
        return theirs if _direct(mine) else mine
    return theirs if theirs.occurred_at > mine.occurred_at else mine


def remember_visit(lead: Lead, event: Event) -> None:
    """Note the UTC day of a page view, and where the visit came from."""
    day = event.occurred_at // DAY_MS
    if day not in lead.visits:
        oldest = lead.as_of // DAY_MS - MAX_AGE_DAYS
        lead.visits = tuple(sorted((*(one for one in lead.visits if one >= oldest), day)))
    _remember_touch(lead, event)


def _remember_touch(lead: Lead, event: Event) -> None:
    """Note the touch in a page view as the first, the last, or neither.

    A referrer on the page's own host is navigation, not a touch. Last touch is the latest that says where it came from
    ("last non-direct"), else the latest of all. Long texts are cut.
    """
    fields, occurred_at, last = event.fields, event.occurred_at, lead.last_touch
    referrer = fields["referrer"]
    if referrer and host_of(referrer) == host_of(fields["url"]):
        referrer = None
    direct = not (referrer or fields["utm_source"] or fields["utm_medium"] or fields["utm_campaign"])
    is_first = lead.first_touch is None or occurred_at < lead.first_touch.occurred_at
    if last is None:
        is_last = True
    elif direct != _direct(last):
        is_last = not direct
    else:
        is_last = occurred_at >= last.occurred_at
    if not (is_first or is_last):
        return
    touch = Touch(
        _cut(fields["utm_source"]),
        _cut(fields["utm_medium"]),
        _cut(fields["utm_campaign"]),
        _cut(referrer),
        _cut(fields["url"]),
        occurred_at,
    )
    if is_first:
        lead.first_touch = touch
    if is_last:
        lead.last_touch = touch


def _cut(text: str | None) -> str | None:
    return text and text[:LONGEST_TEXT]


@lru_cache(maxsize=8_192)
def host_of(url: str) -> str | None:
    """The host of an address, in lower case. Remembered, as few referrers and pages make most traffic."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


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
            put_booking(lead, msgspec.structs.replace(booking, facts=facts))
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
