"""You, as a lead of the demo: what your keys publish."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from confluent_kafka import Producer

from streams.kafka import producer_config
from streams.local.demo.diary import SITE
from streams.wire.codec import Codec

#: What the form says that you filled in: a high fit, so that interest alone decides.
PROFILE = {
    "email": "you@yours.example",
    "name": "You at Example Yours",
    "company": "Example Yours",
    "company_domain": "yours.example",
    "industry": "software",
    "employees": 500,
    "job_title": "Head of marketing",
    "country": "SE",
}

Happening = tuple[str, dict[str, Any]]


def pricing_visit(lead_id: str, event_id: str, at: int) -> Happening:
    """Four minutes on the pricing page: 10 points for the page and 4 for the time, in the default model."""
    return "page-views", {
        "event_id": event_id,
        "lead_id": lead_id,
        "occurred_at": at,
        "url": f"{SITE}/pricing",
        "duration_ms": 240_000,
        "title": "Pricing",
    }


def download(lead_id: str, event_id: str, at: int) -> Happening:
    """Buyer's content: what somebody reads who is about to decide."""
    return "downloads", {
        "event_id": event_id,
        "lead_id": lead_id,
        "occurred_at": at,
        "asset_id": "comparison",
        "funnel_stage": "BOTTOM",
        "title": "Vendors compared",
    }


def demo_booking(lead_id: str, event_id: str, at: int) -> Happening:
    """A demo in three days. Each is a booking of its own."""
    return "demo-bookings", {
        "event_id": event_id,
        "lead_id": lead_id,
        "occurred_at": at,
        "booking_id": f"booking:{event_id}",
        "status": "BOOKED",
        "scheduled_for": at + 3 * 86_400_000,
        "product": "Platform",
    }


#: Key -> (what it does in words, what it publishes).
ACTIONS = {
    "p": ("pricing page", pricing_visit),
    "d": ("download", download),
    "b": ("book a demo", demo_booking),
}


class You:
    """Publishes what you do."""

    def __init__(self, bootstrap: str, suffix: str = "") -> None:
        self.lead_id = f"you{suffix}"
        self._codec = Codec()
        self._producer = Producer({**producer_config(bootstrap), "linger.ms": 0})
        self._done = 0

    def introduce(self) -> None:
        """Fill in the form: from now on you are a known lead."""
        at = _now()
        first = {"event_id": self._event_id(at), "lead_id": self.lead_id, "occurred_at": at}
        self._publish("lead-profiles", first | PROFILE)

    def press(self, key: str) -> None:
        """Do what `key` (one of ACTIONS) stands for, now."""
        at = _now()
        self._publish(*ACTIONS[key][1](self.lead_id, self._event_id(at), at))

    def __enter__(self) -> You:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(2.0)

    def _event_id(self, at: int) -> str:
        self._done += 1
        return f"{self.lead_id}:{at}:{self._done}"

    def _publish(self, topic: str, event: dict[str, Any]) -> None:
        self._producer.produce(topic, key=self.lead_id.encode(), value=self._codec.encode(topic, event))
        self._producer.poll(0)


def _now() -> int:
    return time.time_ns() // 1_000_000
