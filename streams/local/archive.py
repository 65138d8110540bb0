"""An archive of the classes that a broker loads, ready for the JVM to map: with it a broker starts in half the time.

Class data sharing, as Java calls it. The archive lies beside the jars. It is made for one Java, these jars and the
options of a quick start, all of which are in its name, and which the JVM checks again, the archive's checksums too: one
that doesn't fit, or is damaged, is passed over, and the broker starts as without.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streams.errors import LeadstreamError
from streams.local.jars import ensure_jars, exclusive
from streams.local.java import find_java, java_version
from streams.local.server import QUICK_JVM

_MAKING_SECONDS = 120.0


def archive_file(java: Path, jars: Sequence[Path], jvm: Sequence[str]) -> Path:
    """Where the archive is, if there is one, for a broker of `jars` that `java` runs with the options `jvm`."""
    made_for = "\n".join([java_version(str(java)) or "", *map(str, jars), *jvm])
    return jars[0].parent / f"classes-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}.jsa"


def archive_options(java: Path, jars: Sequence[Path], jvm: Sequence[str]) -> list[str]:
    """The options that make such a broker's JVM use the archive; none where there is no archive."""
    archive = archive_file(java, jars, jvm)
    return _using(archive) if archive.exists() else []


def _using(archive: Path) -> list[str]:
    # Silent about one that it passes over: nobody has asked for it.
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-XX:+VerifySharedSpaces", "-Xlog:cds*=off"]


def ensure_archive() -> None:
    """Make the archive unless it is there. That takes as long as three starts of a broker, so nobody is made to wait
    for it but who starts many. Where it can't be made, brokers start as without, and nothing is said.

    Safe when several processes ask at once: one makes it, the others wait for it.
    """
    with suppress(LeadstreamError, OSError, subprocess.SubprocessError):
        java, jars = find_java(), ensure_jars()
        archive = archive_file(java, jars, QUICK_JVM)
        if archive.exists():
            return
        with exclusive(archive.with_suffix(".lock")):
            if not archive.exists():
                # Beside it, so that the last step is a rename within one file system.
                with tempfile.TemporaryDirectory(prefix=".archive-", dir=archive.parent) as staging:
                    os.replace(_made(java, jars, Path(staging)), archive)


def _made(java: Path, jars: Sequence[Path], staging: Path) -> Path:
    """A new archive in `staging`, of what a broker loads until it serves, and as it ends; tried."""
    from streams.local.broker import EmbeddedBroker  # which asks this module for its options

    with EmbeddedBroker(staging / "kafka", jvm=[*QUICK_JVM, f"-XX:DumpLoadedClassList={staging / 'listed-%p'}"]):
        pass
    # One of the JVM that prepared the folder, and one of the broker's own, which is the longer one.
    listed, made = max(staging.glob("listed-*"), key=lambda path: path.stat().st_size), staging / "made.jsa"
    class_path = ["-cp", os.pathsep.join(map(str, jars))]
    _run(java, "-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={made}", *class_path)
    _run(java, *QUICK_JVM, *_using(made), *class_path, "-version")
    return made


def _run(java: Path, *words: str) -> None:
    subprocess.run([str(java), *words], capture_output=True, check=True, timeout=_MAKING_SECONDS)
