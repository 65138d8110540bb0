"""Strategies of models and of what happens to one lead, and the walk of core and oracle side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, Protocol

import msgspec
from handmade import (
    BUYER,
    DAY,
    DEFAULT,
    HOUR,
    MINUTE,
    START,
    activity,
    booking,
    by_kind,
    download,
    erasure,
    event,
    facts_by_kind,
    feedback,
    page_view,
    pricing,
    profile,
    when,
)
from hypothesis import assume
from hypothesis import strategies as st
from oracle import CRAWLER, MAIL_PROXY, Oracle
from oracle_standing import Granted

from streams.qualification.events import Changed, Event, Qualified, Scored, Transition
from streams.qualification.lead import Lead
from streams.qualification.model.values import (
    Fact,
    FitRule,
    Group,
    Inactivity,
    Matrix,
    Model,
    MqlRule,
    Rest,
    Route,
    Rule,
    Sla,
    SqlPath,
    Visits,
)
from streams.qualification.state import pack, unpack
from streams.qualification.step import judged_at, step

DISPOSITIONS = ("ACCEPTED", "REJECTED", "MEETING_HELD", "OPPORTUNITY", "WON", "LOST", "UNKNOWN")
#: What a feedback answers: nothing by name, the last qualification, the first, or one that never was.
ABOUT = ("nothing", "last", "first", "foreign")

#: Makes an event at an instant; feedback also wants to know the qualifications so far. None: again the last.
Make = Callable[[int, Sequence[str]], Event] | None


@dataclass(frozen=True)
class Happening:
    """One event to be: `after_ms` later than the one before it, reaching us `late_ms` after it occurred."""

    make: Make
    words: str
    after_ms: int
    late_ms: int

    def __repr__(self) -> str:
        return f"+{self.after_ms / DAY:.2f}d {self.words}" + (
            f" late {self.late_ms / DAY:.2f}d" if self.late_ms else ""
        )


def _gaps() -> st.SearchStrategy[int]:
    return st.one_of(
        st.integers(0, 12).map(lambda hours: hours * HOUR),
        st.integers(0, 40).map(lambda whole: whole * DAY),
        st.integers(0, 5 * DAY),
        st.sampled_from([24 * HOUR, 30 * DAY, 100 * DAY, 180 * DAY]),
    )


def _lateness() -> st.SearchStrategy[int]:
    return st.one_of(
        st.just(0),
        st.just(0),
        st.just(0),
        st.integers(0, 10 * MINUTE),
        st.integers(0, 20).map(lambda whole: whole * DAY),
    )


def plain(words: str, make: Callable[[int], Event]) -> tuple[str, Make]:
    return words, lambda at, _: make(at)


def _answer(disposition: str, about: str, reason: str | None) -> tuple[str, Make]:
    def make(at: int, known: Sequence[str]) -> Event:
        named = {"nothing": None, "last": known[-1] if known else None, "first": known[0] if known else None}
        return feedback(at, disposition, named.get(about, "of another life"), reason=reason)

    return f"{disposition} about {about} ({reason})", make


def answers() -> st.SearchStrategy[tuple[str, Make]]:
    return st.builds(
        _answer,
        st.sampled_from(DISPOSITIONS),
        st.sampled_from(ABOUT),
        st.sampled_from([None, "no_budget", "competitor", "unheard of"]),
    )


def bookings() -> st.SearchStrategy[tuple[str, Make]]:
    def made(status: str, booking_id: str) -> tuple[str, Make]:
        return plain(f"{status} {booking_id}", lambda at: booking(at, status, booking_id))

    statuses = st.sampled_from(["BOOKED", "RESCHEDULED", "CANCELLED", "ATTENDED", "NO_SHOW", "UNKNOWN"])
    return st.builds(made, statuses, st.sampled_from(["one", "two"]))


_PROFILES: tuple[dict[str, Any], ...] = (
    {**BUYER},
    {"email": "vera@example.com"},
    {"employees": 500, "industry": "software"},
    {"employees": 10},
    {"job_title": "Head of Sales"},
    {"job_title": "student"},
    {"unsubscribed": True},
    {"unsubscribed": False},
    {"budget": "ABSENT"},
    {"budget": "CONFIRMED", "authority": "CONFIRMED", "need": "CONFIRMED"},
    {},
)


def profiles() -> st.SearchStrategy[tuple[str, Make]]:
    weighted = [*_PROFILES, _PROFILES[0], _PROFILES[0], _PROFILES[0]]
    return st.sampled_from(weighted).map(lambda fields: plain(f"profile {fields}", lambda at: profile(at, **fields)))


def behaviour(
    kinds: Sequence[str] = ("email_reply", "webinar_attended", "unsubscribe", "nothing known"),
) -> st.SearchStrategy[tuple[str, Make]]:
    return st.one_of(
        st.integers(0, 400_000).map(lambda ms: plain("page", lambda at: page_view(at, duration_ms=ms))),
        st.just(plain("pricing", pricing)),
        st.just(plain("case study", lambda at: page_view(at, "https://example.com/case-studies/1"))),
        st.just(plain("open", lambda at: event("email_open", at, email_id="mail-1"))),
        st.sampled_from(["TOP", "BOTTOM"]).map(lambda stage: plain(stage, lambda at: download(at, stage))),
        st.sampled_from(list(kinds)).map(lambda kind: plain(kind, lambda at: activity(at, kind))),
        bookings(),
    )


def _opened(at: int, **fields: Any) -> Event:
    return event("email_open", at, email_id="mail-1", **fields)


_OPENED = plain("open by a person", lambda at: _opened(at, sent_at=at - 60_000, ip="203.0.113.7"))
#: What nobody did. The same acts of a person are among the others.
_NOISE = [
    plain("pricing by a crawler", partial(pricing, user_agent=CRAWLER)),
    plain("pricing from within", partial(pricing, ip="10.1.2.3")),
    plain("open by a proxy", partial(_opened, user_agent=MAIL_PROXY)),
    plain("open by a scanner", lambda at: _opened(at, sent_at=at - 5_000)),
    _OPENED,
]


def happening_of(made: tuple[str, Make], after_ms: int, late_ms: int) -> Happening:
    return Happening(made[1], made[0], after_ms, late_ms)


def histories(*kinds: st.SearchStrategy[tuple[str, Make]], max_size: int = 14) -> st.SearchStrategy[list[Happening]]:
    """What happens to one lead, in the order in which it reaches us."""
    erased = st.just(plain("erasure", erasure))
    some = kinds or (behaviour(), behaviour(), profiles(), answers(), st.sampled_from(_NOISE), erased)
    some = (*some, _AGAIN)
    one = st.builds(happening_of, st.one_of(*some), _gaps(), _lateness())
    return st.lists(one, min_size=1, max_size=max_size)


_AGAIN: st.SearchStrategy[tuple[str, Make]] = st.just(("again", None))


def lively(pool: Sequence[tuple[str, Make]], length: int = 40) -> st.SearchStrategy[list[Happening]]:
    """Histories in which a buyer mostly comes first, and then much happens within weeks."""

    def history(seed: int, size: int) -> list[Happening]:
        dice = Random(seed)
        first = [happening_of(_BUYER, 0, 0)] if dice.random() < 0.8 else []
        gaps = [0, HOUR, 30 * DAY, *(dice.randint(0, most * DAY) for most in (3, 12, 60))]
        lates = [0] * 12 + [MINUTE, 10 * MINUTE, dice.randint(0, 30 * DAY)]
        rest = [happening_of(dice.choice(pool), dice.choice(gaps), dice.choice(lates)) for _ in range(length)]
        return [*first, *rest][:size]

    return st.builds(history, st.integers(0, 2**32), st.integers(length // 2, length))


_BUYER = plain("buyer", lambda at: profile(at, **BUYER))
_ANSWERS = [
    _answer(disposition, about, reason)
    for disposition in DISPOSITIONS
    for about in ABOUT
    for reason in (None, "no_budget", "competitor")
]
_SAID = [plain(f"profile {fields}", partial(profile, **fields)) for fields in _PROFILES]
_BOOKED = [
    plain(f"{status} {booking_id}", partial(booking, status=status, booking_id=booking_id))
    for status in ("BOOKED", "RESCHEDULED", "CANCELLED", "ATTENDED", "NO_SHOW")
    for booking_id in ("one", "two")
]
_DONE = [
    plain("email reply", partial(activity, kind="email_reply")),
    plain("webinar", partial(activity, kind="webinar_attended")),
    plain("unsubscribe", partial(activity, kind="unsubscribe")),
    *(plain(stage, partial(download, funnel_stage=stage)) for stage in ("TOP", "BOTTOM")),
    plain("pricing", pricing),
    plain("page", partial(page_view, duration_ms=200_000)),
    ("again", None),
]
#: What the default model gives points for so often a day and no more.
LIMITED = [plain("pricing", pricing), _OPENED]
#: As much as can happen to a lead, and mostly does not.
EVENTFUL = [*_DONE * 10, *_NOISE, *_SAID, *_BOOKED, *_ANSWERS[::3]]
#: For the default model: mostly behaviour, now and then a profile, a booking or an answer.
LIVELY = lively([*_DONE * 25, *_NOISE * 6, *_SAID * 2, *_BOOKED, *_ANSWERS[::3]])


def timed(history: Sequence[Happening]) -> Iterator[tuple[Happening, int, int]]:
    """Each happening with when it occurs and when it reaches us: late ones lie before some told earlier."""
    now = START
    for happening in history:
        now += happening.after_ms
        yield happening, now - happening.late_ms, now


# --- models ---------------------------------------------------------------------------------------------


def models() -> st.SearchStrategy[Model]:
    """Small models whose rules are about activities of the kinds `a`, `b`, ... and about demo bookings.

    They, and lively histories, come from dice: what Hypothesis draws by itself is mostly too dull for an MQL.
    """
    return st.integers(0, 2**32).map(lambda seed: _model(Random(seed)))


def _model(dice: Random) -> Model:
    names = ["first", "second", "third"][: dice.randint(1, 3)]
    groups = {
        name: Group(
            name,
            dice.choice([5 * DAY, 7 * DAY, 30 * DAY, 45 * DAY + 1]),
            floor=dice.choice([None, None, 0.0, -30.0]),
            cap=dice.choice([None, None, 40.0, 100.0]),
        )
        for name in names
    }
    rules = [
        Rule(
            f"rule {kind}",
            "activity",
            when("activity", kind=kind),
            dice.choice(names),
            points=float(dice.choice([-60, -25, 5, 12, 20, 20, 30, 30, 50])),
            at_most=dice.choice([None, None, 1, 2]),
        )
        for kind in "abcd"
    ]
    rules.append(Rule("any", "activity", when("activity"), names[0], points=1.0, also=dice.random() < 0.5))
    booked = when("demo_booking", status=["BOOKED", "ATTENDED"])
    rules.append(Rule("demo", "demo_booking", booked, names[-1], points=40.0))
    rules.append(Rule("no show", "demo_booking", when("demo_booking", status="NO_SHOW"), names[0], points=-20.0))
    cancelled = when("demo_booking", status=["CANCELLED", "NO_SHOW"])
    facts = (
        Fact("demo_booked", "demo_booking", when("demo_booking", status=["BOOKED", "RESCHEDULED"]), cancelled),
        Fact("asked", "activity", when("activity", kind="a"), when("activity", kind="b")),
    )
    warm = dice.choice([10.0, 20.0])
    hot = dice.choice([40.0, 60.0])
    hot_path = SqlPath("hot", interest=hot, fit=40)
    others = [
        SqlPath("demo", fact="demo_booked"),
        SqlPath("asked", fact="asked", within_ms=10 * DAY, interest=30.0),
        SqlPath("seen", visits=Visits(2, 7 * DAY), interest=25.0, fit=60),
        SqlPath("bant", bant=3, interest=15.0),
    ]
    warm_route: Route = dice.choice(["NONE", "LOW_TOUCH"])
    return replace(
        DEFAULT,
        version="drawn",
        groups=groups,
        rules=by_kind(rules),
        inactivity=dice.choice([None, Inactivity(10 * DAY, names[-1], -8.0), Inactivity(30 * DAY, names[0], -15.0)]),
        facts={fact.name: fact for fact in facts},
        facts_on=facts_by_kind(facts),
        fit=(*DEFAULT.fit, FitRule("unsubscribed", when("lead_profile", unsubscribed=True), -40.0)),
        matrix=Matrix(40.0, warm, hot, ("NONE", "NURTURE", "SALES"), ("NONE", warm_route, "LOW_TOUCH")),
        mql=MqlRule(
            warm,
            40.0,
            dice.choice([0.0, 0.25, 0.5, 0.9]),
            dice.choice([(), ("email",)]),
            DEFAULT.mql.blocked_by,
        ),
        sql_paths=(hot_path, *dice.sample(others, dice.randint(0, 4))),
        sla=dice.choice([None, Sla(DAY, 14 * DAY), Sla(HOUR, 2 * HOUR)]),
        rest=Rest(dice.choice([5 * DAY, 30 * DAY]), {"no_budget": 60 * DAY, "competitor": None}),
        visitor_ttl_ms=dice.choice([20 * DAY, 180 * DAY]),
    )


_ACTS = [plain(kind, partial(activity, kind=kind)) for kind in "abcdz"]
LIMITED_DRAWN = _ACTS[:2]
EVENTFUL_DRAWN = [*_ACTS * 15, *_SAID, *_BOOKED, *_ANSWERS[::3], plain("page", page_view)]
#: Lively ones for :func:`models`.
LIVELY_DRAWN = lively([*_ACTS * 30, *_SAID * 2, *_BOOKED, *_ANSWERS[::3], plain("page", page_view)], 25)


def drawn_histories() -> st.SearchStrategy[list[Happening]]:
    """Histories for :func:`models` that shrink well."""
    acts = st.sampled_from(list("aabbccddz")).map(lambda kind: plain(kind, lambda at: activity(at, kind)))
    page = st.just(plain("page", page_view))
    return histories(acts, acts, acts, page, bookings(), profiles(), profiles(), answers())


# --- core and oracle side by side -----------------------------------------------------------------------


class Telling(Protocol):
    """What grows while a history is told."""

    @property
    def qualifications(self) -> list[dict[str, Any]]: ...


@dataclass
class Walk:
    """What became of a history: the core's lead and all of its transitions, and the oracle."""

    lead: Lead | None
    transitions: list[Transition]
    oracle: Oracle

    @property
    def changes(self) -> list[dict[str, Any]]:
        return [one.record for one in self.transitions if isinstance(one, Changed)]

    @property
    def qualifications(self) -> list[dict[str, Any]]:
        return [one.record for one in self.transitions if isinstance(one, Qualified)]

    @property
    def scores(self) -> list[dict[str, Any] | None]:
        return [one.record for one in self.transitions if isinstance(one, Scored)]


