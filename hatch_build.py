"""Compiles the short way for page views (streams/fastpath) where that can be done.

A C compiler and Python's own headers are all it takes. Where there is no compiler, Zig's is installed for the build;
where there are no headers, the package is installed without the short way and works all the same, some times slower.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = "streams/fastpath/native"
_COMPILERS = ("cc", "gcc", "clang")


class CompiledShortWay(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs beyond hatchling."""
        if not _wanted():
            return []
        return ["setuptools >= 77"] if _compiler() else ["setuptools >= 77", "ziglang ~= 0.17.0"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not _wanted():
            self.app.display_warning("No Python.h: installing without the compiled short way for page views")
            return
        try:
            built = _compile(Path(self.root))
        except Exception as error:
            self.app.display_warning(f"Installing without the compiled short way for page views: {error}")
            return
        build_data["artifacts"].append(str(built.relative_to(self.root)))
        build_data["infer_tag"] = True
        build_data["pure_python"] = False


def _wanted() -> bool:
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return headers.is_file() and not os.environ.get("LEADSTREAM_PURE")


def _compiler() -> str | None:
    return os.environ.get("CC") or next(filter(None, map(shutil.which, _COMPILERS)), None)


def _compile(root: Path) -> Path:
    """Compile in place. Returns the library."""
    from setuptools import Distribution, Extension

    if _compiler() is None:
        os.environ["CC"] = f"{sys.executable} -m ziglang cc"
        os.environ["LDSHARED"] = f"{os.environ['CC']} -shared"
    os.chdir(root)
    extension = Extension(
        "streams.fastpath._native",
        [f"{_SOURCES}/module.c"],
        depends=[str(one) for one in Path(_SOURCES).glob("*.h")],
        # A fused multiply-add would round otherwise than Python does.
        extra_compile_args=["-O2", "-ffp-contract=off"],
        libraries=["m"],
    )
    command = Distribution({"name": "leadstream", "ext_modules": [extension]}).get_command_obj("build_ext")
    command.inplace = True
    with tempfile.TemporaryDirectory() as room:
        command.build_temp = room
        command.ensure_finalized()
        command.run()
    return root / command.get_ext_filename("streams/fastpath/_native")
