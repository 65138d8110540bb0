"""In what a bench measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streams.local.broker import EmbeddedBroker
from streams.local.server import SERVER_JVM


class Setting(NamedTuple):
    """`python` runs what is measured, `room` takes its files; `warm_up` seconds of load are not counted; `jvm` is the
    broker's. Topics have as many `partitions`, but for those of the peers, which are written for twelve.
    """

    python: str
    room: Path
    warm_up: float = 20.0
    jvm: Sequence[str] = SERVER_JVM
    partitions: int = 12

    def broker(self) -> EmbeddedBroker:
        return EmbeddedBroker(jvm=self.jvm)
