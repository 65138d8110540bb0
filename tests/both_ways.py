"""A partition that takes page views by the compiled short way, and one that does not, with what they may meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from handmade import BUYER, DAY, DEFAULT, HOUR, MINUTE, START, by_kind, facts_by_kind, when
from record_batches import as_fetched, last_of

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.merge import Decoded
from streams.engine.partition import PartitionState
from streams.engine.seam import Effects, PlainRecord
from streams.modelfile import read_model
from streams.processing import LeadLogic
from streams.qualification.events import Ignored, Transition
from streams.qualification.model.values import Fact, Group, Inactivity, Matrix, Model, Noise, PointsPer, Rule, SqlPath
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec

CODEC = Codec()
#: Two partitions, so that some leads are strays.
PARTITIONS = 2
SHIPPED = [read_model(None), read_model(Path(__file__).parents[1] / "deploy" / "models" / "x-education.yaml")]

SITES = ["https://example.com", "https://Example.COM:443", "http://shop.example.com", "HTTPS://example.com"]
PATHS = ["/", "", "/pricing", "/pricing?plan=a", "/case-studies/robots", "/blog/ü", "/" + "é" * 700, "?q=1", "#top"]
_ODD = [
    "", "not an address", "//example.com/x", "https://user@example.com/", "https://[::1]/", "https://exa mple.com",
    "https://example.com\t/x", "https://exa\nmple.com/", "android-app://com.google", "https://münchen.example/",
    "https://example.com:x/", "https://example.com\\x", " https://example.com/", "https://[bad", "http:/example.com",
]  # fmt: skip
AGENTS = [
    None, "", "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0", "Googlebot/2.1 (+http://www.google.com/bot.html)",
    "curl/8.5.0", "Mozilla/5.0 " + "x" * 2_000, "браузер",
]  # fmt: skip
_ADDRESSES = [
    None, "", "203.0.113.7", "10.1.2.3", " 10.1.2.3 ", "10.1.2.3\n", "::ffff:10.0.0.1", "fd00::1", "010.1.2.3",
    "10.1.2", "256.1.1.1", "10.1.2.3.4", "192.168.0.9", "x" * 200, "2001:db8::1",
]  # fmt: skip


class Counted:
    """What is counted, by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def happened(self, one: Transition, partition: int, arrival: int | None) -> None:
        self.counts[one.reason if isinstance(one, Ignored) else type(one).__name__] += 1

    def ignored(self, reason: str, records: int, partition: int) -> None:
        self.counts[reason] += records

    def refused(self, topic: str, bad: BadRecord, partition: int) -> None:
        self.counts[bad.error] += 1

    def strayed(self, topic: str, partition: int) -> None:
        self.counts["strayed"] += 1


class Way:
    """A partition that handles records, with the compiled part or without it."""

    def __init__(self, model: Model, short: bool) -> None:
        self.counted = Counted()
        with pytest.MonkeyPatch.context() as patch:
            if not short:
                patch.setenv("LEADSTREAM_PURE", "1")
            self.logic = LeadLogic(CODEC, model, PARTITIONS, lambda: START, self.counted, "app")
        assert (self.logic.shortcut is not None) == short
        self.state = PartitionState(0, PARTITIONS)
        self.handled = 0
        handle = self.logic.handle

        def counting(*args: Any) -> None:
            self.handled += 1
            handle(*args)

        self.logic.handle = counting  # type: ignore[method-assign]

    def batch(self, records: Sequence[PlainRecord], now: int | None, cuts: Sequence[int] = ()) -> Effects:
        """One batch of what is due at `now` and of the records, handed over in pieces that begin at `cuts`."""
        items = self.decoded(records)
        due = [] if now is None else self.state.take_due(now, 500)
        batch = StateBatch(self.state, self.logic)
        self.logic.begin(batch)
        batch.run_due(due, now or 0)
        for first, end in pairwise([0, *cuts, len(items)]):
            batch.run(items[first:end], Clock("wall", MINUTE))
        effects = batch.effects(last_of(items))
        self.state.apply(effects)
        return effects

    def decoded(self, records: Sequence[PlainRecord]) -> list[Decoded]:
        """Each record with its item, as records of one topic after the other are read, in the order of offsets."""
        items: list[Decoded] = []
        for topic in dict.fromkeys(record.topic for record in records):
            chunk = [record for record in records if record.topic == topic]
            shortcut, decode = self.logic.shortcut, self.logic.decode
            if shortcut is None:
                items += [(one, decode(one)) for one in chunk]
            else:  # objects, or as they lie in a batch
                items += shortcut.decode(as_fetched(chunk) if len(chunk) % 2 else chunk, decode)
        items.sort(key=lambda pair: pair[0].offset)
        return items


def views(dice: Random, at: int, lead_id: str) -> dict[str, Any]:
    """A page view such as people, crawlers and broken scripts send."""
    url = dice.choice(_ODD) if dice.random() < 0.15 else dice.choice(SITES) + dice.choice(PATHS)
    referrer = dice.choice([None, None, "", *_ODD, *(site + "/from" for site in SITES)])
    return {
        "event_id": f"{lead_id}/{dice.randrange(40)}" if dice.random() < 0.1 else f"{dice.getrandbits(64):x}" * 9,
        "lead_id": lead_id,
        "occurred_at": at,
        "url": url,
        "duration_ms": dice.choice([None, 0, 1, 29_999, 60_000, 61_234, 10**9, 2**53 - 1]),
        "session_id": dice.choice([None, "s"]),
        "referrer": referrer,
        "title": dice.choice([None, "Prices", "Títle"]),
        "utm_source": dice.choice([None, None, "", "news", "ü" * 499 + "ab"]),
        "utm_medium": dice.choice([None, None, "email"]),
        "utm_campaign": dice.choice([None, None, "spring"]),
        "user_agent": dice.choice(AGENTS) if dice.random() < 0.2 else AGENTS[2],
        "ip": dice.choice(_ADDRESSES),
    }


