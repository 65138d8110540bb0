"""Interest: what events give to a lead's groups, and what the groups are worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log2

import msgspec

from streams.qualification.crossing import interest_of
from streams.qualification.decay import Decayed, add
from streams.qualification.events import Event
from streams.qualification.lead import LONGEST_TEXT, Booking, Contribution, Given, Lead
from streams.qualification.model.values import Group, Model, PointsPer, Rule

DAY_MS = 86_400_000
#: Events older than this before their arrival never reach the core, so counts of older days are of no more use.
MAX_AGE_DAYS = 400
#: How many contributions a group keeps as evidence; the others are one line.
STRONGEST = 3
REMEMBERED_BOOKINGS = 8
#: The statuses that take a booking's points back. A rule of their own may still give (or take) points for them.
CANCELLED = ("CANCELLED", "NO_SHOW")


def parts_of(lead: Lead, model: Model) -> list[tuple[Group, Decayed]]:
    """The lead's groups that the model knows, with their decayed sums."""
    groups = model.groups
    return [(groups[name], decayed) for name, decayed in lead.groups.items() if name in groups]


def interest_at(lead: Lead, model: Model, at: int) -> float:
    """Interest in points at `at`: the sum of the lead's groups, each between its floor and its cap."""
    return interest_of(parts_of(lead, model), at)


def score_event(lead: Lead, event: Event, model: Model) -> str | None:
    """Add what `event` gives to the lead's groups, as of when it happened. `lead` is changed.

    Of the rules for its kind the first that matches gives, and every matching one marked `also`. Returns None when any
    gave points, else why none did: `unmatched`, `exhausted` (a frequency limit, or a booking that has given already),
    `zero` (rules gave no points).
    """
    limited = False
    scored = False
    matching = model.matching(event.kind, event.fields)
    for rule in matching:
        if _booked_already(lead, event, rule) or _exhausted(lead, rule, event.occurred_at):
            limited = True
            continue
        points = rule.points if rule.points is not None else _measured(rule.points_per, event)
        if points == 0:
            continue
        scored = True
        if rule.at_most is not None:
            _count(lead, rule, event.occurred_at)
        contribute(lead, model.groups[rule.group], rule.name, event, points)
    if scored:
        return None
    return "unmatched" if not matching else "exhausted" if limited else "zero"


def contribute(lead: Lead, group: Group, name: str, event: Event, points: float) -> None:
    """Add `points` of rule `name` to the group as of the event's time, and remember them."""
    booking_id = event.fields["booking_id"] if event.kind == "demo_booking" else None
    occurred_at = event.occurred_at
    lead.groups[group.name] = add(lead.groups.get(group.name), points, occurred_at, group.half_life_ms)
    kept = lead.strongest.get(group.name, ())
    weight = _weight(points, occurred_at, name, group.half_life_ms)
    if len(kept) < STRONGEST or weight > _weight_of(kept[-1], group.half_life_ms):
        one = Contribution(name, event.kind, subject_of(event), points, occurred_at, booking_id)
        lead.strongest[group.name] = _with(kept, one, weight, group.half_life_ms)
    if booking_id is not None:
        booking = booking_of(lead, booking_id)
        entry = (name, group.name, points, occurred_at)
        put_booking(lead, msgspec.structs.replace(booking, given=(*booking.given, entry)))


_Weight = tuple[float, int, str]


def _with(
    kept: tuple[Contribution, ...], one: Contribution, weight: _Weight, half_life_ms: int
) -> tuple[Contribution, ...]:
    """The strongest of a group, strongest first, with another at its place."""
    place = len(kept)
    while place and weight > _weight_of(kept[place - 1], half_life_ms):
        place -= 1
    return (*kept[:place], one, *kept[place : STRONGEST - 1])


def _weight_of(one: Contribution, half_life_ms: int) -> _Weight:
    return _weight(one.points, one.occurred_at, one.name, half_life_ms)


def _weight(points: float, occurred_at: int, name: str, half_life_ms: int) -> _Weight:
    """By what contributions of a group are compared: the forward decayed `|points| * 2^(occurred_at / half_life)`.

    All of them fade at the same pace, so their order by strength never changes: comparing once is exact for ever.
    """
    return log2(abs(points)) + occurred_at / half_life_ms, occurred_at, name


