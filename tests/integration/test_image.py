"""What the Dockerfile says, done here: its copies and commands, in a folder instead of a container."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def steps() -> list[tuple[str, str]]:
    """(instruction, arguments) of the first stage."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "deploy" / "Dockerfile").read_text(), flags=re.MULTILINE)
    first = re.split(r"^FROM .*$", text.replace("\\\n", " "), flags=re.MULTILINE)[1]
    return [tuple(line.split(" ", 1)) for line in first.splitlines() if line]  # type: ignore[misc]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_image_s_first_stage_can_be_built_and_its_command_runs(tmp_path: Path) -> None:
    work, opt = tmp_path / "build", tmp_path / "opt"
    for folder in (work, opt):
        folder.mkdir()
    assert {"COPY", "RUN"} <= {instruction for instruction, _ in steps()}
    for instruction, arguments in steps():
        if instruction == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, work / target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
                else:
                    shutil.copy(ROOT / source, work / Path(source).name)
        elif instruction == "RUN":
            done = subprocess.run(
                ["bash", "-ec", arguments.replace("/opt/", f"{opt}/").replace("python -m", "python3 -m")],
                cwd=work,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    command = opt / "leadstream" / "bin" / "leadstream"
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    for words in (
        ["--version"],
        ["model", "check", str(ROOT / "deploy" / "models" / "x-education.yaml")],
        ["topics", "--acls"],
    ):
        done = subprocess.run([command, *words], cwd=empty, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not (opt / "leadstream" / "bin" / "pip").exists()
