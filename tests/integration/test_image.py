"""What the Dockerfile says, done here: its copies and commands in a folder, and all of it where there is buildah."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import __version__
from streams.local.broker import EmbeddedBroker

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


CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def said(*words: str | Path, timeout: float = 1500) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """The root of the image of the whole Dockerfile, built without a daemon.

    Its base is not the one that the Dockerfile names, which only Docker's registry has, but Debian's Python of the same
    release of Debian.
    """
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "mmdebstrap", "bwrap"))):
        pytest.skip("needs root, and buildah, mmdebstrap and bubblewrap: Debian has them")
    (base,) = set(re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), flags=re.MULTILINE))
    release = base.rpartition("-")[2]
    pip = tmp_path / "pip.conf"
    pip.write_text(f"[global]\ncert = {CERTIFICATES}\n")
    files = tmp_path / "base.tar"
    said("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", release, files)
    buildah = ("buildah", "--root", tmp_path / "images", "--runroot", tmp_path / "run", "--storage-driver", "vfs")
    made: list[str] = []
    try:
        made.append(said(*buildah, "from", "scratch").strip())
        said(*buildah, "add", made[0], files, "/")
        said(*buildah, "run", "--isolation", "chroot", made[0], "--", "ln", "-s", "python3", "/usr/bin/python")
        said(*buildah, "commit", made[0], f"docker.io/library/{base}")
        mounts = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro", f"--volume={pip}:/etc/pip.conf:ro"]
        how = ("--isolation", "chroot", "--pull-never", *mounts, "--file", ROOT / "deploy" / "Dockerfile")
        said(*buildah, "bud", *how, "--tag", "leadstream", ROOT)
        made.append(said(*buildah, "from", "--pull-never", "localhost/leadstream").strip())
        yield Path(said(*buildah, "mount", made[1]).strip())
    finally:
        for one in made:
            subprocess.run([*buildah, "rm", one], capture_output=True, check=False)


_PACKAGES = "python3,python3-venv,libpython3-dev,ca-certificates,passwd"
_LOOK = """
id -u
leadstream --version
python -c 'import streams.engine._native, streams.fastpath._native'
touch /tmp/here
if touch /here 2>/dev/null; then echo the root can be written; fi
if test -e /opt/leadstream/bin/pip; then echo there is pip; fi
"""


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_the_image_runs_as_nobody_special_on_a_root_that_cannot_be_written(image: Path) -> None:
    with EmbeddedBroker() as broker:
        _runs(image, broker.bootstrap)


def _runs(image: Path, bootstrap: str) -> None:
    inside = (
        "bwrap", "--ro-bind", image, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
        "--unshare-user", "--uid", "10001", "--gid", "10001", "--cap-drop", "ALL", "--clearenv",
        "--setenv", "PATH", "/opt/leadstream/bin:/usr/bin:/bin", "--setenv", "LEADSTREAM_BOOTSTRAP", bootstrap,
    )  # fmt: skip
    assert said(*inside, "sh", "-ec", _LOOK).split() == ["10001", "leadstream", __version__]
    assert "created page-views" in said(*inside, "leadstream", "topics", "--partitions", "2")
    assert said(*inside, "leadstream", "topics", "--check") == "All topics are there, 2 partitions each.\n"