def others(dice: Random, at: int, lead_id: str) -> tuple[str, dict[str, Any]]:
    """Something else that happens to a lead."""
    common = {"event_id": f"{dice.getrandbits(64):x}", "lead_id": lead_id, "occurred_at": at}
    return dice.choice(
        [
            ("lead-profiles", {**common, **BUYER}),
            ("lead-profiles", {**common, "email": "a@example.com", "job_title": dice.choice(["Clerk", "Student"])}),
            ("activities", {**common, "kind": dice.choice(["unsubscribe", "webinar_attended", "other"])}),
            ("downloads", {**common, "asset_id": "paper", "funnel_stage": dice.choice(["TOP", "BOTTOM"])}),
            ("demo-bookings", {**common, "booking_id": "b", "status": dice.choice(["BOOKED", "CANCELLED"])}),
            ("sales-feedback", {**common, "disposition": dice.choice(["REJECTED", "LOST", "WON"])}),
            ("erasures", common),
        ]
    )


def stream(seed: int, length: int = 120) -> Iterator[list[PlainRecord]]:
    """Batches of records of a few leads, mostly page views, mostly in order."""
    dice = Random(seed)
    leads = [f"lead-{dice.randrange(9)}" for _ in range(3)] + ["ü", "x" * 300]
    now = START + 500 * DAY
    gap = dice.choice([MINUTE, HOUR, 5 * HOUR, 4 * DAY])
    records: list[PlainRecord] = []
    for offset in range(length):
        now += dice.randrange(gap)
        at = now - (dice.randrange(3 * DAY) if dice.random() < 0.1 else 0) + (dice.random() < 0.05) * HOUR
        if dice.random() < 0.02:
            at = now - 399 * DAY + dice.randrange(2 * DAY)
        lead_id = dice.choice(leads)
        known = dice.random() < 0.12
        topic, event = others(dice, at, lead_id) if known else ("page-views", views(dice, at, lead_id))
        value = CODEC.encode(topic, event)
        if dice.random() < 0.03:
            value = value[: dice.randrange(len(value))] + dice.choice([b"", b"\xff\xff", b"\x00"])
        key = lead_id.encode() if dice.random() > 0.02 else dice.choice([b"", b"other"])
        arrival = dice.choice([-1, 0]) if dice.random() < 0.01 else now  # some producers send no timestamp
        records.append(PlainRecord(topic, 0, offset, arrival, key, value))
        if dice.random() < 0.1:
            yield records
            records = []
    yield records


def models(dice: Random) -> Model:
    """A model whose rules are about page views, of every kind that there is."""
    if dice.random() < 0.3:
        return dice.choice(SHIPPED)
    names = ["first", "second", "thïrd"][: dice.randint(1, 3)]
    groups = {
        name: Group(
            name,
            dice.choice([5 * DAY, 30 * DAY, 45 * DAY + 1]),
            floor=dice.choice([None, 0.0, -30.0]),
            cap=dice.choice([None, 40.0, 100.0]),
        )
        for name in names
    }
    conditions: list[dict[str, Any]] = [
        {}, {"url": "*/pricing*"}, {"url": "*case*"}, {"utm_source": ["news", "mail"]}, {"title": {"lacks": "Prices"}},
        {"duration_ms": {"at_least": 30_000}}, {"referrer": "*example*", "url": "*/*"}, {"utm_medium": "email"},
    ]  # fmt: skip
    rules = []
    for number in range(dice.randint(0, 6)):
        per = PointsPer("duration_ms", dice.choice([1.0, 0.3, 60_000.0]), dice.choice([1.0, 0.1, -2.0]), 5)
        flat: dict[str, Any] = {"points": float(dice.choice([-25, -1, 0, 1, 2.5, 10, 30]))}
        rules.append(
            Rule(
                f"rule {number}",
                "page_view",
                when("page_view", **dice.choice(conditions)),
                dice.choice(names),
                at_most=dice.choice([None, 1, 3]),
                also=dice.random() < 0.5,
                **(flat if dice.random() < 0.7 else {"points_per": per}),
            )
        )
    rules.append(Rule("any", "activity", when("activity"), names[0], points=12.0))
    facts = (Fact("asked", "activity", when("activity", kind="other")),)
    return replace(
        DEFAULT,
        version=f"drawn-{dice.random()}",
        groups=groups,
        rules=by_kind(rules),
        facts={fact.name: fact for fact in facts},
        facts_on=facts_by_kind(facts),
        inactivity=dice.choice([None, Inactivity(2 * DAY, names[-1], -8.0)]),
        matrix=Matrix(
            40.0, 10.0, 40.0, ("NONE", "NURTURE", "SALES"), ("NONE", dice.choice(["NONE", "LOW_TOUCH"]), "LOW_TOUCH")
        ),
        sql_paths=(SqlPath("hot", interest=40.0, fit=40), *dice.choice([(), (SqlPath("seen", fact="asked"),)])),
        visitor_ttl_ms=dice.choice([3 * DAY, 180 * DAY]),
        noise=Noise(10_000, dice.choice([(), (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))]), dice.random() < 0.7),
    )  # fmt: skip
