"""What a restore leaves behind goes back to the system."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from streams.engine.compiled import compiled
from streams.engine.restore import give_back
from streams.engine.table import Table


@pytest.mark.skipif(compiled("streams.engine._native") is None, reason="a dict's memory is Python's own")
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc keeps so much")
def test_memory_between_what_stays_is_given_back() -> None:
    process, table = psutil.Process(), Table()
    for number in range(100_000):
        table[b"%d" % number] = b"x" * 700
    for number in range(100_000):
        if number % 1_000:
            del table[b"%d" % number]
    before = process.memory_info().rss
    give_back()
    assert before - process.memory_info().rss > 40_000_000
    assert len(table) == 100
