"""One moment of the demo, complete: all that a view needs."""

from __future__ import annotations

from dataclasses import dataclass

from streams.local.demo.advice import Advice
from streams.local.demo.board import Board


@dataclass(frozen=True, slots=True)
class Scene:
    """`at`, `begin`, `end` in ms: the simulated now, and the thirty days. `advice` when it is your turn,
    `website` where you can take it.
    """

    board: Board
    begin: int
    end: int
    at: int
    live: bool
    keys: bool
    you: str | None = None
    advice: Advice | None = None
    website: str | None = None

    @property
    def progress(self) -> float:
        """How much of the thirty days is over, 0 to 1."""
        return min(1.0, max(0.0, (self.at - self.begin) / (self.end - self.begin)))

    @property
    def day(self) -> int:
        """1 to 30."""
        return min(30, int(self.progress * 30) + 1)
