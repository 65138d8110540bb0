"""The record of one lead: all that `step` and `advance` know of its past.

Times are int ms; 0 stands for "never" where a time is optional, which keeps the packed form small.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.qualification.decay import Decayed
from streams.qualification.erasure import Erased

VISITOR, LEAD, MQL, SQL = "visitor", "lead", "mql", "sql"
OPPORTUNITY, CUSTOMER, DISQUALIFIED = "opportunity", "customer", "disqualified"
STAGES = (VISITOR, LEAD, MQL, SQL, OPPORTUNITY, CUSTOMER, DISQUALIFIED)


#: The longest text (characters) that is kept for the evidence: of an address, the end says little.
LONGEST_TEXT = 500


class Contribution(msgspec.Struct, array_like=True, frozen=True):
    """Points that an event gave: kept for the evidence while among the strongest of its group."""

    name: str
    kind: str
    subject: str | None
    points: float
    occurred_at: int
    booking_id: str | None = None


class Touch(msgspec.Struct, array_like=True, frozen=True):
    """Where a visit came from."""

    source: str | None
    medium: str | None
    campaign: str | None
    referrer: str | None
    url: str | None
    occurred_at: int


#: Points that a booking gave: (rule, group, points, occurred_at in ms).
Given = tuple[str, str, float, int]


class Booking(msgspec.Struct, array_like=True, frozen=True):
    """What a demo booking gave, so that it can be taken back exactly."""

    booking_id: str
    given: tuple[Given, ...] = ()
    #: fact -> (last became true, last became false): each booking stands or falls by itself
    facts: dict[str, tuple[int, int]] = {}
    cancelled_at: int = 0
    #: what is to be taken back as soon as a model knows its group
    owed: tuple[Given, ...] = ()


class Episode(msgspec.Struct, array_like=True, frozen=True):
    """From a qualification to its end. `respond_by` is 0 once answered or breached, `give_up_at` once answered."""

    episode_id: str
    started_at: int
    #: the event ids of its MQL and SQL events, empty when there was none
    mql_id: str = ""
    sql_id: str = ""
    respond_by: int = 0
    give_up_at: int = 0

    @property
    def qualification_id(self) -> str:
        """The event id of its furthest qualification."""
        return self.sql_id or self.mql_id


class Written(msgspec.Struct, array_like=True, frozen=True):
    """The last LeadScore that was emitted."""

    stage: str
    band: str
    route: str
    interest: float
    fit: float
    at: int


class Lead(msgspec.Struct, array_like=True, tag=0):
    """One lead. Values inside are immutable or replaced whole, so a shallow :meth:`copy` is a snapshot."""

    lead_id: str
    as_of: int
    stage: str = VISITOR
    #: when what made the stage happened: feedback that is older changes nothing
    stage_since: int = 0
    sequence: int = 0
    groups: dict[str, Decayed] = {}
    strongest: dict[str, tuple[Contribution, ...]] = {}
    #: rule name -> UTC day number -> how often it gave points that day
    limits: dict[str, dict[int, int]] = {}
    #: the last event ids, 8 bytes of hash each, oldest first
    seen: bytes = b""
    #: UTC day numbers with a page view, ascending
    visits: tuple[int, ...] = ()
    #: fact -> (last became true, last became false)
    facts: dict[str, tuple[int, int]] = {}
    bookings: tuple[Booking, ...] = ()
    #: profile field -> the newest known value; `attributes` is a map of its own, of the 64 keys said last
    profile: dict[str, Any] = {}
    #: profile field, or `attributes.KEY` -> when that value was said
    said: dict[str, int] = {}
    first_touch: Touch | None = None
    last_touch: Touch | None = None
    #: when the current silence began, 0 before the first scored event
    last_scored: int = 0
    #: whether the current silence has had its inactivity points
    inactive: bool = False
    #: when the last event was judged: a visitor is forgotten so long after it, also when history is imported
    last_event: int = 0
    episode: Episode | None = None
    episode_ended: int = 0
    resting_until: int = 0
    low_touch: bool = False
    written: Written | None = None
    #: `Model.identity` of the model that judged last: another one may find things due at other times
    judged_by: str = ""
    #: what the profile is worth to the model that judged last, in points
    fit: float = 0.0
    #: the negative persona that the profile matches, by the model that judged last
    persona: str | None = None
    #: the ids that point to this one, oldest first; some may have come to point elsewhere since
    aliases: tuple[str, ...] = ()
    #: when this id, an alias before, ceased to be one: links that are not newer say nothing
    unlinked_at: int = 0
    #: sales has disqualified the lead for ever: a persona that goes does not bring it back
    barred: bool = False
    #: what was known under the id before this life was erased
    erased: Erased | None = None
    #: on its way to another id: what its groups were called before, and before that (`Model.names`)
    was: dict[str, str] | None = None

    def copy(self) -> Lead:
        """A copy that can be changed without touching this one."""
        twin = msgspec.structs.replace(self)
        twin.groups = dict(self.groups)
        twin.strongest = dict(self.strongest)
        twin.limits = {name: dict(days) for name, days in self.limits.items()}
        twin.facts = dict(self.facts)
        twin.profile = dict(self.profile)
        twin.said = dict(self.said)
        return twin

    @property
    def resting(self) -> bool:
        return self.resting_until > 0
