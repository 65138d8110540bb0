"""The compiled short way beside the Python that decides: the same bytes, whatever comes."""

from __future__ import annotations

import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import pytest
from handmade import BUYER, DAY, DEFAULT, HOUR, MINUTE, START, by_kind, facts_by_kind, when
from hypothesis import given
from hypothesis import strategies as st
from model_events import drawn_event
from model_files import TEXTS, model_file, written

from streams.engine.clock import Clock
from streams.engine.compiled import compiled
from streams.engine.merge import Decoded
from streams.engine.partition import PartitionState, StateBatch
from streams.engine.seam import Effects, PlainRecord
from streams.fastpath.pageviews import MODULE, ViewReader
from streams.modelfile import read_model
from streams.partitioning import murmur2, partition_of
from streams.processing import LeadLogic
from streams.qualification.events import Ignored, Transition
from streams.qualification.memory import host_of
from streams.qualification.model.loading import load_model
from streams.qualification.model.values import Fact, Group, Inactivity, Matrix, Model, Noise, PointsPer, Rule, SqlPath
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.validation import misplaced

NATIVE: Any = compiled(MODULE)
CODEC = Codec()
#: Two partitions, so that some leads are strays.
PARTITIONS = 2
SHIPPED = [read_model(None), read_model(Path(__file__).parents[3] / "deploy" / "models" / "x-education.yaml")]

