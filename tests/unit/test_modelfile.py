"""Where the model comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import UsageError
from streams.modelfile import read_model, read_text
from streams.qualification.model.loading import ModelError

SCHOOL = Path(__file__).parents[2] / "deploy" / "models" / "x-education.yaml"


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADSTREAM_MODEL", raising=False)


def test_without_a_file_it_is_the_model_that_ships() -> None:
    assert read_model().version == "default-2026-11"


def test_a_given_file_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEADSTREAM_MODEL", str(tmp_path / "absent.yaml"))
    assert read_model(SCHOOL).version == "x-education-1"


def test_the_variable_goes_before_the_model_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSTREAM_MODEL", str(SCHOOL))
    assert read_model().version == "x-education-1"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.yaml can't be read: No such file"):
        read_model(tmp_path / "absent.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"model: \xff")
    with pytest.raises(UsageError, match=r"m\.yaml is no UTF-8 text \(byte 7\)"):
        read_model(tmp_path / "m.yaml")


def test_problems_begin_with_the_name_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("model: x\n")
    with pytest.raises(ModelError) as refused:
        read_model(file)
    assert all(problem.startswith(f"{file}:1: ") for problem in refused.value.problems)


def test_a_model_whose_cells_contradict_its_thresholds_is_refused_with_their_line(tmp_path: Path) -> None:
    text, _ = read_text(None)
    path = tmp_path / "cells.yaml"
    path.write_text(text.replace("high: [NONE, NURTURE, SALES]", "high: [NONE, NONE, SALES]"))
    with pytest.raises(UsageError, match=r"cells\.yaml:34: matrix\.cells\.high\[1\]"):
        read_model(path)
