"""Kustomize for tests: the one on the path, else kubectl's, else one that Go builds, in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from streams.local.jars import cache_folder

_MODULE, _VERSION = "sigs.k8s.io/kustomize/kustomize/v5", "v5.7.1"


@cache
def kustomize() -> tuple[str, ...] | None:
    """The words of the command that builds a folder; None where there is neither kustomize, kubectl nor Go."""
    if found := shutil.which("kustomize"):
        return found, "build"
    if found := shutil.which("kubectl"):
        return found, "kustomize"
    if (go := shutil.which("go")) is None:
        return None
    folder = cache_folder().parent / "go" / f"kustomize-{_VERSION}"
    if not (folder / "kustomize").exists():
        # Go checks what it downloads by its own sums, and puts the program there when it is whole.
        environment = {**os.environ, "GOBIN": str(folder)}
        subprocess.run([go, "install", f"{_MODULE}@{_VERSION}"], env=environment, check=True, timeout=600)
    return str(folder / "kustomize"), "build"


def built(folder: Path) -> list[dict[str, Any]]:
    """The resources of a kustomization, as the cluster would get them."""
    words = kustomize()
    assert words is not None, "there is no kustomize"
    done = subprocess.run([*words, str(folder)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
