"""Two states become one: what was known under an alias is added to the lead that it turned out to be.

Group values are exactly those of one lead that had done it all, but for what depends on the order of arrival by its
nature: frequency limits, inactivity, what was forgotten, and a booking that was made more than once, as the one that
arrives first gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.qualification import decay
from streams.qualification.fit import update_profile
from streams.qualification.interest import REMEMBERED_BOOKINGS, strongest_of, take_back_owed
from streams.qualification.lead import (
    CUSTOMER,
    DISQUALIFIED,
    LEAD,
    MQL,
    OPPORTUNITY,
    SQL,
    VISITOR,
    Booking,
    Episode,
    Given,
    Lead,
)
from streams.qualification.lifecycle import end_episode
from streams.qualification.memory import first_of, joined_digests, joined_visits, last_of
from streams.qualification.turn import Turn

#: From least to most far: of two stages the further one stays.
_WAY = (VISITOR, LEAD, MQL, SQL, DISQUALIFIED, OPPORTUNITY, CUSTOMER)


def join(turn: Turn, theirs: Lead, at: int, half_lives: Mapping[str, int]) -> None:
    """Add what is known in `theirs` to the lead of the turn, both as of `at` (ms) or before. It is not judged yet.

    `half_lives` (ms) are those of the turn's model, and of groups that only the model knows that judged `theirs` last.
    Their sequence, score and aliases stay theirs.
    """
    mine = turn.lead
    _join_points(mine, theirs, half_lives)
    _join_bookings(mine, theirs, half_lives)
    _join_memory(mine, theirs)
    _join_profile(mine, theirs)
    turn.profile_changed()
    turn.groups_changed()
    _join_stages(turn, theirs, at)


def _join_points(mine: Lead, theirs: Lead, half_lives: Mapping[str, int]) -> None:
    """Of a group that no model is known to have, one of the two will do: it counts for nothing."""
    for name, sum_ in theirs.groups.items():
        held, half_life = mine.groups.get(name), half_lives.get(name)
        mine.groups[name] = sum_ if held is None else held if half_life is None else decay.add(held, *sum_, half_life)
    for name, kept in theirs.strongest.items():
        half_life = half_lives.get(name)
        if half_life is not None:
            mine.strongest[name] = strongest_of((*mine.strongest.get(name, ()), *kept), half_life)
    for name, days in theirs.limits.items():
        counts = mine.limits.setdefault(name, {})
        for day, count in days.items():
            counts[day] = counts.get(day, 0) + count


def _join_bookings(mine: Lead, theirs: Lead, half_lives: Mapping[str, int]) -> None:
    """Bookings by their ids. What a cancellation on one side takes back, it takes from the other side too; of what a
    rule gave on both sides, the later is taken back.
    """
    bookings = {booking.booking_id: booking for booking in mine.bookings}
    for other in theirs.bookings:
        one = bookings.get(other.booking_id)
        bookings[other.booking_id] = other if one is None else _joined_booking(one, other)
    mine.bookings = tuple(sorted(bookings.values(), key=lambda one: (_latest(one), one.booking_id)))
    take_back_owed(mine, half_lives)
    mine.bookings = mine.bookings[-REMEMBERED_BOOKINGS:]


def _joined_booking(one: Booking, other: Booking) -> Booking:
    stands = [*_standing(one, other), *_standing(other, one)]
    kept: dict[str, Given] = {}
    for entry in sorted(stands, key=lambda entry: entry[3]):
        kept.setdefault(entry[0], entry)
    left, owed = list(kept.values()), [*one.owed, *other.owed]
    for entry in (*one.given, *other.given):
        if entry in left:
            left.remove(entry)
        else:
            owed.append(entry)
    facts = _joined_facts(one.facts, other.facts)
    return Booking(one.booking_id, tuple(kept.values()), facts, max(one.cancelled_at, other.cancelled_at), tuple(owed))


def _standing(mine: Booking, other: Booking) -> list[Given]:
    """What was given on my side and no cancellation on the other takes back. Where both heard of one at the same
    instant, what was given then was given for it.
    """
    same = mine.cancelled_at == other.cancelled_at
    return [one for one in mine.given if one[3] > other.cancelled_at or (same and one[3] == mine.cancelled_at)]


def _latest(booking: Booking) -> int:
    times = [booking.cancelled_at, *(entry[3] for entry in booking.given)]
    return max((*times, *(time for pair in booking.facts.values() for time in pair)))


def _joined_facts(one: dict[str, tuple[int, int]], other: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    joined = dict(one)
    for name, (true, false) in other.items():
        became_true, became_false = joined.get(name, (0, 0))
        joined[name] = max(became_true, true), max(became_false, false)
    return joined


def _join_memory(mine: Lead, theirs: Lead) -> None:
    mine.seen = joined_digests(mine.seen, theirs.seen)
    mine.visits = joined_visits(mine, theirs)
    mine.facts = _joined_facts(mine.facts, theirs.facts)
    mine.first_touch = first_of(mine.first_touch, theirs.first_touch)
    mine.last_touch = last_of(mine.last_touch, theirs.last_touch)
    if theirs.last_scored > mine.last_scored:
        mine.last_scored, mine.inactive = theirs.last_scored, theirs.inactive
    elif theirs.last_scored == mine.last_scored:
        mine.inactive |= theirs.inactive
    mine.last_event = max(mine.last_event, theirs.last_event)
    mine.low_touch |= theirs.low_touch


def _join_profile(mine: Lead, theirs: Lead) -> None:
    """The newest of each value; of two said at the same instant, mine."""
    profile: dict[str, Any] = {**theirs.profile}
    said = dict(theirs.said)
    for field, value in mine.profile.items():
        if field != "attributes":
            update_profile(profile, said, {field: value}, mine.said[field])
            continue
        for key, text in value.items():
            update_profile(profile, said, {"attributes": {key: text}}, mine.said[f"attributes.{key}"])
    mine.profile, mine.said = profile, said


def _join_stages(turn: Turn, theirs: Lead, at: int) -> None:
    """The further stage stays, with its episode; an episode that does not stay ends, and is named.

    Whom sales has rejected on either side does not stay an MQL or SQL; an opportunity or customer does.
    """
    mine = turn.lead
    own = mine.episode
    stage, since, episode = _further(mine, theirs)
    # Their rest may have ended since they were taken out.
    resting_until = max(mine.resting_until, theirs.resting_until if theirs.resting_until > at else 0)
    if resting_until and stage in (MQL, SQL):
        stage, since, episode = LEAD, max(mine.stage_since, theirs.stage_since), None
    mine.resting_until = resting_until if stage in (VISITOR, LEAD) else 0
    mine.episode_ended = max(mine.episode_ended, theirs.episode_ended)
    ended = [one for one in (theirs.episode, own) if one is not None and one is not episode]
    for one in ended:
        mine.episode = one
        goes_to = (LEAD if episode is not None else stage) if one is own else None
        reason = "another episode goes on" if episode is not None else f"the same person is a {stage}"
        turn.change(at, "MERGED", to=goes_to, reason=reason, qualification_id=one.qualification_id)
    mine.episode = episode
    if ended and episode is None:
        end_episode(mine, at)
    if mine.stage != stage:
        cause = "IDENTIFIED" if (mine.stage, stage) == (VISITOR, LEAD) else "MERGED"
        turn.change(
            at,
            cause,
            to=stage,
            qualification_id=episode.qualification_id if episode is not None else None,
            respond_by=(episode.respond_by or None) if episode is not None else None,
        )
    mine.stage_since = since
    mine.barred = stage == DISQUALIFIED and (mine.barred or theirs.barred)


def _further(mine: Lead, theirs: Lead) -> tuple[str, int, Episode | None]:
    """The stage that stays, what made it when (ms), and its episode: of two at the same stage the one begun first."""
    way = _WAY.index(mine.stage), _WAY.index(theirs.stage)
    if way[0] == way[1]:
        if mine.episode is None or theirs.episode is None:
            return mine.stage, max(mine.stage_since, theirs.stage_since), mine.episode or theirs.episode
        first = mine if mine.episode.started_at <= theirs.episode.started_at else theirs
        return first.stage, first.stage_since, first.episode
    further = mine if way[0] > way[1] else theirs
    return further.stage, further.stage_since, further.episode
