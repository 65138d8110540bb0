"""What one person does, written down as the events that trackers would send of it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

#: (topic, fields of its record); fields that are not given take the schema's default.
Happening = tuple[str, dict[str, Any]]

SITE = "https://www.vendor.example"
MINUTE_MS = 60_000
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
_MAIL_PROGRAM = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0"


@dataclass(frozen=True, slots=True)
class Source:
    """How somebody came to the site."""

    referrer: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None


DIRECT = Source()
SEARCH = Source(referrer="https://search.example/")
NEWSLETTER = Source(utm_source="newsletter", utm_medium="email", utm_campaign="monthly-notes")
ADVERT = Source(utm_source="adnetwork", utm_medium="cpc", utm_campaign="compare-vendors")
SOCIAL = Source(referrer="https://social.example/", utm_source="social", utm_medium="social")


class Diary:
    """Collects the events of one lead. Times are ms; `happenings` are in the order of writing."""

    def __init__(self, lead_id: str, random: Random) -> None:
        self.lead_id = lead_id
        self.happenings: list[Happening] = []
        self._random = random
        # Addresses that are reserved for documentation.
        self._ip = f"{random.choice(('192.0.2', '198.51.100', '203.0.113'))}.{random.randrange(1, 255)}"
        self._sessions = 0

    def note(self, topic: str, at: int, **fields: Any) -> None:
        """Any event: `fields` are those of the topic's record beyond the first three."""
        event_id = f"{self.lead_id}:{len(self.happenings) + 1}"
        first = {"event_id": event_id, "lead_id": self.lead_id, "occurred_at": at}
        self.happenings.append((topic, first | fields))

    def visits(self, at: int, *paths: str, source: Source = DIRECT, minutes: float = 1.2) -> None:
        """One visit to the site: the pages in order, about `minutes` on each."""
        self._sessions += 1
        for index, path in enumerate(paths):
            stay = int(minutes * MINUTE_MS * self._random.uniform(0.8, 1.2))
            fields: dict[str, Any] = {
                "url": SITE + path,
                "duration_ms": stay,
                "session_id": f"{self.lead_id}/{self._sessions}",
                "referrer": SITE + paths[index - 1] if index else source.referrer,
                "user_agent": _BROWSER,
                "ip": self._ip,
            }
            if index == 0:
                fields |= {
                    "utm_source": source.utm_source,
                    "utm_medium": source.utm_medium,
                    "utm_campaign": source.utm_campaign,
                }
            self.note("page-views", at, **fields)
            at += stay

    def opens(self, at: int, campaign: str, *, user_agent: str = _MAIL_PROGRAM) -> None:
        self.note(
            "email-opens",
            at,
            email_id=f"{campaign}:{self.lead_id}",
            campaign=campaign,
            sent_at=at - self._random.randrange(20 * MINUTE_MS, 300 * MINUTE_MS),
            user_agent=user_agent,
        )

    def downloads(self, at: int, asset_id: str, funnel_stage: str, title: str) -> None:
        self.note("downloads", at, asset_id=asset_id, funnel_stage=funnel_stage, title=title)

    def does(self, at: int, kind: str, subject: str | None = None) -> None:
        self.note("activities", at, kind=kind, subject=subject)

    def books_demo(self, at: int, status: str, *, booking: int = 1, in_days: int = 3) -> None:
        """`status` BOOKED, or what became of the booking."""
        self.note(
            "demo-bookings",
            at,
            booking_id=f"{self.lead_id}/demo-{booking}",
            status=status,
            scheduled_for=at + in_days * 24 * 60 * MINUTE_MS,
            product="Platform",
        )

    def tells(self, at: int, **profile: Any) -> None:
        """A form, or an enrichment service: facts about the person."""
        self.note("lead-profiles", at, **profile)

    def hears_from_sales(self, at: int, disposition: str, reason: str | None = None) -> None:
        self.note("sales-feedback", at, disposition=disposition, reason=reason, actor="demo CRM")
