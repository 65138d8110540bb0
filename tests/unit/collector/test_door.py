"""Keys, limits, privacy, the mapping file and values."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collector import keys, privacy, values
from streams.collector.keys import Allowance, BadWriteKeys, WriteKeys, basic_user, read_write_keys
from streams.collector.limits import (
    FIRST_BYTES,
    MAX_BODY_BYTES,
    Admission,
    BodyReader,
    NotGzip,
    Overloaded,
    Room,
    TooLarge,
    unzipped,
)
from streams.collector.mapping import BadMapping, read_mapping
from tests.unit.collector.headers import Headers

KEY = "a-key-of-enough-characters"


def test_only_the_keys_of_the_file_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(f"- {{name: website, key: {KEY}}}\n- {{name: app, key: another-{KEY}, events_per_second: 5}}\n")
    known = read_write_keys(path)
    assert known.allowance(KEY) is known.allowance(KEY) is not None
    assert known.allowance(KEY) is not known.allowance(f"another-{KEY}")
    for wrong in (None, "", KEY[:-1], KEY + "x", KEY.upper(), "\ud800"):
        assert known.allowance(wrong) is None
    assert WriteKeys(None).allowance(None) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "- short",
        "- {name: a, key: short}",
        "- {name: a, key: 1234567890123456789}",
        "{",
        "- {key: aaaaaaaaaaaaaaaa}",
    ],
)
def test_a_file_of_keys_that_is_wrong_is_refused_without_repeating_a_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(BadWriteKeys) as refused:
        read_write_keys(path)
    assert "1234567890123456789" not in str(refused.value)
    path.write_text(f"- {{name: a, key: {KEY}}}\n" * 2)
    with pytest.raises(BadWriteKeys, match="twice"):
        read_write_keys(path)


@pytest.mark.parametrize(
    ("header", "user"),
    [
        ("Basic " + base64.b64encode(b"key:").decode(), "key"),
        ("basic " + base64.b64encode(b"key:password").decode(), "key"),
        ("Basic " + base64.b64encode(b":").decode(), None),
        ("Basic !!!", None),
        ("Basic /w==", None),
        ("Bearer abc", None),
        ("", None),
        ("Basic  " + base64.b64encode(b"key:").decode() + " ", "key"),
    ],
)
def test_the_user_of_basic_authentication_is_the_key(header: str, user: str | None) -> None:
    assert basic_user(header) == user


def test_an_allowance_lets_a_burst_through_then_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: now[0])
    allowance = Allowance(10)
    assert allowance.spend(100) == 0
    wait = allowance.spend(1)
    assert 0 < wait <= 0.1
    now[0] += 0.2
    assert allowance.spend(2500) == 0  # a batch passes whole, and is owed
    assert allowance.spend(1) > 200
    now[0] += 1000
    assert [allowance.spend(50), allowance.spend(50)] == [0, 0]
    assert allowance.spend(1) > 0  # no more than ten seconds' worth was saved up


def test_gzip_is_unpacked_up_to_the_limit_and_a_bomb_is_not() -> None:
    assert unzipped(gzip.compress(b"{}")) == b"{}"
    assert len(unzipped(gzip.compress(b"x" * MAX_BODY_BYTES))) == MAX_BODY_BYTES
    with pytest.raises(TooLarge):
        unzipped(gzip.compress(b"0" * 200_000_000, 9))


@given(st.binary(max_size=200))
def test_what_is_not_gzip_says_so(junk: bytes) -> None:
    whole = gzip.compress(junk)
    assert unzipped(whole) == junk
    for torn in (junk, whole[:-1], whole + b"x"):
        with pytest.raises(NotGzip):
            unzipped(torn)


def room() -> Room:
    return Admission().admit(0)


class Chunks:
    """A body that comes in pieces; `taken` counts them."""

    def __init__(self, size: int, pieces: int, pause: float = 0.0) -> None:
        self._size = size
        self._pieces = pieces
        self._pause = pause
        self.taken = 0

    async def __call__(self) -> bytes:
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._pieces):
            await asyncio.sleep(self._pause)
            self.taken += 1
            yield b"x" * self._size


async def test_a_body_without_a_length_is_read_no_further_than_the_limit() -> None:
    endless = Chunks(100_000, 1_000_000)
    with pytest.raises(TooLarge):
        await BodyReader().read(endless, None, room())  # type: ignore[arg-type]
    assert endless.taken == 6
    assert len(await BodyReader().read(Chunks(100, 3), None, room())) == 300  # type: ignore[arg-type]


async def test_a_body_announced_too_large_is_not_read_at_all() -> None:
    source = Chunks(1, 1)
    for length in (str(MAX_BODY_BYTES + 1), "-1", "1e3", "x"):
        with pytest.raises(TooLarge):
            await BodyReader().read(source, length, room())  # type: ignore[arg-type]
    assert source.taken == 0
    assert await BodyReader().read(source, "0", room()) == b""  # type: ignore[arg-type]


async def test_a_body_that_takes_too_long_is_given_up_and_others_are_not() -> None:
    reader = BodyReader(seconds=0.2)
    slow = asyncio.create_task(reader.read(Chunks(1, 1000, 0.05), "1000", room()))  # type: ignore[arg-type]
    await asyncio.sleep(0.15)
    quick = asyncio.create_task(reader.read(Chunks(1, 2, 0.05), "2", room()))  # type: ignore[arg-type]
    assert await quick == b"xx"
    with pytest.raises(TimeoutError):
        await slow
    assert not slow.cancelled()


def test_more_than_can_be_handled_at_once_is_refused() -> None:
    admission = Admission()
    rooms = [admission.admit(0) for _ in range(1001)]
    for one in rooms[:1000]:
        one.handle()
    with pytest.raises(Overloaded):
        rooms[1000].handle()
    with pytest.raises(Overloaded):
        admission.admit(0)
    for one in rooms:
        assert not admission.empty.is_set()
        one.leave()
    assert admission.empty.is_set()
    admission.admit(0).handle()


def test_bodies_take_what_is_there_of_them_and_no_more_than_fits_together() -> None:
    admission = Admission()
    rooms = [admission.admit(MAX_BODY_BYTES) for _ in range(200)]  # announced, and not sent
    fit = (64 * 1024 * 1024 - 200 * FIRST_BYTES) // (MAX_BODY_BYTES - FIRST_BYTES)
    for one in rooms[:fit]:
        one.grow(1000)
        one.grow(MAX_BODY_BYTES)
    with pytest.raises(Overloaded):
        rooms[-1].grow(MAX_BODY_BYTES)
    rooms[0].leave()
    rooms[-1].grow(MAX_BODY_BYTES)
    for one in rooms[1:]:
        one.leave()
    assert (admission.requests, admission.bytes) == (0, 0)


async def test_a_body_is_given_up_when_there_is_no_room_for_more_of_it() -> None:
    admission = Admission()
    for _ in range(127):
        admission.admit(MAX_BODY_BYTES).grow(MAX_BODY_BYTES)
    body = Chunks(100_000, 5)
    assert len(await BodyReader().read(body, "500000", admission.admit(500_000))) == 500_000  # type: ignore[arg-type]
    late = Chunks(100_000, 5)
    with pytest.raises(Overloaded):
        await BodyReader().read(late, None, admission.admit(500_000))  # type: ignore[arg-type]
    assert late.taken == 1


@pytest.mark.parametrize(
    ("headers", "out"),
    [
        ({}, False),
        ({"dnt": "1"}, True),
        ({"dnt": "0"}, False),
        ({"sec-gpc": "1"}, True),
        ({"cookie": "a=b; leadstream_optout=1"}, True),
        ({"cookie": "leadstream_optout="}, False),
        ({"cookie": "xleadstream_optout=1"}, False),
    ],
)
def test_a_person_who_says_no_is_heard(headers: dict[str, str], out: bool) -> None:
    assert privacy.opted_out(Headers(headers)) is out


def test_a_cookie_is_found_on_whichever_line_it_comes() -> None:
    lines = Headers({"cookie": ["a=b; leadstream_visitor=v", "c=d; leadstream_optout=1"]})
    assert privacy.opted_out(lines)
    assert [privacy.cookie_value(lines, name) for name in ("leadstream_visitor", "c", "d")] == ["v", "d", None]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.9", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.9", "203.0.113.0"),
        ("not an address", None),
        ("", None),
    ],
)
def test_an_address_is_cut_to_its_network(address: str, kept: str | None) -> None:
    assert privacy.truncated(address) == kept


def test_forwarded_addresses_are_believed_from_trusted_proxies_alone_and_from_the_right() -> None:
    trusted = privacy.networks(["10.0.0.0/8", "::1"])
    address = privacy.client_address
    assert address("198.51.100.7", ["1.2.3.4"], trusted) == "198.51.100.7"
    assert address("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], trusted) == "1.2.3.4"
    assert address("10.0.0.1", [], trusted) == "10.0.0.1"
    assert address("10.0.0.1", ["<script>"], trusted) is None
    assert address("10.0.0.1", ["1.2.3.4, <script>, 10.0.0.2"], trusted) is None
    assert address("10.0.0.1", ["1.2.3.4"], ()) == "10.0.0.1"
    with pytest.raises(privacy.BadNetwork):
        privacy.networks(["everyone"])


def test_a_proxy_that_adds_a_line_of_its_own_is_believed_and_not_the_line_before() -> None:
    trusted = privacy.networks(["10.0.0.0/8"])
    assert privacy.client_address("10.0.0.1", ["6.6.6.6", "1.2.3.4"], trusted) == "1.2.3.4"


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("[::ffff:10.0.0.1]", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4:50123", "1.2.3.4"),
        ("10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7, 10.0.0.2:80", "2001:db8::7"),
        ("10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
    ],
)
def test_addresses_are_read_as_proxies_write_them(peer: str, forwarded: str, found: str) -> None:
    assert privacy.client_address(peer, [forwarded], privacy.networks(["10.0.0.0/8"])) == found


def test_every_cookie_is_hidden_from_scripts_and_sent_encrypted_only() -> None:
    cookie = privacy.set_cookie("leadstream_visitor", "x")
    assert {"Secure", "HttpOnly", "SameSite=None", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("topic: mql-events", "can't be mapped to"),
        ("topic: downloads\n    take: {colour: [colour]}", "no field 'colour'"),
        ("topic: downloads\n    set: {funnel_stage: SIDEWAYS}", "is no value of funnel_stage"),
        ("topic: downloads\n    colour: red", "unknown field"),
        ("topic: [", "mapping.yaml"),
    ],
)
def test_a_mapping_that_can_not_be_done_is_refused_with_the_place(tmp_path: Path, change: str, reason: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(
        f"events:\n  - names: [X]\n    {change}\n"
        "otherwise: {}\ntraits: {}\ngroup: {}\nprofiles: []\npage_ping_seconds: 10\n"
    )
    with pytest.raises(BadMapping, match=reason):
        read_mapping(path)


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2026-11-24T12:00:00.000Z", 1_795_521_600_000),
        ("2026-11-24T13:00:00+01:00", 1_795_521_600_000),
        ("2026-11-24 12:00:00", 1_795_521_600_000),
        (1_795_521_600_000, 1_795_521_600_000),
        (1_795_521_600, 1_795_521_600_000),
        ("1795521600000", 1_795_521_600_000),
        ("soon", None),
        ("1960-01-01", None),
        (-1, None),
        (True, None),
        (10**30, None),
        (None, None),
    ],
)
def test_times_are_read_as_trackers_write_them(given: object, at: int | None) -> None:
    assert values.instant(given) == at


@given(st.integers(10**12, 10**13 - 1))
def test_digits_are_a_time_since_the_epoch_and_never_a_date(at: int) -> None:
    """1801010112000 is one in January 2027: the first hour of 1801 in ISO 8601."""
    assert values.instant(str(at)) == at
    assert values.instant(str(at // 1000)) == at // 1000 * 1000


def test_the_digits_of_an_hour_in_2027_are_no_date_of_1801() -> None:
    assert values.instant("1801010112000") == 1_801_010_112_000
    assert values.instant("20261124") == 1_795_478_400_000


@given(st.integers(0, 2**42), st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_a_wrong_clock_changes_nothing_when_the_sending_is_told(at: int, skew: int, delay: int) -> None:
    """Whatever the sender's clock says, the event is as long before its arrival as it was before its sending."""
    received = at + delay
    assert values.corrected(at + skew, at + skew + delay, received) == at


@pytest.mark.parametrize(
    ("name", "snake"),
    [("Demo Booked", "demo_booked"), ("demoBooked", "demo_booked"), ("demo-booked!", "demo_booked"), ("日本", "日本")],
)
def test_names_are_written_in_snake_case(name: str, snake: str) -> None:
    assert values.snake_case(name) == snake
