"""The phases of a demo whose processes run: thirty days of history, catching up, and live."""

from __future__ import annotations

import time
from typing import Protocol

from streams.errors import LeadstreamError
from streams.local.demo.advice import Advice, Adviser
from streams.local.demo.board import Board, Remark
from streams.local.demo.interruption import Interruption
from streams.local.demo.keyboard import Keyboard
from streams.local.demo.office_hours import HISTORY_MS
from streams.local.demo.scene import Scene
from streams.local.demo.start import Started
from streams.local.demo.website import Standing, Website
from streams.local.demo.you import ACTIONS, You

_CATCH_UP_SECONDS = 60.0
_FRAME_SECONDS = 0.1
_LAG_EVERY_SECONDS = 0.5
#: After the worker's last commit, this long without a record means that all of its outputs have been read.
_QUIET_SECONDS = 1.0


class WorkerSlow(LeadstreamError):
    """The worker did not get through the events."""


class View(Protocol):
    """How the demo is shown."""

    def remark(self, remark: Remark) -> None:
        """Something happened."""

    def show(self, scene: Scene) -> None:
        """This is how things are now."""


class Phases:
    """Each phase returns False when it was asked to end early: by a signal, or by `q`."""

    def __init__(
        self,
        started: Started,
        board: Board,
        view: View,
        keyboard: Keyboard | None,
        interruption: Interruption,
    ) -> None:
        self._started = started
        self._board = board
        self._view = view
        self._keyboard = keyboard
        self._interruption = interruption
        self._adviser = Adviser(board.model)
        self._drawn = 0.0
        self._last_seen = time.monotonic()
        self._quit = False
        self._site: Website | None = None

    def history(self) -> bool:
        """Watch the thirty days until all of their events have come."""
        while not self._asked():
            self._watch()
            self._draw(self._board.stream_time)
            told = self._started.publisher.line("published") if _now() >= self._started.end else None
            if told is not None and self._board.events >= int(told.split()[1]):
                return True
        return False

    def catch_up(self) -> bool:
        """Watch until the worker is through and its last output is read. Raises WorkerSlow."""
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        look_at = 0.0
        through = False
        while not self._asked():
            self._watch()
            self._draw(self._board.stream_time)
            now = time.monotonic()
            if not through and now >= look_at:
                through = self._started.watcher.worker_lag() == 0
                look_at = now + _LAG_EVERY_SECONDS
            if through and now - self._last_seen >= _QUIET_SECONDS:
                return True
            if now >= deadline:
                raise WorkerSlow(f"The worker is not through the events {_CATCH_UP_SECONDS:.0f} s after the last one.")
        return False

    def live(self, you: You, site: Website | None = None) -> None:
        """Go on as it is, with you as a lead, until asked to end."""
        self._site = site
        you.introduce()
        while not self._asked(you):
            self._watch()
            self._draw(_now(), you.lead_id)

    def _asked(self, you: You | None = None) -> bool:
        """Whether to end; does on the way what the keys say."""
        for key in self._keyboard.pressed().lower() if self._keyboard is not None else "":
            self._quit = self._quit or key == "q"
            if you is not None and key in ACTIONS:
                you.press(key)
        return self._quit or self._interruption.asked

    def _watch(self) -> None:
        for seen in self._started.watcher.poll(0.05):
            self._last_seen = time.monotonic()
            remark = self._board.take(seen)
            if remark is not None:
                self._view.remark(remark)
        self._started.worker.check()
        self._started.publisher.check()

    def _draw(self, at: int, you: str | None = None) -> None:
        now = time.monotonic()
        if now - self._drawn < _FRAME_SECONDS:
            return
        self._drawn = now
        self._board.tick(now)
        keys = self._keyboard is not None and self._keyboard.present
        end = self._started.end
        begin = end - HISTORY_MS
        advice = self._advice(you, at) if you is not None else None
        website = self._site.url if self._site is not None else None
        self._view.show(Scene(self._board, begin, end, max(at, begin), you is not None, keys, you, advice, website))
        if self._site is not None and advice is not None and you in self._board.leads:
            row = self._board.row(you, at)
            self._site.show(Standing(row.stage, row.band, row.interest, "; ".join((advice.line, *advice.notes))))

    def _advice(self, you: str, at: int) -> Advice:
        return self._adviser.advise(self._board.leads.get(you), you, self._board.stage_of(you), at)


def _now() -> int:
    return time.time_ns() // 1_000_000
