"""What a partition keeps in memory behaves as a dict does."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.engine.compiled import compiled
from streams.engine.envelope import wrap
from streams.engine.envelopes import plain_timers_of, timers_of
from streams.engine.table import Table

_KEYS = st.binary(max_size=3) | st.integers(0, 40).map(lambda number: b"lead-%d" % number)
_VALUES = st.binary(max_size=40) | st.integers(0, 3_000).map(lambda size: b"x" * size)


class BesideADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.plain = Table(), dict[bytes, bytes]()

    @rule(key=_KEYS, value=_VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.table[key] = self.plain[key] = value

    @rule(keys=st.lists(_KEYS, max_size=30), value=_VALUES)
    def put_many(self, keys: list[bytes], value: bytes) -> None:
        self.table.update(dict.fromkeys(keys, value))
        self.plain.update(dict.fromkeys(keys, value))

    @rule(key=_KEYS)
    def remove(self, key: bytes) -> None:
        assert self.table.pop(key, None) == self.plain.pop(key, None)

    @rule(key=_KEYS)
    def ask(self, key: bytes) -> None:
        assert self.table.get(key) == self.plain.get(key)
        assert self.table.get(key, b"nothing") == self.plain.get(key, b"nothing")
        assert (key in self.table) == (key in self.plain)

    @rule(key=_KEYS)
    def ask_for_sure(self, key: bytes) -> None:
        if key in self.plain:
            assert self.table[key] == self.plain[key]
        else:
            with pytest.raises(KeyError):
                self.table[key]
            with pytest.raises(KeyError):
                del self.table[key]

    @invariant()
    def they_are_the_same(self) -> None:
        assert len(self.table) == len(self.plain)
        assert dict(self.table.items()) == self.plain


TestBesideADict = BesideADict.TestCase


def test_keys_that_come_and_go_by_the_thousand_are_all_found() -> None:
    dice, table, plain = Random(1), Table(), dict[bytes, bytes]()
    for _ in range(30_000):
        key = b"%d" % dice.randrange(3_000)
        if dice.random() < 0.4:
            assert table.pop(key, None) == plain.pop(key, None)
        else:
            table[key] = plain[key] = dice.randbytes(dice.randrange(200))
    assert dict(table) == plain


@given(st.dictionaries(_KEYS, st.tuples(st.binary(max_size=9), st.none() | st.integers(1, 2**62))))
def test_timers_are_found_in_it(known: dict[bytes, tuple[bytes, int | None]]) -> None:
    plain = {key: wrap(*pair) for key, pair in known.items()}
    timers, size = timers_of(Table(plain))
    expected, expected_size = plain_timers_of(plain)
    assert (sorted(timers), size) == (sorted(expected), expected_size)


def test_what_is_no_envelope_has_no_timer() -> None:
    for one in (timers_of, plain_timers_of):
        with pytest.raises(ValueError, match=r"envelope|short|bytes long"):
            one(Table({b"k": b"\x02short"}))


def test_nothing_but_bytes_goes_in() -> None:
    if compiled("streams.engine._native") is None:
        pytest.skip("a dict takes anything")
    table = Table()
    for key, value in (("a", b""), (b"a", "b"), (b"a", None)):
        with pytest.raises(TypeError, match="bytes"):
            table[key] = value  # type: ignore[index, assignment]
    with pytest.raises(TypeError, match="bytes"):
        table.get("a")  # type: ignore[call-overload]
    assert "a" not in dict(table)


def test_going_through_keys_that_change_is_an_error_not_a_wrong_answer() -> None:
    table = Table({b"%d" % number: b"" for number in range(9)})
    keys = iter(table)
    del table[next(keys)]
    with pytest.raises(RuntimeError):
        next(keys)


def test_replaced_values_leave_nothing_behind() -> None:
    tracemalloc.start()
    try:
        table = Table()
        for size in (10, 5_000, 10, 10):
            for number in range(100):
                table[b"%d" % number] = b"x" * size
        assert 5_000 < tracemalloc.get_traced_memory()[0] < 50_000
        for number in range(100):
            del table[b"%d" % number]
        del table
        assert tracemalloc.get_traced_memory()[0] < 1_000
    finally:
        tracemalloc.stop()
