from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest

from streams.engine.compiled import REVISION, compiled


@pytest.mark.parametrize("revision", [REVISION - 1, None])
def test_what_was_compiled_of_other_sources_is_left_alone(
    revision: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stale = ModuleType("stale")
    if revision is not None:
        stale.REVISION = revision  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stale", stale)
    with caplog.at_level(logging.WARNING):
        assert compiled("stale") is None
    assert "install leadstream again" in caplog.text


def test_there_may_be_nothing_compiled() -> None:
    assert compiled("streams.engine.nothing_of_that_name") is None


def test_the_compiled_parts_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled("streams.engine._native") is not None
    monkeypatch.setenv("LEADSTREAM_PURE", "1")
    assert compiled("streams.engine._native") is None
