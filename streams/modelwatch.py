"""A model file that changes while a worker runs."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from streams.errors import UsageError
from streams.modelfile import read_model
from streams.qualification.model.values import Model

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_Stamp = tuple[int, int, int]
_NEVER: _Stamp = (-1, -1, -1)


class ModelWatch:
    """Looks at the file now and then, and hands on a model that is new and can take over from the last one.

    A file that can't is said so of once, and changes nothing. `taken(outcome)` counts: accepted or refused.
    """

    def __init__(self, path: Path, model: Model, offer: Callable[[Model], None], taken: Callable[[str], None]) -> None:
        self._path = path
        self._model = model
        self._offer = offer
        self._taken = taken
        # `model` may be of a file that has been saved again since: the first looks find that out.
        self._seen: _Stamp | None = _NEVER
        self._last: _Stamp | None = _NEVER

    def start(self) -> None:
        """Look from a thread of its own, for as long as the process lives."""
        threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    def look(self) -> None:
        """Look once. A file is read when two looks found it the same: it may be half written at the first."""
        stamp = self._stamp()
        if stamp == self._seen or stamp != self._last:
            self._last = stamp
            return
        self._seen = stamp
        try:
            model = read_model(self._path)
            if model.grace_ms != self._model.grace_ms:
                raise UsageError(f"{self._path}: another `grace` takes effect with a restart only")
        except UsageError as error:
            log.error("%s\nThe model stays %s.", error, self._model.version)
            self._taken("refused")
            return
        if model.identity == self._model.identity:
            return
        log.info("model %s follows %s", model.version, self._model.version)
        self._model = model
        self._offer(model)
        self._taken("accepted")

    def _stamp(self) -> _Stamp | None:
        """What changes with the file: an editor may put another in its place, a mounted volume turns a link."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _watch(self) -> None:
        wait = threading.Event().wait
        while not wait(_LOOK_SECONDS):
            self.look()
