"""The archive of a broker's classes is used for what it was made for, made once, and never in anybody's way."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streams.local import archive, broker
from streams.local.archive import archive_file, archive_options, ensure_archive
from streams.local.java import JavaMissing
from streams.local.server import QUICK_JVM, SERVER_JVM
from tests.unit.local.test_java import fake_java


@pytest.fixture
def java(tmp_path: Path) -> Path:
    return fake_java(tmp_path / "java", "17.0.15")


@pytest.fixture
def jars(tmp_path: Path) -> list[Path]:
    (tmp_path / "jars").mkdir()
    return [tmp_path / "jars" / name for name in ("kafka.jar", "tools.jar")]


@pytest.fixture
def found(java: Path, jars: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive that would be made: with `java`, for `jars`."""
    for module in (archive, broker):
        monkeypatch.setattr(module, "find_java", lambda: java)
        monkeypatch.setattr(module, "ensure_jars", lambda **_: jars)
    return archive_file(java, jars, QUICK_JVM)


def test_an_archive_is_used_where_there_is_one(java: Path, jars: list[Path]) -> None:
    assert archive_options(java, jars, QUICK_JVM) == []
    made = archive_file(java, jars, QUICK_JVM)
    assert made.parent == jars[0].parent
    made.touch()
    assert f"-XX:SharedArchiveFile={made}" in archive_options(java, jars, QUICK_JVM)


def test_for_another_java_other_jars_or_other_options_it_is_not_used(
    java: Path, jars: list[Path], tmp_path: Path
) -> None:
    archive_file(java, jars, QUICK_JVM).touch()
    assert archive_options(java, jars, SERVER_JVM) == []
    assert archive_options(java, jars[:1], QUICK_JVM) == []
    assert archive_options(fake_java(tmp_path / "newer", "17.0.16"), jars, QUICK_JVM) == []


def test_of_several_who_ask_at_once_one_makes_it(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makings = []

    def made(_java: Path, _jars: list[Path], staging: Path) -> Path:
        makings.append(staging)
        time.sleep(0.1)  # for the others to ask meanwhile
        (staging / "made").write_text("classes")
        return staging / "made"

    monkeypatch.setattr(archive, "_made", made)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure_archive(), range(4)))
    assert len(makings) == 1
    assert found.read_text() == "classes"
    assert {path.suffix for path in found.parent.iterdir()} == {".jsa", ".lock"}


def test_where_it_can_not_be_made_nothing_is_said_and_nothing_left(
    found: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ensure_archive()  # by a Java that ends at once, whatever it is to do
    assert {path.suffix for path in found.parent.iterdir()} <= {".lock"}
    assert capfd.readouterr() == ("", "")


def test_without_any_java_nothing_is_said_either(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise JavaMissing("none")

    monkeypatch.setattr(archive, "find_java", missing)
    ensure_archive()
    assert not found.exists()
