"""Programs out of Debian's packages, for tests and benches where they aren't on the path: in the user's cache, without
rights that only root has. apt checks what it downloads by the archive's signature.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from streams.local.jars import cache_folder


class NoPackage(Exception):
    """The packages can't be had here; the text says why."""


@cache
def unpacked(*packages: str) -> Path:
    """The folder in which the packages' files are, downloaded once. Several processes may ask at the same time."""
    folder = cache_folder().parent / "debian" / "+".join(packages)
    if folder.is_dir():
        return folder
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NoPackage(f"there is no {program}, to get Debian's package {packages[0]} with")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        room = Path(name)
        room.chmod(0o755)  # apt may read it as somebody else
        apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
        if not _done([*apt, "download", *packages], room):
            # No package lists yet, or old ones: fetch some of our own.
            (room / "lists").mkdir()
            apt += ["-o", f"Dir::State::lists={room / 'lists'}", "-o", f"Dir::Cache={room}", "-o", "Debug::NoLocking=1"]
            if not _done([*apt, "update"], room) or not _done([*apt, "download", *packages], room):
                raise NoPackage(f"apt-get can't download {', '.join(packages)}")
        for package in room.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(room / "files")], check=True, timeout=120)
        try:
            (room / "files").rename(folder)
        except OSError:
            assert folder.is_dir()  # another process was faster
    return folder


def _done(command: Sequence[str], folder: Path) -> bool:
    return not subprocess.run(command, cwd=folder, timeout=300, check=False, stderr=subprocess.DEVNULL).returncode
