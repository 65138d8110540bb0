"""Steady traffic that never tells the same twice, of people who come, turn out to be somebody, and are forgotten."""

from __future__ import annotations

import random
import time
from collections import deque
from typing import Any

from confluent_kafka import Producer

from streams.kafka import producer_config
from streams.partitioning import partition_of
from streams.wire.codec import Codec

#: How often of each kind, in parts.
_KINDS = {
    "page-views": 62,
    "email-opens": 3,
    "downloads": 5,
    "activities": 5,
    "lead-profiles": 8,
    "demo-bookings": 2,
    "sales-feedback": 3,
    "identity-links": 10,
    "erasures": 1,
}
_LEADS = 500
_AT_A_TIME = 400


class Traffic:
    """Publishes one event after the other to the broker at `bootstrap`, live. `pings`, by their names, are what
    is to be answered by a lifecycle event, and when each was asked (ms).
    """

    def __init__(self, bootstrap: str, partitions: int, seed: int) -> None:
        self._dice = random.Random(seed)
        self._partitions = partitions
        self._codec = Codec()
        self._producer = Producer({**producer_config(bootstrap), "linger.ms": 2})
        self._visitors = [f"visitor-{number}" for number in range(_AT_A_TIME)]
        self._links: deque[tuple[str, str]] = deque(maxlen=2_000)
        self._number = _AT_A_TIME
        self.pings: dict[str, int] = {}

    def publish(self) -> None:
        """One event."""
        (topic,) = self._dice.choices(list(_KINDS), list(_KINDS.values()))
        if topic == "page-views":
            place = self._dice.randrange(_AT_A_TIME)
            if self._dice.random() < 0.15:
                self._number += 1
                self._visitors[place] = f"visitor-{self._number}"
            id_ = self._visitors[place]
            self._send(topic, id_, {"url": f"https://www.example.com/{self._page()}"}, strays=self._number % 10 == 0)
        elif topic == "identity-links":
            self._link()
        elif topic == "sales-feedback":
            self._ping()
        else:
            lead = f"lead-{self._dice.randrange(_LEADS)}"
            self._send(topic, lead, self._fields(topic, lead))

    def flush(self) -> None:
        assert self._producer.flush(60) == 0, "not everything was delivered"

    def _page(self) -> str:
        return self._dice.choice(["", "blog", "docs", "pricing", "case-studies/one"])

    def _link(self) -> None:
        chance = self._dice.random()
        if self._links and chance < 0.3:
            alias, lead = self._dice.choice(self._links)
            self._send("identity-links", lead, {"anonymous_id": alias, "revoked": chance < 0.08})
            return
        alias, lead = self._dice.choice(self._visitors), f"lead-{self._dice.randrange(_LEADS)}"
        if chance > 0.95 and self._links:  # a chain, and now and then a loop
            alias = self._dice.choice(self._links)[1]
        self._links.append((alias, lead))
        self._send("identity-links", lead, {"anonymous_id": alias, "revoked": False})

    def _ping(self) -> None:
        """Sales says of a customer again that it is one: that changes nothing, and leaves a lifecycle event."""
        name = f"salesman-{len(self.pings)}"
        fields = {"disposition": "WON", "actor": name}
        self.pings[name] = self._send("sales-feedback", f"customer-{self._dice.randrange(60)}", fields)

    def _fields(self, topic: str, lead: str) -> dict[str, Any]:
        choose = self._dice.choice
        if topic == "email-opens":
            return {"email_id": f"mail-{self._dice.randrange(50)}"}
        if topic == "downloads":
            return {"asset_id": "paper", "funnel_stage": choose(["TOP", "BOTTOM"])}
        if topic == "activities":
            return {"kind": choose(["email_reply", "webinar_attended", "unsubscribe"])}
        if topic == "demo-bookings":
            return {"booking_id": f"{lead}-{self._dice.randrange(1_000)}", "status": choose(["BOOKED", "CANCELLED"])}
        if topic == "lead-profiles":
            return {"email": f"{lead}@example.com", "employees": choose([5, 900]), "job_title": "Director of Sales"}
        return {}

    def _send(self, topic: str, lead: str, fields: dict[str, Any], *, strays: bool = False) -> int:
        at = time.time_ns() // 1_000_000
        event = {"event_id": f"{at}-{self._dice.random()}", "lead_id": lead, "occurred_at": at, **fields}
        key = event.get("anonymous_id", lead)
        home = partition_of(key.encode(), self._partitions)
        where = (home + 1) % self._partitions if strays else home
        self._producer.produce(topic, self._codec.encode(topic, event), key, where, timestamp=at)
        self._producer.poll(0)
        return at
