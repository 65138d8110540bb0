"""The compiled short way beside the Python that decides: the same bytes, whatever comes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from random import Random
from typing import Any

import pytest
from both_ways import AGENTS, CODEC, PARTITIONS, PATHS, SHIPPED, SITES, Counted, Way, models, stream, views
from handmade import DAY, DEFAULT, HOUR, MINUTE, START, by_kind, when
from hypothesis import example, given
from hypothesis import strategies as st
from model_events import drawn_event
from model_files import TEXTS, model_file, written
from record_batches import as_fetched

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.compiled import compiled
from streams.engine.seam import PlainRecord
from streams.fastpath.pageviews import MODULE, ViewReader
from streams.partitioning import murmur2, partition_of
from streams.qualification.memory import host_of
from streams.qualification.model.loading import load_model
from streams.qualification.model.values import Fact, Model, PointsPer, Rule
from streams.wire.validation import misplaced

NATIVE: Any = compiled(MODULE)
pytestmark = pytest.mark.skipif(NATIVE is None, reason="Python is here without its headers")
#: A lead of the partition at hand.
KEY = next(b"lead-%d" % n for n in range(9) if partition_of(b"lead-%d" % n, PARTITIONS) == 0)

_PIECES = [
    "http", "HTTPS", "https", "://", ":", "/", "?", "#", "@", "example.com", "Example.com", "a", "ü", "[", "]", "\t",
    "\\", " ", ".", "-", "8", "%20",
]  # fmt: skip


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


@example(195)  # a record without a timestamp, of the day before all days
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
        event = {"event_id": str(number), "lead_id": lead_id, "occurred_at": at, "user_agent": dice.choice(AGENTS)}
        value = CODEC.encode("page-views", {**event, "url": dice.choice(SITES) + dice.choice(PATHS)})
        records.append(PlainRecord("page-views", 0, number, at, lead_id.encode(), value))
    for first in range(0, 600, 50):
        way.batch(records[first : first + 50], START)
    assert way.handled < 30
    assert way.counted.counts["bot"] > 0


def test_a_view_that_was_read_under_one_model_is_judged_by_the_next() -> None:
    """Also by one that the short way can't serve."""
    way = Way(SHIPPED[0], True)
    event = {"event_id": "1", "lead_id": "lead-0", "occurred_at": START, "url": "https://example.com/pricing"}
    value = CODEC.encode("page-views", {**event, "lead_id": KEY.decode()})
    records = [PlainRecord("page-views", 0, n, START, KEY, value) for n in range(2)]
    shortcut = way.logic.shortcut
    assert shortcut is not None
    items = shortcut.decode(records, way.logic.decode)
    assert type(items[1][1]).__name__ == "View"
    fact = Fact("looked", "page_view", when("page_view"))
    way.logic.offer(replace(SHIPPED[0], version="next", facts={"looked": fact}, facts_on={"page_view": (fact,)}))
    batch = StateBatch(way.state, way.logic)
    way.logic.begin(batch)
    assert way.logic.shortcut is None
    batch.run(items, Clock("wall", MINUTE))
    assert batch.effects({}).changed.keys() == {KEY}
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
        for record, item in logic.shortcut.decode(records, logic.decode):
            plain = logic.decode(record)
            assert item.time == plain.time
            fields = CODEC.decode_valid("page-views", record.value)
            right = fields is not None and misplaced("page-views", fields, record.timestamp, record.key) is None
            assert (type(item).__name__ == "View") == right


@given(st.integers(0, 2**32))
def test_a_referrer_of_the_same_host_is_told_alike(seed: int) -> None:
    dice = Random(seed)
    short, long = Way(SHIPPED[0], True), Way(SHIPPED[0], False)
    for number in range(20):
        url, referrer = ("".join(dice.choices(_PIECES, k=dice.randrange(7))) for _ in range(2))
        if dice.random() < 0.5:
            url, referrer = f"https://{url}", f"http://{referrer}"
        host_of(url)
        event = {
            "event_id": str(number),
            "lead_id": KEY.decode(),
            "occurred_at": START,
            "url": url,
            "referrer": referrer,
        }
        record = PlainRecord("page-views", 0, number, START, KEY, CODEC.encode("page-views", event))
        assert short.batch([record], START) == long.batch([record], START)


def test_a_model_that_looks_at_page_views_for_facts_goes_the_long_way(caplog: pytest.LogCaptureFixture) -> None:
    fact = Fact("looked", "page_view", when("page_view"))
    model = replace(DEFAULT, facts={"looked": fact}, facts_on={"page_view": (fact,)})
    with caplog.at_level("INFO"):
        reader = ViewReader.compiled(CODEC)
        assert reader is not None
        assert reader.under(model, 1, Counted()) is None
    assert "facts of page views" in caplog.text