_SITES = ["https://example.com", "https://Example.COM:443", "http://shop.example.com", "HTTPS://example.com"]
_PATHS = ["/", "", "/pricing", "/pricing?plan=a", "/case-studies/robots", "/blog/ü", "/" + "é" * 700, "?q=1", "#top"]
_ODD = [
    "", "not an address", "//example.com/x", "https://user@example.com/", "https://[::1]/", "https://exa mple.com",
    "https://example.com\t/x", "https://exa\nmple.com/", "android-app://com.google", "https://münchen.example/",
    "https://example.com:x/", "https://example.com\\x", " https://example.com/", "https://[bad", "http:/example.com",
]  # fmt: skip
_PIECES = [
    "http", "HTTPS", "https", "://", ":", "/", "?", "#", "@", "example.com", "Example.com", "a", "ü", "[", "]", "\t",
    "\\", " ", ".", "-", "8", "%20",
]  # fmt: skip
_AGENTS = [
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

    def refused(self, topic: str, bad: BadRecord) -> None:
        self.counts[bad.error] += 1

    def strayed(self, topic: str) -> None:
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

    def batch(self, records: Sequence[PlainRecord], now: int) -> Effects:
        items: list[Decoded] = []
        for topic in dict.fromkeys(record.topic for record in records):
            chunk = [record for record in records if record.topic == topic]
            shortcut, decode = self.logic.shortcut, self.logic.decode
            found = [decode(one) for one in chunk] if shortcut is None else shortcut.decode(chunk, decode)
            items += zip(chunk, found, strict=True)
        items.sort(key=lambda pair: pair[0].offset)
        due = self.state.take_due(now, 500)
        batch = StateBatch(self.state, self.logic)
        self.logic.begin(batch)
        batch.run_due(due, now)
        batch.run(items, Clock("wall", MINUTE))
        effects = batch.effects(items)
        self.state.apply(effects)
        return effects


def views(dice: Random, at: int, lead_id: str) -> dict[str, Any]:
    """A page view such as people, crawlers and broken scripts send."""
    url = dice.choice(_ODD) if dice.random() < 0.15 else dice.choice(_SITES) + dice.choice(_PATHS)
    referrer = dice.choice([None, None, "", *_ODD, *(site + "/from" for site in _SITES)])
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
        "user_agent": dice.choice(_AGENTS) if dice.random() < 0.2 else _AGENTS[2],
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
        records.append(PlainRecord(topic, 0, offset, now, key, value))
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


def _both(model: Model, stream: Iterable[list[PlainRecord]]) -> tuple[Way, Way]:
    """The same stream both ways; all that a batch does must be the same, byte for byte."""
    short, long = Way(model, True), Way(model, False)
    now = 0
    for records in stream:
        now = max([now, *(record.timestamp - MINUTE for record in records)])
        assert short.batch(records, now) == long.batch(records, now)
    assert short.state.values == long.state.values
    assert short.counted.counts == long.counted.counts
    return short, long


def test_where_there_are_python_headers_there_is_a_compiled_part() -> None:
    assert (Path(sysconfig.get_path("include")) / "Python.h").is_file() == (NATIVE is not None)


@given(st.integers(0, 2**32))
def test_both_ways_lead_to_the_same_bytes(seed: int) -> None:
    _both(models(Random(seed)), stream(seed))


@given(st.integers(0, 2**32), st.booleans())
def test_both_ways_lead_to_the_same_bytes_whatever_the_model_file_says(seed: int, odd: bool) -> None:
    model = load_model(written(model_file(Random(seed), odd=odd, views=True)))
    _both(model, any_stream(Random(seed)))


def any_stream(dice: Random) -> Iterator[list[PlainRecord]]:
    """Batches of events of every kind, with fields that the conditions of drawn model files ask for."""
    now = START
    for batch in range(12):
        records = []
        for number in range(batch * 10, batch * 10 + dice.randint(1, 10)):
            now += dice.choice([0, 1, MINUTE, HOUR, DAY, dice.randrange(9 * DAY)])
            at, lead_id = now - dice.choice([0] * 8 + [MINUTE, 5 * DAY]), dice.choice(["a", "b", "c", "dd", "ü"])
            topic, event = drawn_event(dice, number, at, lead_id)
            if dice.random() < 0.6:
                few = {
                    "url": dice.choice(TEXTS),
                    "title": dice.choice(TEXTS),
                    "duration_ms": dice.choice([0, 59_999, 2**53 - 1]),
                }
                topic, event = "page-views", views(dice, at, lead_id) | (few if dice.random() < 0.5 else {})
            records.append(PlainRecord(topic, 0, number, now, lead_id.encode(), CODEC.encode(topic, event)))
        yield records


def test_nearly_all_of_what_visitors_look_at_goes_the_short_way() -> None:
    way = Way(SHIPPED[0], True)
    dice = Random(1)
    leads = [one for one in (f"lead-{n}" for n in range(60)) if partition_of(one.encode(), PARTITIONS) == 0]
    records = []
    for number in range(600):
        lead_id, at = dice.choice(leads), START + number * MINUTE
        event = {"event_id": str(number), "lead_id": lead_id, "occurred_at": at, "user_agent": dice.choice(_AGENTS)}
        value = CODEC.encode("page-views", {**event, "url": dice.choice(_SITES) + dice.choice(_PATHS)})
        records.append(PlainRecord("page-views", 0, number, at, lead_id.encode(), value))
    for first in range(0, 600, 50):
        way.batch(records[first : first + 50], START)
    assert way.handled < 30
    assert way.counted.counts["bot"] > 0


def test_a_view_that_was_read_under_one_model_is_judged_by_the_next() -> None:
    """Also by one that the short way can't serve."""
    way = Way(SHIPPED[0], True)
    event = {"event_id": "1", "lead_id": "lead-0", "occurred_at": START, "url": "https://example.com/pricing"}
    key = next(b"lead-%d" % n for n in range(9) if partition_of(b"lead-%d" % n, PARTITIONS) == 0)
    value = CODEC.encode("page-views", {**event, "lead_id": key.decode()})
    records = [PlainRecord("page-views", 0, n, START, key, value) for n in range(2)]
    shortcut = way.logic.shortcut
    assert shortcut is not None
    items = list(zip(records, shortcut.decode(records, way.logic.decode), strict=True))
    assert type(items[1][1]).__name__ == "View"
    fact = Fact("looked", "page_view", when("page_view"))
    way.logic.offer(replace(SHIPPED[0], version="next", facts={"looked": fact}, facts_on={"page_view": (fact,)}))
    batch = StateBatch(way.state, way.logic)
    way.logic.begin(batch)
    assert way.logic.shortcut is None
    batch.run(items, Clock("wall", MINUTE))
    assert batch.effects(items).changed.keys() == {key}
    assert way.counted.counts == {"duplicate": 1}


@given(st.text(max_size=400))
def test_event_ids_are_digested_alike(text: str) -> None:
    assert NATIVE.event_digest(text) == blake2b(text.encode(), digest_size=8).digest()


@given(st.binary(max_size=60))
def test_keys_are_hashed_alike(key: bytes) -> None:
    assert NATIVE.murmur2(key) == murmur2(key)


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


#: Where UTF-8 begins to be none: every first and second byte at the edge of a range.
_EDGES = [b"abcdefgh", *(bytes([one]) for one in b"\x41\x80\xbf\xc0\xc2\xe0\xa0\xed\x9f\xf0\x90\xf4\x8f")]


@given(
    st.one_of(
        st.binary(max_size=30),
        st.text(max_size=20).map(str.encode),
        st.lists(st.sampled_from(_EDGES)).map(b"".join),
    )
)
def test_text_is_text_to_both(raw: bytes) -> None:
    assert NATIVE.is_utf8(raw) == _decodes(raw)


@contextmanager
def _plain_decoder() -> Iterator[Any]:
    way = Way(SHIPPED[0], True)
    assert way.logic.shortcut is not None
    yield way.logic


@given(st.integers(0, 2**32))
def test_what_is_read_is_what_the_other_decoder_takes(seed: int) -> None:
    """Bytes in disorder, at any place: taken by both, with the same time, or by neither."""
    dice = Random(seed)
    with _plain_decoder() as logic:
        good = PlainRecord("page-views", 0, 0, START, b"a", CODEC.encode("page-views", views(dice, START, "a")))
        logic.shortcut.decode([good], logic.decode)
        records = []
        for number in range(40):
            value = bytearray(CODEC.encode("page-views", views(dice, START - number, "a")))
            for _ in range(dice.choice([0, 0, 1, 2])):
                place = dice.randrange(min(len(value), 60))
                value[place : place + dice.randrange(2)] = dice.randbytes(dice.randrange(3))
            arrival = dice.choice([START, START - 10 * DAY, START + 400 * DAY, START + 401 * DAY])
            records.append(
                PlainRecord("page-views", 0, number, arrival, dice.choice([b"a", b"a", b"b", b"", None]), bytes(value))
            )
        for record, item in zip(records, logic.shortcut.decode(records, logic.decode), strict=True):
            plain = logic.decode(record)
            assert item.time == plain.time
            fields = CODEC.decode_valid("page-views", record.value)
            right = fields is not None and misplaced("page-views", fields, record.timestamp, record.key) is None
            assert (type(item).__name__ == "View") == right


@given(st.integers(0, 2**32))
def test_a_referrer_of_the_same_host_is_told_alike(seed: int) -> None:
    dice = Random(seed)
    key = next(b"lead-%d" % n for n in range(9) if partition_of(b"lead-%d" % n, PARTITIONS) == 0)
    short, long = Way(SHIPPED[0], True), Way(SHIPPED[0], False)
    for number in range(20):
        url, referrer = ("".join(dice.choices(_PIECES, k=dice.randrange(7))) for _ in range(2))
        if dice.random() < 0.5:
            url, referrer = f"https://{url}", f"http://{referrer}"
        host_of(url)
        event = {
            "event_id": str(number),
            "lead_id": key.decode(),
            "occurred_at": START,
            "url": url,
            "referrer": referrer,
        }
        record = PlainRecord("page-views", 0, number, START, key, CODEC.encode("page-views", event))
        assert short.batch([record], START) == long.batch([record], START)


def test_a_model_that_looks_at_page_views_for_facts_goes_the_long_way(caplog: pytest.LogCaptureFixture) -> None:
    fact = Fact("looked", "page_view", when("page_view"))
    model = replace(DEFAULT, facts={"looked": fact}, facts_on={"page_view": (fact,)})
    with caplog.at_level("INFO"):
        reader = ViewReader.compiled(CODEC)
        assert reader is not None
        assert reader.under(model, 1, Counted()) is None
    assert "facts of page views" in caplog.text


def test_a_model_with_numbers_that_the_compiled_part_can_not_hold_goes_the_long_way() -> None:
    per = PointsPer("duration_ms", 1.0, 1.0, 2**40)
    model = replace(DEFAULT, rules=by_kind([Rule("long", "page_view", when("page_view"), "web", points_per=per)]))
    reader = ViewReader.compiled(CODEC)
    assert reader is not None
    assert reader.under(model, 1, Counted()) is None
