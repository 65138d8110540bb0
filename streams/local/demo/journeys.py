"""The people whose story the demo tells, each made to show one thing that the default model does."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from streams.local.demo import people
from streams.local.demo.crowd import crowd
from streams.local.demo.diary import ADVERT, NEWSLETTER, SEARCH, SOCIAL, Diary, Happening
from streams.local.demo.office_hours import OfficeHours
from streams.local.demo.people import Person

Story = Callable[[Diary, Person, OfficeHours], None]


def journeys(seed: int, end: int, suffix: str = "") -> list[Happening]:
    """All that happens in the thirty days before `end` (ms), in order of time: a function of its arguments.

    `suffix` is added to every lead id, so that several runs can share a broker.
    """
    hours = OfficeHours(end)
    happenings = stories(seed, hours, suffix) + crowd(seed, hours, suffix)
    return sorted(happenings, key=lambda one: one[1]["occurred_at"])


def stories(seed: int, hours: OfficeHours, suffix: str = "") -> list[Happening]:
    """What the people with a story do, one after the other."""
    happenings: list[Happening] = []
    for person, story in CAST:
        diary = Diary(person.lead_id + suffix, Random(f"{seed}/{person.lead_id}"))
        story(diary, person, hours)
        happenings += diary.happenings
    return happenings


def reads_newsletters(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Fits well, opens everything, does nothing else: never qualifies."""
    diary.tells(hours.on(1, 8.5), **person.profile)
    for day in (2, 7, 12, 17):
        diary.opens(hours.on(day, 9.2), "monthly-notes")


