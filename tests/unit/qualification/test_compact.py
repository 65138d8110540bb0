"""The compact form of leads: all of a lead is in it, and it is small."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from packed_leads import LEADS

from streams.qualification.lead import Contribution, Lead, Touch
from streams.qualification.state import in_full, pack, unpack

AT = 1_793_523_600_000
PRICING = "https://www.example.com/pricing"


@given(LEADS)
def test_whatever_a_lead_is_it_comes_back_as_it_was(lead: Lead) -> None:
    assert unpack(pack(lead)) == lead
    assert in_full(unpack(pack(lead))) == in_full(lead), "also in the order of what it holds, and in signs of zeros"  # type: ignore[arg-type]


@given(LEADS)
def test_a_lead_that_is_kept_in_full_is_read_too(lead: Lead) -> None:
    assert unpack(in_full(lead)) == lead


def _visitor() -> Lead:
    given = tuple(Contribution("pricing page", "page_view", PRICING, 10.0, AT - age * 60_000) for age in (1, 9, 70))
    touch = Touch(None, None, None, "https://search.example/", PRICING, AT - 5_000)
    return Lead("visitor-1", AT, groups={"web": (12.5, AT)}, strongest={"web": given}, first_touch=touch)


def test_a_text_that_repeats_is_written_once() -> None:
    packed = pack(_visitor())
    assert packed.count(b"pricing page") == packed.count(b"page_view") == packed.count(b"www.example.com") == 1


def test_addresses_of_one_site_share_its_beginning_in_whole_characters() -> None:
    lead = _visitor()
    lead.last_touch = Touch(None, None, None, None, "https://www.example.com/é", AT)
    other = Touch(None, None, None, "https://www.example.com/è", None, AT)
    lead.first_touch = other
    compact = msgspec.msgpack.decode(pack(lead))
    assert compact[2] == [[0, PRICING], [24, "è"], [24, "é"]]


def test_a_visitor_takes_less_than_three_fifths_of_what_it_takes_in_full() -> None:
    assert len(pack(_visitor())) < 0.6 * len(in_full(_visitor()))


@pytest.mark.parametrize("fit", [0.0, -0.0, 7.0, -3.0, 0.5, 2.0**53, 2.0**60, math.inf])
def test_points_keep_their_sign_and_their_size(fit: float) -> None:
    lead = unpack(pack(Lead("u1", AT, fit=fit)))
    assert isinstance(lead, Lead)
    assert (lead.fit, math.copysign(1, lead.fit)) == (fit, math.copysign(1, fit))


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (1, []),  # texts that are pointed to
        (2, [[0, "https://search.example/"], [24, "x"]]),  # more than there is before it
        (2, [[0, "https://search.example/"], [-9, "x"]]),
        (8, [[-1, 12.5, 0]]),  # from the end: in Python, that is a place too
        (2, []),
        (8, [[0, "twelve", 0]]),
        (9, [[7, []]]),
        (17, [0, 0]),
    ],
)
def test_what_no_lead_has_is_refused(place: int, wrong: object) -> None:
    fields = msgspec.msgpack.decode(pack(_visitor()))
    fields[place] = wrong
    with pytest.raises(msgspec.ValidationError):
        unpack(msgspec.msgpack.encode(fields))
