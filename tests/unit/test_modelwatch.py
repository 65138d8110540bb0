from __future__ import annotations

import logging
from pathlib import Path

import pytest

from streams.modelfile import read_model, read_text
from streams.modelwatch import ModelWatch
from streams.qualification.model.values import Model

TEXT, _ = read_text()


class Watched:
    """A model file, the watch over it, and what came of its looks."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "model.yaml"
        self.file.write_text(TEXT)
        self.offered: list[Model] = []
        self.outcomes: list[str] = []
        self.watch = ModelWatch(self.file, read_model(self.file), self.offered.append, self.outcomes.append)

    def write(self, text: str) -> None:
        """Save as editors do, at another time than the last."""
        beside = self.file.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.file)

    def look(self) -> None:
        self.watch.look()
        self.watch.look()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_changed_file_is_offered_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.look()
    assert watched.offered == []
    changed = TEXT.replace("web:           {half_life: 30d", "web:           {half_life: 10d")
    watched.write(changed.replace("model: default", "model: quicker"))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            watched.look()
    (model,) = watched.offered
    assert model.groups["web"].half_life_ms == 10 * 86_400_000
    assert watched.outcomes == ["accepted"]
    assert "model quicker" in caplog.text


def test_a_file_that_is_saved_before_the_watch_begins_is_not_missed(tmp_path: Path) -> None:
    file, offered = tmp_path / "model.yaml", list[Model]()
    file.write_text(TEXT)
    model = read_model(file)
    file.write_text(TEXT.replace("model: default", "model: edited"))
    watch = ModelWatch(file, model, offered.append, lambda outcome: None)
    for _ in range(3):
        watch.look()
    assert [one.version for one in offered] == ["edited-2026-11"]


def test_a_file_that_is_wrong_changes_nothing_and_is_said_so_of_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write(TEXT.replace("half_life: 30d", "half_life: soon", 1))
    for _ in range(3):
        watched.look()
    assert (watched.offered, watched.outcomes) == ([], ["refused"])
    assert caplog.text.count("model.yaml:3") == 1
    watched.write(TEXT + "\n# mended\n")
    watched.look()
    assert watched.outcomes == ["refused", "accepted"]


def test_a_file_is_not_read_while_it_is_being_written(watched: Watched) -> None:
    watched.write(TEXT[:200])
    watched.watch.look()
    watched.write(TEXT + "\n# whole\n")
    watched.watch.look()
    assert (watched.offered, watched.outcomes) == ([], [])
    watched.watch.look()
    assert watched.outcomes == ["accepted"]


def test_the_file_may_go_away_and_come_back_as_it_was(watched: Watched) -> None:
    watched.file.unlink()
    watched.look()
    watched.write(TEXT)
    watched.look()
    assert (watched.offered, watched.outcomes) == ([], ["refused"])


def test_another_grace_waits_for_a_restart(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.write(TEXT.replace("grace: 2m", "grace: 5m"))
    watched.look()
    assert (watched.offered, watched.outcomes) == ([], ["refused"])
    assert "restart" in caplog.text
