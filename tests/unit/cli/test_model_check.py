"""`leadstream model check` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from streams.cli import main

SCHOOL = Path(__file__).parents[3] / "deploy" / "models" / "x-education.yaml"


def leadstream(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line here; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["leadstream", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def contradiction(tmp_path: Path) -> Path:
    file = tmp_path / "contradiction.yaml"
    file.write_text(SCHOOL.read_text().replace("[NONE, NURTURE, SALES]", "[NONE, NONE, SALES]"))
    return file


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.yaml"
    file.write_text(SCHOOL.read_text().replace("half_life: 45d", "half_life: 45 days"))
    return file


def test_a_good_model_shows_its_ways(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert leadstream(monkeypatch, "model", "check", str(SCHOOL)) == 0
    shown = capsys.readouterr()
    assert "model x-education-1 works." in shown.out
    assert "1 × phone talk: MQL for 60 days" in shown.out
    assert "1 × asked_to_be_added within 60d: SQL at once (path asked)" in shown.out
    assert shown.err == ""


def test_a_broken_model_is_refused_with_line_and_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: Path
) -> None:
    assert leadstream(monkeypatch, "model", "check", str(broken)) == 2
    shown = capsys.readouterr()
    assert 'groups.site.half_life: found "45 days", expected a duration such as 30d' in shown.err
    assert shown.out == ""


def test_a_contradictory_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], contradiction: Path
) -> None:
    assert leadstream(monkeypatch, "model", "check", str(contradiction)) == 2
    shown = capsys.readouterr().err
    lines = contradiction.read_text().splitlines()
    number = 1 + next(index for index, line in enumerate(lines) if line.strip().startswith("cells:"))
    assert f"contradiction.yaml:{number}: matrix.cells.high[1] (warm) is NONE, but some of its leads reach" in shown


def test_a_missing_file_is_wrong_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert leadstream(monkeypatch, "model", "check", str(tmp_path / "absent.yaml")) == 2


def test_json_has_everything_about_a_good_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leadstream(monkeypatch, "model", "check", str(SCHOOL), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["ok"], result["model"], result["problems"], result["warnings"]) == (
        True,
        "x-education-1",
        [],
        [],
    )
    first = result["ways"][0]
    assert (first["stage"], first["days"], first["lasts_ms"]) == ("MQL", 1, 60 * 86_400_000)
    assert first["text"].endswith("MQL for 60 days")


@pytest.mark.parametrize("wrong", ["broken", "contradiction"])
def test_json_has_the_problems_of_a_wrong_model(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    wrong: str,
) -> None:
    file: Path = request.getfixturevalue(wrong)
    assert leadstream(monkeypatch, "model", "check", str(file), "--json") == 2
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["ok"] is False
    assert len(result["problems"]) == 1
    assert shown.err == ""
