"""The demo from its first process to its last."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from streams.errors import LeadstreamError
from streams.kafka import ensure_topics, require_broker
from streams.local.broker import EmbeddedBroker
from streams.local.demo.advice import Advice, Adviser
from streams.local.demo.board import Board, Remark
from streams.local.demo.children import Child
from streams.local.demo.farewell import next_time, summary
from streams.local.demo.interruption import Interruption
from streams.local.demo.keyboard import Keyboard
from streams.local.demo.office_hours import HISTORY_MS
from streams.local.demo.plain import PlainView
from streams.local.demo.scene import Scene
from streams.local.demo.view import LiveView
from streams.local.demo.watcher import Watcher
from streams.local.demo.you import ACTIONS, You
from streams.qualification.loading import load_model

#: On the embedded broker: enough to be several, and ready three times as fast as the usual twelve.
_PARTITIONS = 4
_WORKER_SECONDS = 60.0
#: From the start of the publisher's process to its first event.
_HEAD_START_SECONDS = 1.5
_CATCH_UP_SECONDS = 60.0
_FRAME_SECONDS = 0.1
_LAG_EVERY_SECONDS = 0.5
#: After the worker's last commit, this long without a record means that all of its outputs have been read.
_QUIET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`bootstrap` None starts an embedded broker; the thirty days take `seconds`; `once` ends after them."""

    bootstrap: str | None
    seconds: float
    seed: int
    plain: bool
    once: bool


class NothingQualified(LeadstreamError):
    """The thirty days are over, and there was no MQL or no SQL event."""


class WorkerSlow(LeadstreamError):
    """The worker did not get through the events."""


class View(Protocol):
    """How the demo is shown."""

    def remark(self, remark: Remark) -> None:
        """Something happened."""

    def show(self, scene: Scene) -> None:
        """This is how things are now."""


def run(settings: Settings) -> int:
    """Run until the user ends it, or with `once` until all has been seen. Returns the exit code.

    Raises LeadstreamError when a part of it fails. Leaves no process and no file behind, whatever happens.
    """
    model = load_model((files("streams.qualification") / "default.yaml").read_text("utf-8"), "default.yaml")
    board = Board(model)
    began = time.monotonic()
    with Interruption() as interruption:
        interruption.raising = True
        try:
            with ExitStack() as stack:
                finished = _play(settings, board, interruption, stack)
        except KeyboardInterrupt:
            finished = False
        print(summary(board, time.monotonic() - began))
        if settings.once and not finished:
            _say("Interrupted before the thirty days were over.")
            return 1
        print(next_time(settings.bootstrap, _now()))
    missing = [
        stage for stage, topic in (("MQL", "mql-events"), ("SQL", "sql-events")) if not board.counts[topic]
    ]
    if settings.once and missing:
        raise NothingQualified(f"The demo has seen no {' and no '.join(missing)} event, but should have.")
    return 0


