"""Compiles the short way for page views (streams/fastpath) and what the engine does per key, where that can be done.

A C compiler and Python's own headers are all it takes. Where there is no compiler, Zig's is installed for the build;
where there are no headers, the package is installed without the short way and works all the same, some times slower.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: module -> its one source, beside which its headers are
_MODULES = {
    "streams.fastpath._native": "streams/fastpath/native/module.c",
    "streams.engine._native": "streams/engine/native/module.c",
}
_COMPILERS = ("cc", "gcc", "clang")


class CompiledParts(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs beyond hatchling."""
        if not _wanted():
            return []
        return ["setuptools >= 77"] if _compiler() else ["setuptools >= 77", "ziglang ~= 0.17.0"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not _wanted():
            self.app.display_warning("No Python.h: installing without the compiled parts")
            return
        try:
            built = _compile(Path(self.root))
        except Exception as error:
            self.app.display_warning(f"Installing without the compiled parts: {error}")
            return
        build_data["artifacts"] += built
        build_data["infer_tag"] = True
        build_data["pure_python"] = False


def _wanted() -> bool:
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return headers.is_file() and not os.environ.get("LEADSTREAM_PURE")


def _compiler() -> str | None:
    """The one that Python itself was compiled with, where it is here, else another."""
    own = (sysconfig.get_config_var("CC") or _COMPILERS[0]).split()[0]
    return os.environ.get("CC") or next(filter(None, map(shutil.which, (own, *_COMPILERS))), None)


def _revision(root: Path) -> str:
    """What the compiled modules say they are: `REVISION` of streams/engine/compiled.py."""
    found = re.search(r"^REVISION = (\d+)$", (root / "streams/engine/compiled.py").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _compile(root: Path) -> list[str]:
    """Compile in place. Returns the libraries, relative to `root`."""
    from setuptools import Distribution, Extension

    compiler = _compiler()
    if compiler is None:
        # Zig compiles for the machine at hand unless told otherwise: an image must run on others, too.
        compiler = f"{sys.executable} -m ziglang cc -mcpu=baseline"
        os.environ["LDSHARED"] = f"{compiler} -shared"
    os.environ["CC"] = compiler
    os.chdir(root)
    extensions = [
        Extension(
            name,
            [source],
            define_macros=[("LEADSTREAM_REVISION", _revision(root))],
            depends=[str(one) for one in Path(source).parent.glob("*.h")],
            # A fused multiply-add would round otherwise than Python does.
            extra_compile_args=["-O3", "-DNDEBUG", "-ffp-contract=off"],
            libraries=["m"],
        )
        for name, source in _MODULES.items()
    ]
    command = Distribution({"name": "leadstream", "ext_modules": extensions}).get_command_obj("build_ext")
    command.inplace = True
    with tempfile.TemporaryDirectory() as room:
        command.build_temp = command.build_lib = room
        command.ensure_finalized()
        command.run()
    return [command.get_ext_filename(name) for name in _MODULES]
