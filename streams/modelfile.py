"""Where the model comes from: a file, or the one that ships with the package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from streams.errors import UsageError
from streams.qualification.model.check import disagreements
from streams.qualification.model.loading import load_model
from streams.qualification.model.nodes import ModelError, Problems, parse
from streams.qualification.model.values import Model

ENVIRONMENT = "LEADSTREAM_MODEL"


def read_model(path: Path | None = None) -> Model:
    """The model in the file at `path`, else in the one `LEADSTREAM_MODEL` names, else the default.

    Raises UsageError for a file that can't be read, ModelError for one that is wrong, or whose matrix contradicts its
    thresholds.
    """
    text, source = read_text(path)
    model = load_model(text, source)
    problems = list(disagreements(model))
    if problems:
        line = cells_line(text, source)
        raise ModelError([f"{source}:{line}: {problem}" for problem in problems])
    return model


def chosen_file(path: Path | None = None) -> Path | None:
    """The file that `read_model` would load, None for the default model."""
    chosen = path or os.environ.get(ENVIRONMENT)
    return Path(chosen) if chosen else None


def cells_line(text: str, source: str) -> int:
    """Where in a model file that loads the cells of the matrix stand."""
    return parse(text, Problems(source)).deepest(("matrix", "cells")).line


def read_text(path: Path | None = None) -> tuple[str, str]:
    """The text of the model file that `read_model` would load, and its name for messages."""
    chosen = chosen_file(path)
    if chosen is None:
        default = files("streams.qualification.model") / "default.yaml"
        return default.read_text(encoding="utf-8"), "default.yaml"
    try:
        return chosen.read_text(encoding="utf-8"), str(chosen)
    except OSError as failed:
        problem = f"the model file {chosen} can't be read: {failed.strerror}"
    except UnicodeDecodeError as failed:
        problem = f"the model file {chosen} is no UTF-8 text (byte {failed.start})"
    raise UsageError(f"{problem}; give another with --model or {ENVIRONMENT}")