def researches(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Reads, downloads, attends: an MQL that then fades without a word."""
    diary.visits(hours.on(2, 10), "/", "/blog/measuring-intent", source=SEARCH)
    diary.visits(hours.on(4, 14), "/case-studies/robotics", source=SEARCH, minutes=2.5)
    diary.tells(hours.on(5, 10.4), **person.profile)
    diary.downloads(hours.on(5, 10.5), "handbook", "TOP", "The handbook of lead scoring")
    diary.does(hours.on(7, 16), "webinar_attended", "Scores that explain themselves")


def asks_and_goes_quiet(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Answers an email, looks around, is not heard of again: an MQL that cools within the thirty days."""
    diary.tells(hours.on(1, 8.6), **person.profile)
    diary.opens(hours.on(1, 9), "invitation")
    diary.does(hours.on(1, 9.2), "email_reply", "invitation")
    # Email fades fastest, so most of it has to come from there to be gone within four weeks.
    diary.visits(hours.on(1, 9.3), "/", "/product", source=NEWSLETTER, minutes=1.5)
    diary.visits(hours.on(1, 9.5), "/product/integrations", minutes=2.5)


def buys(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Compares, comes back, books a demo: MQL, then SQL, then sales takes over."""
    diary.visits(hours.on(4, 9.5), "/", "/product", "/pricing", source=ADVERT)
    diary.tells(hours.on(4, 9.8), **person.profile)
    diary.visits(hours.on(6, 11), "/pricing", "/case-studies/airways", minutes=2.2)
    diary.downloads(hours.on(6, 11.3), "security-paper", "MIDDLE", "Security in detail")
    diary.visits(hours.on(9, 15), "/demo")
    diary.books_demo(hours.on(9, 15.1), "BOOKED")
    diary.hears_from_sales(hours.on(10, 9), "ACCEPTED")
    diary.books_demo(hours.on(12, 14), "ATTENDED")
    diary.tells(hours.on(12, 15), budget="CONFIRMED", need="CONFIRMED", authority="CONFIRMED")
    diary.hears_from_sales(hours.on(15, 10), "OPPORTUNITY")


def decides_alone(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Keeps coming back with buyer's content in hand: an SQL by the path `returning`, without a demo."""
    diary.tells(hours.on(8, 9.1), **person.profile)
    diary.visits(hours.on(8, 9.2), "/product", "/product/integrations", source=SEARCH)
    diary.visits(hours.on(10, 13), "/case-studies/finance")
    diary.downloads(hours.on(10, 13.2), "comparison", "BOTTOM", "Vendors compared")
    diary.visits(hours.on(13, 17), "/pricing", minutes=3)


def is_in_a_hurry(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Reads everything within two days: an SQL by sheer interest, the path `hot`."""
    diary.tells(hours.on(16, 8.3), **person.profile)
    diary.visits(hours.on(16, 8.4), "/pricing", "/product", "/pricing", source=SOCIAL, minutes=3)
    diary.downloads(hours.on(16, 9), "roi-calculator", "BOTTOM", "Return on investment, calculated")
    diary.does(hours.on(16, 15), "webinar_attended", "From visitor to customer")
    diary.visits(hours.on(17, 8.2), "/pricing", "/case-studies/energy", "/case-studies/airways", minutes=3)
    diary.visits(hours.on(17, 10.2), "/pricing", "/product/security", minutes=3)


def studies(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Reads as keenly as any buyer, then says who it is: disqualified by the negative persona."""
    diary.visits(hours.on(11, 19), "/blog/forward-decay", "/case-studies/robotics", source=SEARCH, minutes=4)
    diary.downloads(hours.on(11, 19.5), "handbook", "TOP", "The handbook of lead scoring")
    diary.tells(hours.on(12, 18), **person.profile)
    diary.visits(hours.on(12, 18.1), "/pricing", minutes=2)


def unsubscribes(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """An MQL that has had enough of our emails: falls back to lead at once."""
    diary.tells(hours.on(10, 10), **person.profile)
    diary.visits(hours.on(10, 10.2), "/case-studies/hotels", source=NEWSLETTER)
    diary.does(hours.on(11, 15), "webinar_attended", "Scores that explain themselves")
    diary.visits(hours.on(11, 16.5), "/pricing")
    diary.opens(hours.on(14, 9), "monthly-notes")
    diary.does(hours.on(14, 9.1), "unsubscribe", "monthly-notes")
    diary.tells(hours.on(14, 9.1), unsubscribed=True)


def works_alone(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Wants it badly, but is no fit for a sales conversation: the self-serve offer, LOW_TOUCH."""
    diary.tells(hours.on(13, 11), **person.profile)
    for day in (13, 14):
        diary.visits(hours.on(day, 11.2), "/pricing", "/pricing", "/case-studies/software", minutes=2.5)
    diary.downloads(hours.on(14, 12), "comparison", "BOTTOM", "Vendors compared")
    diary.visits(hours.on(15, 20), "/pricing", "/pricing", "/case-studies/clinic", minutes=3)


def is_turned_down(diary: Diary, person: Person, hours: OfficeHours) -> None:
    """Books a demo, sales finds no budget: rests, and later interest doesn't bring it back."""
    diary.visits(hours.on(3, 13), "/", "/demo", source=SOCIAL)
    diary.tells(hours.on(2, 15), **person.profile)
    diary.books_demo(hours.on(3, 13.2), "BOOKED")
    diary.hears_from_sales(hours.on(5, 17), "REJECTED", "no_budget")
    diary.visits(hours.on(12, 10), "/pricing", "/product", minutes=3)
    diary.visits(hours.on(13, 10), "/pricing", minutes=3)


CAST: tuple[tuple[Person, Story], ...] = (
    (Person("Reader", "Director of quality", people.BAKERY), reads_newsletters),
    (Person("Researcher", "Researcher", people.SOFTWARE), researches),
    (Person("Planner", "Head of planning", people.AIRWAYS), asks_and_goes_quiet),
    (Person("Buyer", "Director of procurement", people.ROBOTICS), buys),
    (Person("Risk lead", "VP risk", people.FINANCE), decides_alone),
    (Person("Strategist", "Head of strategy", people.ENERGY), is_in_a_hurry),
    (Person("Student", "Student", people.UNIVERSITY), studies),
    (Person("Organiser", "Director of travel", people.TRAVEL), unsubscribes),
    (Person("Freelancer", "Freelance designer", people.STUDIO), works_alone),
    (Person("Manager", "Chief information officer", people.HOTELS), is_turned_down),
)
