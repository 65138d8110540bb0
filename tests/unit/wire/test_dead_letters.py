"""A dead letter keeps what is needed to try again, and always fits on its topic."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.deadletters import dead_letter, letter_key


class Given(NamedTuple):
    key: bytes | None
    value: bytes | None
    topic: str = "page-views"
    partition: int = 3
    offset: int = 17


BAD = BadRecord("INVALID", "url is empty")


def test_a_letter_says_where_the_record_was_and_what_was_wrong() -> None:
    letter = dead_letter("worker", Given(b"l-1", b"abc"), BAD, 5, lead_id="l-1")
    assert letter == {
        "consumer": "worker",
        "topic": "page-views",
        "partition": 3,
        "offset": 17,
        "lead_id": "l-1",
        "key": b"l-1",
        "value": b"abc",
        "size": 3,
        "sha256": hashlib.sha256(b"abc").hexdigest(),
        "error": "INVALID",
        "detail": "url is empty",
        "seen_at": 5,
    }


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (900_000, 900_000), (900_001, 65_536), (5_000_000, 65_536)])
def test_a_value_over_900_kb_is_kept_as_its_head_with_the_size_and_hash_of_the_whole(size: int, kept: int) -> None:
    value = bytes(range(256)) * (size // 256) + bytes(size % 256)
    letter = dead_letter("worker", Given(None, value), BAD, 0)
    assert letter["value"] == value[:kept]
    assert letter["size"] == size
    assert letter["sha256"] == hashlib.sha256(value).hexdigest()


def test_a_record_without_key_and_value_stays_without() -> None:
    letter = dead_letter("worker", Given(None, None), BAD, 0)
    assert (letter["key"], letter["value"], letter["size"]) == (None, None, 0)


@given(detail=st.text(max_size=3000))
def test_a_detail_is_one_line_of_at_most_a_kilobyte(detail: str) -> None:
    kept = dead_letter("worker", Given(None, None), BadRecord("INVALID", detail), 0)["detail"]
    assert len(kept.encode()) <= 1000
    assert "\n" not in kept


@given(key=st.none() | st.binary(), value=st.none() | st.binary(), detail=st.text())
def test_every_letter_can_be_written_and_read(key: bytes | None, value: bytes | None, detail: str) -> None:
    letter = dead_letter("relay:crm", Given(key, value), BadRecord("DELIVERY_FAILED", detail), 0)
    codec = Codec()
    assert codec.decode("dead-letters", codec.encode("dead-letters", letter)) == letter


@pytest.mark.parametrize(
    ("key", "value"),
    [(1_000, 900_000), (1_000, 900_001), (5_000_000, 900_000), (500_000, 600_000), (65_536, 900_000), (10**7, 10**7)],
)
def test_the_largest_letter_fits_into_a_record_of_a_broker_with_default_settings(key: int, value: int) -> None:
    record = Given(bytes(key), bytes(value), topic="t" * 249, partition=2**31 - 1, offset=2**63 - 1)
    letter = dead_letter("worker", record, BadRecord("INVALID", "ü" * 5000), 2**53, lead_id="x" * 1000)
    assert len(letter_key(record) or b"") + len(Codec().encode("dead-letters", letter)) < 1_000_000


@pytest.mark.parametrize(("size", "kept"), [(0, True), (3, True), (1_000, True), (1_001, False), (5_000_000, False)])
def test_a_letter_has_the_key_of_the_record_unless_that_is_too_long_to_be_an_id(size: int, kept: bool) -> None:
    key = b"k" * size
    assert letter_key(Given(key, None)) == (key if kept else None)
    assert letter_key(Given(None, None)) is None
