from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.envelope import check, due_of, wrap
from streams.engine.envelopes import apply_all, plain_apply_all, plain_seal_all, seal_all
from streams.engine.table import Table

_keys = st.binary(min_size=1, max_size=2)
_dues = st.none() | st.integers(1, 2**62) | st.integers(-(2**63), -1)
_packed = st.dictionaries(_keys, st.tuples(st.binary(max_size=700), _dues))


@given(_packed)
def test_the_compiled_envelopes_are_the_plain_ones(packed: dict[bytes, tuple[bytes, int | None]]) -> None:
    unsealed = {key: wrap(*pair)[:9] + b"...." + pair[0] for key, pair in packed.items()}
    plain, compiled = dict(unsealed), {key: bytes(bytearray(one)) for key, one in unsealed.items()}
    seen_elsewhere = list(compiled.values())[::2]
    before = [bytes(bytearray(one)) for one in seen_elsewhere]
    plain_seal_all(plain)
    seal_all(compiled)
    assert compiled == plain
    assert seen_elsewhere == before, "what somebody else has is not changed under them"
    for key, (_, due) in packed.items():
        check(compiled[key])
        assert due_of(compiled[key]) == due


@given(
    st.dictionaries(_keys, st.tuples(st.binary(max_size=9), _dues)),
    st.dictionaries(_keys, st.none() | st.tuples(st.binary(max_size=9), _dues)),
    st.sets(_keys),
)
def test_the_compiled_state_changes_as_the_plain_one(
    before: dict[bytes, tuple[bytes, int | None]],
    news: dict[bytes, tuple[bytes, int | None] | None],
    taken: set[bytes],
) -> None:
    other = {key: wrap(*pair) for key, pair in before.items()}
    one = Table(other)
    changed = {key: None if pair is None else wrap(*pair) for key, pair in news.items()}
    timers, grown = apply_all(one, changed, taken)
    assert (timers, grown) == plain_apply_all(other, changed, taken)
    assert dict(one) == other


def test_what_is_no_envelope_is_refused_by_both() -> None:
    for damaged in (b"", b"\x02short", b"\x09" + b"x" * 20):
        for one in (apply_all, plain_apply_all):
            with pytest.raises(ValueError, match=r"envelope|version|empty|short|bytes long"):
                one(Table(), {b"k": damaged}, set())