def _play(settings: Settings, board: Board, interruption: Interruption, stack: ExitStack) -> bool:
    """Start everything, watch. True when it ended as intended. `stack` ends what has been started."""

    @stack.callback
    def _no_more_raising() -> None:
        interruption.raising = False

    folder = Path(tempfile.mkdtemp(prefix="leadstream-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    bootstrap = settings.bootstrap or _embedded_broker(stack)
    with _timed("topics"):
        require_broker(bootstrap)
        partitions = ensure_topics(bootstrap, None if settings.bootstrap else _PARTITIONS).partitions
        watcher = Watcher(bootstrap, partitions)
    stack.callback(watcher.close)
    # Leads of an earlier run on the same cluster have a history; ours begin afresh.
    suffix = f"-{int(time.time()):x}" if settings.bootstrap else ""
    worker = Child("worker", ["-m", "streams.cli", "worker", "--bootstrap", bootstrap], folder)
    stack.callback(worker.stop)
    with _timed("worker"):
        worker.start()
        worker.await_line("ready", _WORKER_SECONDS)
    end = _now() + int((_HEAD_START_SECONDS + settings.seconds) * 1000)
    publisher = Child("publisher", _publisher_arguments(settings, bootstrap, end, suffix), folder)
    stack.callback(publisher.stop)
    publisher.start()
    # From here on a loop looks: an exception in the middle of a frame would leave the terminal in disorder.
    interruption.raising = False
    keyboard = stack.enter_context(Keyboard()) if not settings.plain else None
    view: View = PlainView() if settings.plain else stack.enter_context(LiveView())
    demo = _Demo(settings, board, watcher, worker, publisher, view, keyboard, end)
    if not demo.history(interruption):
        return False
    if settings.once:
        return demo.catch_up(interruption)
    with You(bootstrap, suffix) as you:
        demo.live(interruption, you)
    return True


def _embedded_broker(stack: ExitStack) -> str:
    broker = EmbeddedBroker()
    stack.callback(broker.stop)
    with _timed("Apache Kafka"):
        broker.start()
    return broker.bootstrap


def _publisher_arguments(settings: Settings, bootstrap: str, end: int, suffix: str) -> list[str]:
    arguments = ["-m", "streams.local.demo.publisher", "--bootstrap", bootstrap, "--seed", str(settings.seed)]
    arguments += ["--end", str(end), "--seconds", str(settings.seconds), f"--suffix={suffix}"]
    return arguments if settings.once else [*arguments, "--stay"]


class _Demo:
    """The phases of a demo whose processes run."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        watcher: Watcher,
        worker: Child,
        publisher: Child,
        view: View,
        keyboard: Keyboard | None,
        end: int,
    ) -> None:
        self._board = board
        self._watcher = watcher
        self._worker = worker
        self._publisher = publisher
        self._view = view
        self._keyboard = keyboard
        self._end = end
        self._adviser = Adviser(board.model)
        self._drawn = 0.0
        self._last_seen = time.monotonic()

    def history(self, interruption: Interruption) -> bool:
        """Watch the thirty days until all of their events have come. False when it was asked to end."""
        while not self._asked(interruption):
            self._watch()
            self._draw(self._board.stream_time)
            told = self._publisher.line("published") if _now() >= self._end else None
            if told is not None and self._board.events >= int(told.split()[1]):
                return True
        return False

    def catch_up(self, interruption: Interruption) -> bool:
        """Watch until the worker is through and its last output is read. False when it was asked to end."""
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        look_at = 0.0
        through = False
        while not self._asked(interruption):
            self._watch()
            self._draw(self._board.stream_time)
            now = time.monotonic()
            if not through and now >= look_at:
                through = self._watcher.worker_lag() == 0
                look_at = now + _LAG_EVERY_SECONDS
            if through and now - self._last_seen >= _QUIET_SECONDS:
                return True
            if now >= deadline:
                raise WorkerSlow(
                    f"The worker is not through the events {_CATCH_UP_SECONDS:.0f} s after the last one."
                )
        return False

    def live(self, interruption: Interruption, you: You) -> None:
        """Go on as it is, with you as a lead, until asked to end."""
        you.introduce()
        while not interruption.asked:
            for key in self._keyboard.pressed().lower() if self._keyboard else "":
                if key == "q":
                    return
                if key in ACTIONS:
                    you.press(key)
            self._watch()
            self._draw(_now(), you.lead_id)

    def _asked(self, interruption: Interruption) -> bool:
        return interruption.asked or (self._keyboard is not None and "q" in self._keyboard.pressed().lower())

    def _watch(self) -> None:
        for seen in self._watcher.poll(0.05):
            self._last_seen = time.monotonic()
            remark = self._board.take(seen)
            if remark is not None:
                self._view.remark(remark)
        self._worker.check()
        self._publisher.check()

    def _draw(self, at: int, you: str | None = None) -> None:
        now = time.monotonic()
        if now - self._drawn < _FRAME_SECONDS:
            return
        self._drawn = now
        self._board.tick(now)
        keys = self._keyboard is not None and self._keyboard.present
        begin = self._end - HISTORY_MS
        advice = self._advice(you, at) if you is not None else None
        self._view.show(
            Scene(self._board, begin, self._end, max(at, begin), you is not None, keys, you, advice)
        )

    def _advice(self, you: str, at: int) -> Advice:
        return self._adviser.advise(self._board.leads.get(you), you, self._board.stage_of(you), at)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    _say(f"{what} ...")
    yield
    _say(f"{what} ready in {time.monotonic() - began:.1f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _now() -> int:
    return time.time_ns() // 1_000_000
