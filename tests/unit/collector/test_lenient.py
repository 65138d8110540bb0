"""JSON that trackers write and strict readers refuse."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collector.lenient import read_leniently

ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"title": "half \\ud83d"}', {"title": "half ?"}),
        (b'{"\\udc00": 1}', {"?": 1}),
        (b'{"score": NaN, "most": Infinity, "least": -Infinity}', {"score": None, "most": None, "least": None}),
        (b'{"score": 1e999}', {"score": None}),
        (b"[" + b"9" * 5000 + b"]", [None]),
        (b"[123456789012345678901234567890, NaN]", [123456789012345678901234567890.0, None]),
        (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "\u00e9"}),
        (b'{"a": "NaN Infinity", "b": NaN}', {"a": "NaN Infinity", "b": None}),
    ],
)
def test_what_only_a_strict_reader_refuses_is_mended(body: bytes, found: Any) -> None:
    assert read_leniently(ANYTHING, body) == found


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"[1,]", b"\xff", b"nan"])
def test_what_is_no_json_is_refused_in_the_decoders_words(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError) as strict:
        ANYTHING.decode(body)
    with pytest.raises(msgspec.DecodeError) as lenient:
        read_leniently(ANYTHING, body)
    assert str(lenient.value) == str(strict.value)


def test_what_is_nested_too_deeply_stays_so() -> None:
    with pytest.raises(RecursionError):
        read_leniently(ANYTHING, b"[" * 100_000)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
)


@given(_json)
def test_whatever_pythons_own_writer_writes_is_read(value: Any) -> None:
    read_leniently(ANYTHING, json.dumps(value).encode())
