"""Leads are packed and unpacked by the compiled part as they are by Python."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_leads import LEADS

from streams.engine.compiled import compiled
from streams.fastpath import States
from streams.fastpath.pageviews import MODULE
from streams.qualification.lead import Lead, Touch
from streams.qualification.state import Alias, State, in_full, pack, unpack

NATIVE = compiled(MODULE)
pytestmark = pytest.mark.skipif(NATIVE is None, reason="Python is here without its headers")
STATES = States()


@given(LEADS)
def test_both_pack_a_lead_to_the_same_bytes(lead: Lead) -> None:
    packed = STATES.pack(lead)
    assert packed == pack(lead)
    assert STATES.unpack(packed) == lead


@given(LEADS)
def test_nearly_every_lead_finds_room(lead: Lead) -> None:
    """Or nothing would be compared."""
    assert NATIVE is not None
    forms = NATIVE.LeadForms(Lead.__struct_fields__)
    assert forms.compacted(in_full(lead)) == pack(lead)
    assert forms.expanded(pack(lead)) == in_full(lead)


def test_what_there_is_no_room_for_goes_the_long_way() -> None:
    assert NATIVE is not None
    lead = Lead("u1", 7, groups={f"group {n}": (1.0, 7) for n in range(40)})
    assert NATIVE.LeadForms(Lead.__struct_fields__).compacted(in_full(lead)) is None
    assert STATES.unpack(STATES.pack(lead)) == lead


def test_aliases_are_packed_too() -> None:
    assert STATES.pack(Alias("u1", 7)) == pack(Alias("u1", 7))
    assert STATES.unpack(pack(Alias("u1", 7))) == Alias("u1", 7)


def _taken(unpack: Callable[[bytes], State], packed: bytes) -> str:
    """What comes of it, in words: NaN is not NaN."""
    try:
        return repr(unpack(packed))
    except msgspec.DecodeError:
        return "refused"


@given(LEADS, st.data())
def test_bytes_that_were_changed_are_refused_by_both_or_are_the_same_lead(lead: Lead, data: st.DataObject) -> None:
    packed = bytearray(data.draw(st.sampled_from([pack(lead), in_full(lead)])))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(packed) - 1))
        packed[place : place + data.draw(st.sampled_from([0, 1, 4]))] = data.draw(st.binary(max_size=3))
    assert _taken(STATES.unpack, bytes(packed)) == _taken(unpack, bytes(packed))


def test_a_text_that_begins_within_a_character_is_refused_by_both() -> None:
    """Put together, it would be a text again."""
    touch = Touch(None, None, None, "https://a/\u00e9", "https://a/\u00e8x", 7)
    packed = pack(Lead("u1", 7, first_touch=touch))
    right, wrong = b"\x92\x0a\xa3\xc3\xa8x", b"\x92\x0b\xa2\xa8x"
    assert right in packed
    assert _taken(STATES.unpack, packed) != "refused"
    for one in (unpack, STATES.unpack):
        assert _taken(one, packed.replace(right, wrong)) == "refused"
