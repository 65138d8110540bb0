"""Leads are packed and unpacked by the compiled part as they are by Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_leads import LEADS

from streams.engine.compiled import compiled
from streams.fastpath import States
from streams.fastpath.pageviews import MODULE
from streams.qualification.lead import Lead
from streams.qualification.state import Alias, in_full, pack

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


@given(LEADS, st.data())
def test_bytes_that_were_changed_are_refused_or_are_some_lead(lead: Lead, data: st.DataObject) -> None:
    assert NATIVE is not None
    forms = NATIVE.LeadForms(Lead.__struct_fields__)
    packed = bytearray(data.draw(st.sampled_from([pack(lead), in_full(lead)])))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(packed) - 1))
        packed[place : place + data.draw(st.sampled_from([0, 1, 4]))] = data.draw(st.binary(max_size=3))
    for form in (forms.compacted, forms.expanded):
        found = form(bytes(packed))
        assert found is None or isinstance(found, bytes)
