"""Segment's HTTP tracking protocol, which RudderStack speaks as well.

Messages of type identify, page, screen, track, alias, group and RudderStack's merge, alone or in a batch. A message is
read leniently, as both services do: a field of the wrong type is as good as missing, unless nothing can be made of the
message without it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.collector import values
from streams.collector.events import BadBody, Implied, Outcome, Refused, Unusable, Visit, event_of, judged, link
from streams.collector.mapping import Target, TrackerMapping, mapped_fields, profile_fields
from streams.collector.segment_messages import Batch, Message, consent_denied, decode_message
from streams.collector.values import instant, mapping, sequence, text
from streams.wire.bad import BadRecord

PROTOCOL: Final = "segment"
#: Segment's own limit of a message.
MAX_MESSAGE_BYTES: Final = 32 * 1024
TYPES: Final = ("identify", "page", "screen", "track", "alias", "group", "merge")
_EMPTY: Final[Mapping[str, Any]] = {}


def batch_outcomes(
    batch: Batch, visit: Visit, names: TrackerMapping, consent_category: str | None = None
) -> list[Outcome | None]:
    """What the messages of a batch are; None for one that consent forbids."""
    found: list[Outcome | None] = []
    for raw in batch.batch:
        original = bytes(raw)
        try:
            message = decode_message(original)
        except BadBody as error:
            found.append(Refused(PROTOCOL, BadRecord("UNDECODABLE", str(error)), original))
            continue
        if message.sent_at is None:
            message.sent_at = batch.sent_at
        if message.context is None:
            message.context = batch.context
        if consent_denied(message.context, consent_category):
            found.append(None)
        else:
            found.extend(message_outcomes(message, visit, names, original))
    return found


def message_outcomes(message: Message, visit: Visit, names: TrackerMapping, original: bytes) -> list[Outcome]:
    """The events of one message, or its refusal. `original` are its bytes."""
    kind = message.type
    if len(original) > MAX_MESSAGE_BYTES:
        bad = BadRecord(
            "TOO_LARGE", f"the message has {len(original):,} bytes; at most {MAX_MESSAGE_BYTES:,} are taken"
        )
        return [Refused(PROTOCOL, bad, original)]
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return [Refused(PROTOCOL, BadRecord("INVALID", f"type is none of {', '.join(TYPES)}"), original)]
    reading = _Reading(message, visit, names, original)
    try:
        reader(reading)
    except Unusable as error:
        return [Refused(PROTOCOL, BadRecord("INVALID", f"{kind}: {error}"), original, reading.lead_id)]
    return reading.outcomes


class _Reading:
    """One message on its way: who it is about and when it happened, worked out once, and what was found so far."""

    __slots__ = (
        "_names",
        "_original",
        "anonymous_id",
        "at",
        "context",
        "email",
        "event_id",
        "lead_id",
        "message",
        "outcomes",
        "properties",
        "traits",
        "user_id",
        "visit",
    )

    def __init__(self, message: Message, visit: Visit, names: TrackerMapping, original: bytes) -> None:
        self.message = message
        self.visit = visit
        self._names = names
        self._original = original
        self.outcomes: list[Outcome] = []
        first = message.original_timestamp if message.original_timestamp is not None else message.timestamp
        self.event_id = text(message.message_id) or _id_of(original, first is not None)
        self.at = values.corrected(instant(first), instant(message.sent_at), visit.received_at)
        self.context = mapping(message.context)
        self.properties = mapping(message.properties)
        if (group_id := self.context.get("groupId")) is not None:
            # Where the B2B specifications put the account that an event is about.
            self.properties = {"group_id": group_id, **self.properties}
        # Segment's server libraries put identify's traits on top, RudderStack's in the context; tracks may carry them.
        # On top of a group they are the company's, whose email address is nobody's.
        own = _EMPTY if message.type == "group" else mapping(message.traits)
        self.traits = own or mapping(self.context.get("traits"))
        self.user_id = text(message.user_id)
        self.anonymous_id = text(message.anonymous_id)
        self.email = values.email_address(self.traits.get("email")) if self.traits else None
        self.lead_id = self.user_id or (f"email:{self.email}" if self.email else self.anonymous_id)

    def add(self, topic: str, lead_id: str | None = None, suffix: str = "", /, **fields: Any) -> None:
        lead = lead_id or self.lead_id
        if lead is None:
            raise Unusable("neither userId nor anonymousId")
        event = event_of(topic, self.event_id + suffix, lead, self.at, **fields)
        self.outcomes.append(judged(topic, event, self.visit.received_at, self._original))

    def links(self) -> None:
        """What the message says by the way of who is who."""
        anonymous_id, lead_id = self.anonymous_id, self.lead_id
        if anonymous_id is not None and lead_id is not None and anonymous_id != lead_id:
            received_at = self.visit.received_at
            self.outcomes.append(Implied(self.event_id, anonymous_id, lead_id, self.at, received_at, self._original))

    def link(self, anonymous_id: str, lead_id: str) -> None:
        if anonymous_id != lead_id:
            event = link(self.event_id, anonymous_id, lead_id, self.at)
            self.outcomes.append(judged("identity-links", event, self.visit.received_at, self._original))

    def profile(self, target: Target, found: Mapping[str, Any], suffix: str = "", **more: Any) -> None:
        fields = profile_fields(target, found)
        fields["attributes"] = more | fields["attributes"]
        self.add("lead-profiles", None, suffix, **fields)

    def page(self) -> None:
        page = mapping(self.context.get("page"))
        found = self.properties
        url = text(found.get("url")) or text(page.get("url")) or text(found.get("path"))
        if url is None:
            self.named_page()
            return
        campaign = mapping(self.context.get("campaign"))
        source, medium, name = values.campaign_of(url)
        self.add(
            "page-views",
            url=url,
            title=text(found.get("title")) or text(page.get("title")) or text(self.message.name),
            referrer=text(found.get("referrer")) or text(page.get("referrer")),
            utm_source=text(campaign.get("source")) or source,
            utm_medium=text(campaign.get("medium")) or medium,
            utm_campaign=text(campaign.get("name")) or name,
            session_id=text(self.context.get("sessionId")),
            anonymous_id=self.anonymous_id,
            user_agent=self.user_agent(),
            ip=self.address(),
        )
        self.links()

    def named_page(self) -> None:
        """A server may call a page by its name alone: that is no address, but something that was looked at."""
        name = text(self.message.name) or text(self.properties.get("name"))
        if name is None:
            raise Unusable("no url in properties or context.page, and no name")
        self.add("activities", kind="page_viewed", subject=name, attributes=values.attributes(self.properties))
        self.links()

    def screen(self) -> None:
        name = text(self.message.name) or text(self.message.event) or text(self.properties.get("name"))
        self.add("activities", kind="screen_viewed", subject=name, attributes=values.attributes(self.properties))
        self.links()

    def track(self) -> None:
        name = text(self.message.event)
        if name is None:
            raise Unusable("no event name")
        targets = self._names.targets(name)
        for number, target in enumerate(targets or (self._names.otherwise,)):
            suffix = f":{number}" if number else ""
            if target.topic == "lead-profiles":
                self.profile(target, self.properties, suffix)
                continue
            self.add(target.topic, None, suffix, **self.tracked(target, name))
        self.links()

    def tracked(self, target: Target, name: str) -> dict[str, Any]:
        fields = mapped_fields(target, self.properties, name, self.event_id)
        if target.topic == "email-opens":
            # The email specifications have the opener's in the context; by them machines are told from people.
            fields.setdefault("user_agent", self.user_agent())
            fields.setdefault("ip", self.address())
        return fields

    def identify(self) -> None:
        self.profile(self._names.traits, self.traits)
        if self.anonymous_id is not None and self.lead_id is not None:
            self.link(self.anonymous_id, self.lead_id)

    def group(self) -> None:
        group_id = text(self.message.group_id)
        more = {} if group_id is None else {"group_id": values.cut(group_id, 1000)}
        # Only the call's own traits are the company's; those in the context are the person's.
        self.profile(self._names.group, mapping(self.message.traits), "", **more)
        self.links()

    def alias(self) -> None:
        previous = text(self.message.previous_id)
        if previous is None or self.user_id is None:
            raise Unusable("previousId and userId are both needed")
        self.link(previous, self.user_id)

    def merge(self) -> None:
        """RudderStack's merge: two ids of the same person. A user id is whom we keep, then an email."""
        given = self.message.merge_properties
        ids = [
            (str(one.get("type")).lower(), text(one.get("value"))) for one in sequence(given) if isinstance(one, dict)
        ]
        known = sorted((_KEPT.get(kind, 9), f"email:{value.lower()}" if kind == "email" else value)
                       for kind, value in ids if value is not None)  # fmt: skip
        if len(known) != 2:
            raise Unusable("mergeProperties must be two objects with type and value")
        (_, kept), (_, other) = known
        self.link(other, kept)

    def user_agent(self) -> str | None:
        """The browser as the services take it; their email specifications write the name of it in snake case."""
        found = self.context.get("userAgent") or self.context.get("user_agent")
        return text(found) or self.visit.user_agent

    def address(self) -> str | None:
        """The address as the services take it: the context's own, else the browser's."""
        return text(self.context.get("ip")) or self.visit.ip


def _id_of(original: bytes, timed: bool) -> str:
    """The id of a message that has none. With a time in it, the same bytes are the same event, sent again."""
    return hashlib.sha256(original).hexdigest()[:32] if timed else str(uuid.uuid4())


_KEPT: Final = {"user_id": 0, "userid": 0, "email": 1}
_READERS: Final[dict[str, Callable[[_Reading], None]]] = {
    "identify": _Reading.identify,
    "page": _Reading.page,
    "screen": _Reading.screen,
    "track": _Reading.track,
    "alias": _Reading.alias,
    "group": _Reading.group,
    "merge": _Reading.merge,
}
