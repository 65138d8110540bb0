"""The demo as lines, for logs and where there is no terminal."""

from __future__ import annotations

from streams.local.demo.board import Remark
from streams.local.demo.scene import Scene
from streams.local.demo.words import day_of, minute_of

_EVERY_DAYS = 5


class PlainView:
    """Prints a line for all that happens, and one every few days of the story."""

    def __init__(self) -> None:
        self._told_day = 0
        self._told_live = False

    def remark(self, remark: Remark) -> None:
        until = f" (would cool on {day_of(remark.until)})" if remark.until else ""
        what = f"{remark.what:<16}"
        print(f"{minute_of(remark.at)}  {what} {remark.name}: {remark.reason}{until}", flush=True)

    def show(self, scene: Scene) -> None:
        board = scene.board
        day = scene.day - scene.day % _EVERY_DAYS
        if day > self._told_day and not scene.live:
            self._told_day = day
            counts = board.counts
            print(
                f"{minute_of(scene.at)}  day {day} of 30: {board.events:,} events, "
                f"{counts['mql-events']} MQL, {counts['sql-events']} SQL, "
                f"{counts['dead-letters']} dead letters",
                flush=True,
            )
        if scene.live and not self._told_live:
            self._told_live = True
            print("The thirty days are over; it goes on live. Ctrl-C ends it.", flush=True)
            if scene.website:
                print(f"Your turn: visit {scene.website}", flush=True)
