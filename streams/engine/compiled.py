"""The parts that are compiled at installation, where that could be done. All of them have plain twins."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from types import ModuleType

log = logging.getLogger(__name__)

#: Of what Python and the compiled modules say to each other: one more with each change. hatch_build.py reads it here.
REVISION = 6


def compiled(module: str) -> ModuleType | None:
    """A compiled module; None where there is none, where it is of other sources, or with LEADSTREAM_PURE set."""
    if os.environ.get("LEADSTREAM_PURE"):
        return None
    try:
        found = import_module(module)
    except ImportError:  # installed without a compiler
        return None
    if getattr(found, "REVISION", None) != REVISION:
        log.warning("%s was compiled of other sources and is left alone: install leadstream again", module)
        return None
    return found
