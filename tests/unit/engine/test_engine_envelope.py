from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.envelope import PAYLOAD, RESERVED_KEY, check, due_of, pack_progress, unpack_progress, wrap
from streams.engine.seam import Progress


@given(st.binary(), st.none() | st.integers(1, 2**62))
def test_an_envelope_gives_back_payload_and_due_time(payload: bytes, due: int | None) -> None:
    envelope = wrap(payload, due)
    assert (envelope[PAYLOAD:], due_of(envelope)) == (payload, due)


@given(st.binary(min_size=1), st.none() | st.integers(1, 2**62), st.data())
def test_a_payload_with_a_bit_changed_does_not_pass_the_check(
    payload: bytes, due: int | None, data: st.DataObject
) -> None:
    envelope = bytearray(wrap(payload, due))
    check(bytes(envelope))
    place = data.draw(st.integers(PAYLOAD, len(envelope) - 1))
    envelope[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match="checksum"):
        check(bytes(envelope))


@given(st.dictionaries(st.text(), st.integers(0, 2**62)), st.none() | st.integers(0, 2**62), st.booleans())
def test_progress_survives_the_changelog(applied: dict[str, int], time: int | None, live: bool) -> None:
    progress = Progress(applied, time, live, 12)
    assert unpack_progress(pack_progress(progress)) == progress


@pytest.mark.parametrize("value", [b"", b"\x02short", b"\x01" + bytes(20), b'{"json": 1}'])
def test_bytes_that_are_no_envelope_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is|its format"):
        due_of(value)


@pytest.mark.parametrize("value", [b"", b"\x01\x90", b"\x02\xc1", b"\x02", b'{"a": 1}'])
def test_bytes_that_are_no_progress_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is|its format|not a progress record"):
        unpack_progress(value)


def test_no_key_of_an_application_can_be_the_reserved_one() -> None:
    with pytest.raises(UnicodeDecodeError):
        RESERVED_KEY.decode()
