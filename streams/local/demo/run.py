"""The demo from its first process to its last."""

from __future__ import annotations

import time
from contextlib import ExitStack
from importlib.resources import files

from streams.errors import LeadstreamError
from streams.local.demo.board import Board
from streams.local.demo.farewell import next_time, summary
from streams.local.demo.interruption import Interruption
from streams.local.demo.keyboard import Keyboard
from streams.local.demo.phases import Phases, View
from streams.local.demo.plain import PlainView
from streams.local.demo.start import Settings, say, start
from streams.local.demo.view import LiveView
from streams.local.demo.website import Website
from streams.local.demo.you import You
from streams.qualification.model.loading import load_model


class NothingQualified(LeadstreamError):
    """The thirty days are over, and there was no MQL or no SQL event."""


def run(settings: Settings) -> int:
    """Run until the user ends it, or with `once` until all has been seen. Returns the exit code.

    Raises LeadstreamError when a part of it fails. Leaves no process and no file behind, whatever happens.
    """
    default_model = (files("streams.qualification.model") / "default.yaml").read_text("utf-8")
    board = Board(load_model(default_model, "default.yaml"))
    began = time.monotonic()
    with Interruption() as interruption:
        try:
            with ExitStack() as stack:
                finished = _play(settings, board, interruption, stack)
        except KeyboardInterrupt:
            finished = False
        if board.events:
            print(summary(board, time.monotonic() - began))
        if settings.once and not finished:
            say("Ended before the thirty days were over.")
            return 1
        print(next_time(settings.bootstrap, time.time_ns() // 1_000_000))
    if settings.once:
        _require_qualified(board)
    return 0


def _play(settings: Settings, board: Board, interruption: Interruption, stack: ExitStack) -> bool:
    """Start, watch, join in. True when it ended as intended. `stack` ends what has been started."""
    interruption.raising = True
    try:
        started = start(settings, stack)
    finally:
        # From here on a loop looks, since an exception within a frame would leave the terminal in disorder;
        # and no clean-up is cut short.
        interruption.raising = False
    keyboard = None if settings.plain else stack.enter_context(Keyboard())
    view: View = PlainView() if settings.plain else stack.enter_context(LiveView())
    phases = Phases(started, board, view, keyboard, interruption)
    if not phases.history():
        return False
    if settings.once:
        return phases.catch_up()
    you = stack.enter_context(You(started.bootstrap, started.suffix))
    site = stack.enter_context(Website(started.collector, you.lead_id)) if started.collector else None
    phases.live(you, site)
    return True


def _require_qualified(board: Board) -> None:
    topics = {"MQL": "mql-events", "SQL": "sql-events"}
    missing = [stage for stage, topic in topics.items() if not board.counts[topic]]
    if missing:
        raise NothingQualified(f"The demo has seen no {' and no '.join(missing)} event, but should have.")