def test_a_model_that_was_replaced_is_freed() -> None:
    reader = ViewReader.compiled(CODEC)
    assert reader is not None
    short = reader.under(DEFAULT, 1, Counted())
    assert short is not None
    known = weakref.ref(short)
    del short
    gc.collect()
    assert known() is None


@pytest.mark.parametrize("views_at_once", [1, 100])
@pytest.mark.parametrize(
    ("asks", "refused"),
    [
        (lambda way: way.logic.shortcut.run([], 0, StateBatch(way.state, way.logic)), "once at a time"),
        (lambda way: way.state.values.pop(KEY), "while it is read"),
        (lambda way: way.state.values.update({b"somebody": b"else"}), "while it is read"),
    ],
)
def test_what_python_is_asked_meanwhile_can_not_ask_back(
    monkeypatch: pytest.MonkeyPatch, views_at_once: int, asks: Callable[[Way], object], refused: str
) -> None:
    """The lead at hand is the stepper's own: a second one would be written into it, and states must stay where they
    are. Of few views and of many, for which the interpreter's lock is let go.
    """

    def asks_back(user_agent: str) -> bool:
        asks(way)
        return False

    monkeypatch.setattr("streams.fastpath.pageviews.is_bot", asks_back)
    way = Way(SHIPPED[0], True)
    event = views(Random(1), START, KEY.decode()) | {"user_agent": None, "ip": None}
    values = [
        CODEC.encode("page-views", event),
        CODEC.encode("page-views", event | {"user_agent": "a", "event_id": "2"}),
    ]
    plain, asking = (PlainRecord("page-views", 0, 0, START, KEY, value) for value in values)
    way.batch([plain, plain], START)  # the schema is met first
    with pytest.raises(RuntimeError, match=refused):
        way.batch([plain] * (views_at_once - 1) + [asking], START)
    way.state.values[b"somebody"] = b"else"


def test_what_goes_wrong_where_python_is_asked_is_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked on. Views before the one that it goes wrong with would ask of their hosts again."""

    def breaks(user_agent: str) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("streams.fastpath.pageviews.is_bot", breaks)
    way = Way(SHIPPED[0], True)
    event = {"lead_id": KEY.decode(), "occurred_at": START, "url": "https://example.com/", "referrer": "http://[::1]/"}
    records = [
        PlainRecord("page-views", 0, n, START, KEY, CODEC.encode("page-views", {**event, "event_id": str(n), **more}))
        for n, more in enumerate([{}, {}, {}, {"user_agent": "a"}])
    ]
    way.batch(records[:2], START)  # the schema is met first
    with pytest.raises(ZeroDivisionError):
        way.batch(records[2:], START)


def test_a_model_of_ages_goes_the_long_way() -> None:
    """Sums of its times would be more than 64 bits hold."""
    reader = ViewReader.compiled(CODEC)
    assert reader is not None
    group = replace(DEFAULT.groups["web"], half_life_ms=2**60)
    for model in (
        replace(DEFAULT, visitor_ttl_ms=2**60),
        replace(DEFAULT, grace_ms=2**60),
        replace(DEFAULT, groups={**DEFAULT.groups, "web": group}),
    ):
        assert reader.under(model, 1, Counted()) is None


def test_a_model_with_numbers_that_the_compiled_part_can_not_hold_goes_the_long_way() -> None:
    per = PointsPer("duration_ms", 1.0, 1.0, 2**40)
    model = replace(DEFAULT, rules=by_kind([Rule("long", "page_view", when("page_view"), "web", points_per=per)]))
    reader = ViewReader.compiled(CODEC)
    assert reader is not None
    assert reader.under(model, 1, Counted()) is None


def test_records_of_which_there_are_views_do_not_grow() -> None:
    """A view points into them, and they would move."""
    way = Way(SHIPPED[0], True)
    shortcut = way.logic.shortcut
    assert shortcut is not None
    event = {"event_id": "1", "lead_id": KEY.decode(), "occurred_at": START, "url": "https://example.com/"}
    fetched: Any = as_fetched([PlainRecord("page-views", 0, 0, START, KEY, CODEC.encode("page-views", event))])
    shortcut.decode(fetched, way.logic.decode)
    with pytest.raises(RuntimeError, match="grow"):
        fetched.add(b"", 0, 0, 0, 0, False, 0)
