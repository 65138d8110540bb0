from __future__ import annotations

import logging
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from streams.engine.compiled import REVISION, compiled


@pytest.mark.parametrize("module", ["streams.fastpath._native", "streams.engine._native"])
def test_where_there_are_python_headers_there_are_compiled_parts(module: str) -> None:
    assert (Path(sysconfig.get_path("include")) / "Python.h").is_file() == (compiled(module) is not None)


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
    present = ModuleType("present")
    present.REVISION = REVISION  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "present", present)
    assert compiled("present") is present
    monkeypatch.setenv("LEADSTREAM_PURE", "1")
    assert compiled("present") is None
