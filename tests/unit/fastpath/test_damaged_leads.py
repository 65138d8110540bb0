"""Leads whose bytes are not as they were written: left alone, or taken as Python takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest
from both_ways import CODEC, SHIPPED, Way, stream, views
from handmade import DAY, MINUTE, START
from hypothesis import given
from hypothesis import strategies as st
from record_batches import as_fetched

from streams.engine.batch import StateBatch
from streams.engine.clock import Clock
from streams.engine.compiled import compiled
from streams.engine.envelope import PAYLOAD, wrap
from streams.engine.seam import Effects, PlainRecord
from streams.engine.table import Table
from streams.fastpath.pageviews import MODULE
from streams.qualification.lead import Lead
from streams.qualification.state import pack, unpack

pytestmark = pytest.mark.skipif(compiled(MODULE) is None, reason="Python is here without its headers")
MODEL = SHIPPED[0]
_WHOLE = [0, 1, -1, 127, 128, 2**32, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
_REAL = [0.0, -0.0, 5e-324, 1e308, -1e308, math.inf, -math.inf, math.nan, 40.0]
_TEXT = ["", "ü" * 300, "x" * 70_000, "visitor", "lead", "mql", "NONE", "NURTURE", "D"]
#: Further bytes, a number of more bits than there are, headers of what never ends.
_BYTES = [
    b"",
    b"\x00",
    b"\xc1",
    b"\xcf" + b"\xff" * 8,
    b"\xdf" + b"\xff" * 4,
    b"\xdd" + b"\xff" * 4,
    b"\xdb\xff\xff\xff\xff",
]


@cache
def _leads() -> list[tuple[bytes, bytes]]:
    """(key, packed lead) of all kinds, as they were after one batch or another: in the end most are erased."""
    found: dict[bytes, bytes] = {}
    for seed in range(12):
        way, now = Way(MODEL, False), 0
        for records in stream(seed):
            now = max([now, *(record.timestamp - MINUTE for record in records)])
            changed = way.batch(records, now).changed
            found |= {value[PAYLOAD:]: key for key, value in changed.items() if value is not None}
    return [(key, payload) for payload, key in found.items() if isinstance(unpack(payload), Lead)]


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for step, part in parts:
        yield (*place, step)
        yield from _places(part, (*place, step))


def _another(dice: Random, old: Any) -> Any:
    """Something in the place of a value, mostly of its kind."""
    if isinstance(old, bool) or old is None:
        return dice.choice([True, False, None])
    if isinstance(old, int):
        return dice.choice([*_WHOLE, old + 1, max(old - 1, _WHOLE[-1]), old + DAY])
    if isinstance(old, float):
        return dice.choice([*_REAL, -old, old * 2, 7])
    if isinstance(old, str):
        return dice.choice(_TEXT)
    if isinstance(old, bytes):
        return dice.choice([b"", old[:3], old * 9, old + b"1234567"])
    if isinstance(old, list):
        return dice.choice([[], old[:-1], [*old, None], old * 2, list(range(600)), None])
    return dice.choice([{}, None, {**old, "odd": 1}, {**old, 20_600: 2}, {str(n): {n: 1} for n in range(70)}])


def _damaged(dice: Random, payload: bytes) -> bytes:
    """The lead with other values in it, or with other bytes."""
    if dice.random() < 0.4:
        raw = bytearray(payload)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(raw) + 1)
            raw[place : place + dice.choice([0, 1, 1, 4, len(raw)])] = dice.choice([*_BYTES, dice.randbytes(2)])
        return bytes(raw)
    lead = msgspec.msgpack.decode(payload)
    for _ in range(dice.randint(1, 2)):
        *way, last = dice.choice(list(_places(lead)))
        within = lead
        for step in way:
            within = within[step]
        within[last] = _another(dice, within[last])
    if dice.random() < 0.05:
        lead = dice.choice([lead[:-1], [*lead, None]])
    return msgspec.msgpack.encode(lead)


def _taken(way: Way, key: bytes, envelope: bytes, record: PlainRecord, stream_time: int | None) -> Effects:
    way.state.values = Table({key: envelope})
    way.state.stream_time = stream_time
    shortcut, decode = way.logic.shortcut, way.logic.decode
    if shortcut is None:
        items = [(record, decode(record))]
    else:
        items = shortcut.decode(as_fetched([record]) if record.timestamp % 2 else [record], decode)
    batch = StateBatch(way.state, way.logic)
    way.logic.begin(batch)
    batch.run(items, Clock("wall", MINUTE))
    return batch.effects({})


@given(st.integers(0, 2**32))
def test_a_damaged_lead_goes_the_long_way_or_comes_to_the_same(seed: int) -> None:
    dice = Random(seed)
    short, long = Way(MODEL, True), Way(MODEL, False)
    for way in (short, long):
        first = StateBatch(way.state, way.logic)
        way.logic.begin(first)
        way.state.apply(first.effects({}))
    for _ in range(20):
        key, payload = dice.choice(_leads())
        payload = _damaged(dice, payload)
        envelope = wrap(payload, dice.choice([None, None, None, 1, 2**62]))
        at = max(unpack(_leads()[0][1]).as_of, START) + dice.choice([0, 1, DAY, -DAY])  # type: ignore[union-attr]
        arrival = dice.choice([at, at, at, at + MINUTE, -1, 2**63 - 1, -(2**63)])
        value = CODEC.encode("page-views", views(dice, at, key.decode()))
        record = PlainRecord("page-views", 0, 1, arrival, key, value)
        stream_time = dice.choice([at, at, at - MINUTE, None, 0, -1, 2**63 - 1, -(2**63)])
        handled = short.handled
        try:
            effects = _taken(short, key, envelope, record, stream_time)
        except Exception:
            assert short.handled > handled, "Python says what is wrong, not the short way"
            continue
        if short.handled > handled or not _is_whole(payload):
            continue
        assert effects == _taken(long, key, envelope, record, stream_time)


def _is_whole(payload: bytes) -> bool:
    """Whether it is how some lead is packed: what is not, its checksum finds before it is looked at."""
    try:
        return pack(unpack(payload)) == payload
    except (msgspec.DecodeError, OverflowError):
        return False


def test_the_short_way_is_gone_with_leads_that_are_changed_a_little() -> None:
    """Or there would be nothing to compare."""
    way = Way(MODEL, True)
    first = StateBatch(way.state, way.logic)
    way.logic.begin(first)
    way.state.apply(first.effects({}))
    dice, taken = Random(1), 0
    for key, payload in _leads():
        lead = unpack(payload)
        assert isinstance(lead, Lead)
        record = PlainRecord(
            "page-views", 0, 1, lead.as_of, key, CODEC.encode("page-views", views(dice, lead.as_of, key.decode()))
        )
        handled = way.handled
        _taken(way, key, wrap(payload, None), record, lead.as_of)
        taken += way.handled == handled
    assert len(_leads()) > 100
    assert taken >= len(_leads()) // 4, (taken, len(_leads()))
