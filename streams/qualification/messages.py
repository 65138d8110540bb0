"""What one id tells another: merges, links, what is to be forgotten, and events that are for somebody else.

They are transitions like any other, but meant for another id, which may be in the care of somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streams.qualification.lead import Lead

#: Of the ids that a message passes on its way through aliases: at the last of so many it stays.
MOST_PASSED = 64


class Link(msgspec.Struct, frozen=True):
    """From `occurred_at` (ms) on, what `lead_id` did and does is done by `to`; `revoked`: no more.

    `arrival` (ms) is when Kafka got the record that says so. `known`: the lead `to` has the alias on its list already,
    and need not be told.
    """

    lead_id: str
    to: str
    event_id: str
    occurred_at: int
    arrival: int
    revoked: bool = False
    known: bool = False


class Merge(msgspec.Struct, frozen=True):
    """`passed[0]` leads to `lead_id` since `occurred_at` (ms); `lead` is what was known of it, None for nothing.

    `passed` are the ids that this came through, oldest first: the last of them points to `lead_id`. `arrival`: as in
    `Link`. `half_lives` (ms) are those of the groups in `lead`, by the model that judged it.
    """

    lead_id: str
    event_id: str
    occurred_at: int
    arrival: int
    passed: tuple[str, ...]
    lead: Lead | None = None
    half_lives: Mapping[str, int] = {}


class Forget(msgspec.Struct, frozen=True):
    """What was known of `target` is gone, as of what was asked for at `occurred_at` (ms): `lead_id` is no alias to it
    any more, unless by a link that is newer than `until` (ms). `erased`: somebody asked for it; else its time was over.

    A target that is `lead_id` itself is to be erased: what was asked for was asked of an alias of it. `arrival`: as in
    `Link`.
    """

    lead_id: str
    event_id: str
    occurred_at: int
    target: str
    until: int
    erased: bool
    arrival: int


class Forward(msgspec.Struct, frozen=True):
    """The event at hand is for `lead_id`. `passed` are the ids that it came through, oldest first."""

    lead_id: str
    passed: tuple[str, ...]


Message = Link | Merge | Forget