def walk(history: Sequence[Happening], model: Model, *, packed: bool = False) -> Walk:
    """Let the history happen to core and oracle, event by event. Those that rounding decides are skipped."""
    oracle = Oracle(model)
    done = Walk(None, [], oracle)
    stream_time = 0
    for told in tell(history, done):
        lead = unpack(pack(done.lead)) if packed and done.lead is not None else done.lead
        at = judged_at(lead, told, stream_time, model)
        stream_time = max(stream_time, told.occurred_at)
        done.lead, transitions = step(lead, told, at, model)
        done.transitions += transitions
        oracle.handle(told)
        assume(not oracle.undecidable)
        name_granted(oracle.granted, done.qualifications)
    return done


def tell(history: Sequence[Happening], done: Telling) -> Iterator[Event]:
    """The events of the history in the order of telling, while `done` grows with what they bring about."""
    told: Event | None = None
    for number, (happening, occurred_at, arrival) in enumerate(timed(history)):
        if happening.make is not None:
            made = happening.make(occurred_at, [one["event_id"] for one in done.qualifications])
            told = msgspec.structs.replace(made, arrival=arrival, event_id=f"event-{number}")
        if told is not None:
            yield told


def name_granted(granted: Sequence[Granted], qualifications: Sequence[dict[str, Any]]) -> None:
    """Let the oracle know by what ids feedback may name what was granted."""
    assert len(granted) == len(qualifications), (granted, qualifications)
    for one, record in zip(granted, qualifications, strict=True):
        one.event_id = record["event_id"]
