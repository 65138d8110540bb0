"""From outcomes to records on topics: the good events encoded, the bad ones as dead letters, all confirmed together."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from streams.collector.answers import RequestRefused
from streams.collector.events import Accepted, Implied, Outcome, Refused, key_of
from streams.collector.metrics import CollectorMetrics
from streams.collector.privacy import truncated
from streams.collector.publisher import Publisher, Record, Unavailable
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.deadletters import dead_letter

_CONSUMER: Final = "collector"
_LINKS_REMEMBERED: Final = 100_000


class _Original(NamedTuple):
    """A part of a payload as the source of a dead letter: it never reached a partition."""

    topic: str
    value: bytes
    partition: int = -1
    offset: int = -1
    key: bytes | None = None


class LinksTold:
    """Which visitor was last said to be which lead."""

    def __init__(self, most: int = _LINKS_REMEMBERED) -> None:
        self._most = most
        self._last: OrderedDict[str, str] = OrderedDict()

    def knows(self, link: Implied) -> bool:
        return self._last.get(link.anonymous_id) == link.lead_id

    def told(self, links: Iterable[Mapping[str, Any]]) -> None:
        """The broker has these IdentityLinks."""
        for link in links:
            self._last[link["anonymous_id"]] = link["lead_id"]
            self._last.move_to_end(link["anonymous_id"])
        while len(self._last) > self._most:
            self._last.popitem(last=False)


class Delivery:
    """Publishes what a request held."""

    def __init__(
        self, publisher: Publisher, codec: Codec, metrics: CollectorMetrics, truncate_addresses: bool = False
    ) -> None:
        self._publisher = publisher
        self._codec = codec
        self._metrics = metrics
        self._truncate = truncate_addresses
        self._links = LinksTold()

    async def deliver(self, protocol: str, outcomes: Sequence[Outcome]) -> BadRecord | None:
        """Return when the broker has everything; the first refusal's reason, if there was one.

        Raises RequestRefused (503) when the broker hasn't.
        """
        records, bad, letters = [], None, 0
        links: dict[str, Mapping[str, Any]] = {}
        for found in outcomes:
            one = found
            if isinstance(one, Implied):
                here = links.get(one.anonymous_id)
                if self._links.knows(one) if here is None else here["lead_id"] == one.lead_id:
                    continue
                one = one.told()
            if isinstance(one, Refused):
                bad = bad or one.bad
                letters += 1
                records.append(self._letter(one))
                continue
            if one.topic == "identity-links":
                links[one.event["anonymous_id"]] = one.event
            records.append(self._record(one))
        began = time.monotonic()
        try:
            await self._publisher.publish(records)
        except Unavailable:
            self._metrics.counted(protocol, "unavailable", len(records))
            raise RequestRefused(503, "unavailable", "the events can't be stored now; send them again", 2) from None
        self._metrics.publish_seconds.observe(time.monotonic() - began)
        if links:
            self._links.told(links.values())
        self._metrics.counted(protocol, "published", len(records) - letters)
        self._metrics.counted(protocol, "dead_letter", letters)
        return bad

    def _record(self, one: Accepted) -> Record:
        topic, event = one
        if self._truncate:
            _truncate_addresses(event)
        return Record(topic, key_of(topic, event), self._codec.encode_whole(topic, event))

    def _letter(self, one: Refused) -> Record:
        source = _Original(one.topic, one.original)
        lead_id = one.lead_id if one.lead_id and len(one.lead_id) <= 250 else None
        letter = dead_letter(_CONSUMER, source, one.bad, time.time_ns() // 1_000_000, lead_id)
        return Record("dead-letters", None, self._codec.encode("dead-letters", letter))


def _truncate_addresses(event: dict[str, Any]) -> None:
    """Wherever a whole value is an address: trackers name what becomes an attribute as they like."""
    if event.get("ip") is not None:
        event["ip"] = truncated(event["ip"])
    attributes = event.get("attributes") or {}
    for name, value in attributes.items():
        attributes[name] = truncated(value) or value
