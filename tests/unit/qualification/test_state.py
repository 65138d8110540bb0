"""A lead's packed state across releases: fields are only added at the end, and either release reads the other's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.qualification.compact import compact_type
from streams.qualification.erasure import Erased
from streams.qualification.lead import Lead
from streams.qualification.state import Alias, in_full, mark, pack, unpack


class NextLead(Lead, array_like=True, tag=0):  # type: ignore[call-arg]
    """A lead as a later release may have it."""

    channel: str = "none yet"
    seen_on: tuple[int, ...] = ()


class NextAlias(Alias, array_like=True, frozen=True, tag=1):
    because: str = "none yet"


_next: Any = msgspec.msgpack.Decoder(compact_type(NextLead) | NextAlias)
leads = st.builds(
    Lead,
    lead_id=st.text(min_size=1),
    as_of=st.integers(0, 2**40),
    stage=st.sampled_from(["visitor", "mql"]),
    sequence=st.integers(0, 2**31),
    seen=st.binary(max_size=64),
    visits=st.lists(st.integers(0, 20_000), max_size=5).map(tuple),
)


@given(leads)
def test_the_next_release_reads_what_this_one_wrote(lead: Lead) -> None:
    read = _next.decode(pack(lead))
    assert (read.lead_id, read.as_of, read.visits, read.channel) == (lead.lead_id, lead.as_of, lead.visits, "none yet")


@given(leads)
def test_this_release_reads_what_the_next_one_wrote_and_goes_on_with_it(lead: Lead) -> None:
    fields = msgspec.msgpack.decode(pack(lead))
    later = msgspec.msgpack.encode([*fields, "search", [1, 2]])
    assert _next.decode(later).channel == "search"
    read = unpack(later)
    assert read == lead
    assert _next.decode(pack(read)).channel == "none yet"


class AliasBefore(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """An alias as the release knew it that did not remember erasures."""

    to: str | None
    since: int
    sequence: int = 0
    aliases: tuple[str, ...] = ()
    ends_at: int = 0


def test_the_release_before_takes_the_mark_of_an_erasure_for_what_is_left_of_a_revoked_link() -> None:
    before = msgspec.msgpack.Decoder(AliasBefore)
    assert before.decode(pack(mark(Erased(6, 1, 4, 9)))) == AliasBefore(None, 6, ends_at=9)
    assert unpack(msgspec.msgpack.encode(AliasBefore("u1", 7))) == Alias("u1", 7)


def test_an_alias_goes_both_ways_too() -> None:
    assert unpack(msgspec.msgpack.encode(NextAlias("u1", 7, because="a form"))) == Alias("u1", 7)
    assert _next.decode(pack(Alias("u1", 7))) == NextAlias("u1", 7)


@pytest.mark.parametrize(
    "packed", [pack(Lead("y", 1)), in_full(Lead("y", 1)), pack(Alias("y", 1))], ids=["lead", "in full", "alias"]
)
def test_a_text_that_is_none_is_refused_as_all_else_that_no_state_is(packed: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="none"):
        unpack(packed.replace(b"y", b"\xff"))
