"""Everybody else: anonymous visitors, newsletter readers, and people who gave their name for a download."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from streams.local.demo.diary import ADVERT, DIRECT, NEWSLETTER, SEARCH, SITE, SOCIAL, Diary, Happening
from streams.local.demo.office_hours import DAY_MS, OfficeHours
from streams.local.demo.people import EMPLOYERS, ROLES, Person

VISITORS = 520
SUBSCRIBERS = 120
_CAMPAIGNS = ("monthly-notes", "product-news", "invitation", "case-of-the-month")
_SOURCES = (SEARCH, SEARCH, SEARCH, DIRECT, DIRECT, SOCIAL, ADVERT, NEWSLETTER)
_PAGES = {
    "/": 16,
    "/product": 10,
    "/product/integrations": 6,
    "/product/security": 4,
    "/blog/forward-decay": 12,
    "/blog/measuring-intent": 12,
    "/blog/what-is-an-mql": 14,
    "/about": 5,
    "/jobs": 5,
    "/case-studies/robotics": 2,
    "/case-studies/airways": 2,
    "/pricing": 3,
}
#: A proxy that fetches pictures before anybody has read the mail: its opens must not count.
_MAIL_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


def crowd(seed: int, hours: OfficeHours, suffix: str = "") -> list[Happening]:
    """What the crowd does in the thirty days, in no order."""
    random = Random(f"{seed}/crowd")
    happenings: list[Happening] = []
    for number in range(1, VISITORS + 1):
        diary = Diary(f"visitor-{number:03}{suffix}", random)
        _wander(diary, random, hours, sessions=random.choice((1, 1, 1, 2, 3, 5)))
        happenings += diary.happenings
    mailings = sorted(hours.sometime(random) for _ in _CAMPAIGNS)
    for number in range(1, SUBSCRIBERS + 1):
        diary = Diary(f"subscriber-{number:03}{suffix}", random)
        _read_mail(diary, random, hours, mailings)
        happenings += diary.happenings
    for company in EMPLOYERS:
        for role, job_title in ROLES:
            person = Person(role, job_title, company)
            diary = Diary(person.lead_id + suffix, random)
            _look_into_it(diary, person, random, hours)
            happenings += diary.happenings
    return [one for one in happenings if hours.begin <= one[1]["occurred_at"] < hours.end]


def passers_by(seed: int, suffix: str = "") -> Iterator[tuple[str, str]]:
    """(lead id, url) of one page view after the other, for ever: what goes on after the thirty days."""
    random = Random(f"{seed}/passers-by")
    while True:
        yield f"visitor-{random.randrange(1, VISITORS + 1):03}{suffix}", SITE + _page(random)


def _wander(diary: Diary, random: Random, hours: OfficeHours, sessions: int) -> None:
    for _ in range(sessions):
        pages = [_page(random) for _ in range(random.choice((1, 2, 3, 4, 5, 8)))]
        source = random.choice(_SOURCES)
        diary.visits(hours.sometime(random), *pages, source=source, minutes=random.uniform(0.1, 1.2))


def _read_mail(diary: Diary, random: Random, hours: OfficeHours, mailings: list[int]) -> None:
    keen = random.random()
    proxied = random.random() < 0.2
    for campaign, sent_at in zip(_CAMPAIGNS, mailings, strict=True):
        if random.random() < keen:
            at = sent_at + random.randrange(DAY_MS)
            if proxied:
                diary.opens(at, campaign, user_agent=_MAIL_PROXY)
            else:
                diary.opens(at, campaign)
    if keen > 0.8:
        _wander(diary, random, hours, sessions=1)


def _look_into_it(diary: Diary, person: Person, random: Random, hours: OfficeHours) -> None:
    """How far it goes differs: most only fill in a form, a few book a demo."""
    keen = random.random()
    start = hours.sometime(random)
    diary.tells(start, **person.profile)
    diary.downloads(start + 60_000, "handbook", "TOP", "The handbook of lead scoring")
    _wander(diary, random, hours, sessions=1 + int(keen * 4))
    if keen > 0.5:
        diary.does(start + 3 * DAY_MS, "webinar_attended", "Scores that explain themselves")
    if keen > 0.7:
        diary.visits(start + 5 * DAY_MS, "/pricing", "/product", source=NEWSLETTER)
        diary.downloads(start + 5 * DAY_MS + 600_000, "comparison", "BOTTOM", "Vendors compared")
    if keen > 0.92:
        diary.visits(start + 8 * DAY_MS, "/demo")
        diary.books_demo(start + 8 * DAY_MS + 120_000, "BOOKED")


def _page(random: Random) -> str:
    return random.choices(list(_PAGES), list(_PAGES.values()))[0]
