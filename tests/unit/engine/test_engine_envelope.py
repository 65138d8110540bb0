from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.engine import envelope as envelope_module
from streams.engine.envelope import PAYLOAD, RESERVED_KEY, check, due_of, pack_progress, unpack_progress, wrap
from streams.engine.seam import Progress


@pytest.fixture(params=[2, 3], ids=["as this release writes", "as the next may"])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    written: int = request.param
    monkeypatch.setattr(envelope_module, "VERSION", written)
    return written


FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@FIXTURE
@given(st.binary(), st.none() | st.integers(1, 2**62))
def test_an_envelope_gives_back_payload_and_due_time(version: int, payload: bytes, due: int | None) -> None:
    envelope = wrap(payload, due)
    check(envelope)
    assert envelope[0] == version
    assert (envelope[PAYLOAD:], due_of(envelope)) == (payload, due)


@FIXTURE
@given(st.binary(min_size=1), st.none() | st.integers(1, 2**62), st.data())
def test_what_has_a_bit_changed_does_not_pass_the_check(
    version: int, payload: bytes, due: int | None, data: st.DataObject
) -> None:
    envelope = bytearray(wrap(payload, due))
    check(bytes(envelope))
    place = data.draw(st.integers(PAYLOAD if version == 2 else 1, len(envelope) - 1))
    envelope[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match="checksum"):
        check(bytes(envelope))


@FIXTURE
@given(st.dictionaries(st.text(), st.integers(0, 2**62)), st.none() | st.integers(0, 2**62), st.booleans())
def test_progress_survives_the_changelog(version: int, applied: dict[str, int], time: int | None, live: bool) -> None:
    progress = Progress(applied, time, live, 12)
    packed = pack_progress(progress)
    assert (packed[0], unpack_progress(packed)) == (version, progress)


@pytest.mark.parametrize("value", [b"", b"\x02short", b"\x01" + bytes(20), b"\x04" + bytes(20), b'{"json": 1}'])
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