def retract_booking(lead: Lead, booking_id: str, at: int, model: Model) -> None:
    """Take back what is left of a booking's points, exactly; `at` is when it was cancelled.

    What was given for booking it again later stays, though the cancellation reaches us after it. Of a group that the
    model does not know, a past may have brought points from where another model judges: they are taken back when it
    becomes known.
    """
    booking = booking_of(lead, booking_id)
    fallen = tuple(entry for entry in booking.given if entry[3] <= at)
    kept = tuple(entry for entry in booking.given if entry[3] > at)
    cancelled_at, owed = max(booking.cancelled_at, at), (*booking.owed, *fallen)
    put_booking(lead, Booking(booking_id, kept, booking.facts, cancelled_at, owed))
    take_back_owed(lead, {name: group.half_life_ms for name, group in model.groups.items()})


def take_back_owed(lead: Lead, half_lives: Mapping[str, int]) -> None:
    """Take back what is left of the points that bookings owe, exactly, in groups whose half-life (ms) is known."""
    for booking in lead.bookings:
        if booking.owed:
            left = tuple(
                entry for entry in booking.owed if not _taken_back(lead, booking.booking_id, entry, half_lives)
            )
            bookings = (msgspec.structs.replace(one, owed=left) if one is booking else one for one in lead.bookings)
            lead.bookings = tuple(bookings)


def _taken_back(lead: Lead, booking_id: str, entry: Given, half_lives: Mapping[str, int]) -> bool:
    name, group, points, occurred_at = entry
    half_life = half_lives.get(group)
    if half_life is None:
        return False
    lead.groups[group] = add(lead.groups.get(group), -points, occurred_at, half_life)
    kept = list(lead.strongest.get(group, ()))
    for place, one in enumerate(kept):
        if (one.booking_id, one.name, one.points, one.occurred_at) == (booking_id, name, points, occurred_at):
            del kept[place]
            break
    lead.strongest[group] = tuple(kept)
    return True


def strongest_of(contributions: Iterable[Contribution], half_life_ms: int) -> tuple[Contribution, ...]:
    """The strongest of a group, strongest first."""
    return tuple(sorted(contributions, key=lambda one: _weight_of(one, half_life_ms), reverse=True)[:STRONGEST])


def booking_of(lead: Lead, booking_id: str) -> Booking:
    """What is remembered of a booking: an empty record when nothing is."""
    for booking in lead.bookings:
        if booking.booking_id == booking_id:
            return booking
    return Booking(booking_id)


def put_booking(lead: Lead, booking: Booking) -> None:
    """Remember the booking, as the latest of the last few."""
    others = tuple(one for one in lead.bookings if one.booking_id != booking.booking_id)
    lead.bookings = (*others, booking)[-REMEMBERED_BOOKINGS:]


def subject_of(event: Event) -> str | None:
    """What the event was about, for the evidence: a page, an asset, a campaign. A long text is cut."""
    for field in _SUBJECTS.get(event.kind, ()):
        if event.fields[field]:
            return str(event.fields[field])[:LONGEST_TEXT]
    return None


_SUBJECTS = {
    "page_view": ("url",),
    "email_open": ("campaign", "email_id"),
    "download": ("title", "asset_id"),
    "demo_booking": ("product", "booking_id"),
    "activity": ("subject", "kind"),
}


def _booked_already(lead: Lead, event: Event, rule: Rule) -> bool:
    """Whether this rule has given for this booking already, or a later cancellation is known."""
    if event.kind != "demo_booking":
        return False
    booking = booking_of(lead, event.fields["booking_id"])
    called_off = event.fields["status"] not in CANCELLED and event.occurred_at <= booking.cancelled_at
    return called_off or any(name == rule.name for name, *_ in booking.given)


def _exhausted(lead: Lead, rule: Rule, occurred_at: int) -> bool:
    if rule.at_most is None:
        return False
    return lead.limits.get(rule.name, {}).get(occurred_at // DAY_MS, 0) >= rule.at_most


def _count(lead: Lead, rule: Rule, occurred_at: int) -> None:
    days = lead.limits.setdefault(rule.name, {})
    day = occurred_at // DAY_MS
    if day not in days:
        for old in [one for one in days if one < lead.as_of // DAY_MS - MAX_AGE_DAYS]:
            del days[old]
    days[day] = days.get(day, 0) + 1


def _measured(per: PointsPer | None, event: Event) -> float:
    assert per is not None, "a rule has points or points_per"
    value = event.fields.get(per.field)
    if value is None or value <= 0:
        return 0.0
    units = int(value // per.each)
    return per.points * (units if per.at_most is None else min(units, per.at_most))
