"""Starting what the demo needs: a broker, topics, a worker, a publisher."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.kafka import ensure_topics, require_broker
from streams.local.broker import EmbeddedBroker
from streams.local.demo.children import Child
from streams.local.demo.watcher import Watcher

#: On the embedded broker: enough to be several, and ready three times as fast as the usual twelve.
_PARTITIONS = 4
_WORKER_SECONDS = 60.0
#: From the start of the publisher's process to its first event.
_HEAD_START_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Settings:
    """`bootstrap` None starts an embedded broker; the thirty days take `seconds`; `once` ends after them; `web` opens a
    website for you to visit.
    """

    bootstrap: str | None
    seconds: float
    seed: int
    plain: bool
    once: bool
    web: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """What runs. `suffix` ends every lead id of this run; `end` is the end of the thirty days, in ms; `collector` is
    the collector's address, where there is one.
    """

    bootstrap: str
    suffix: str
    watcher: Watcher
    worker: Child
    publisher: Child
    end: int
    collector: str | None = None


def start(settings: Settings, stack: ExitStack) -> Started:
    """Start everything. `stack` ends what was started, also after a failure."""
    folder = Path(tempfile.mkdtemp(prefix="leadstream-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    bootstrap = settings.bootstrap or _embedded_broker(stack)
    with _told("topics"):
        require_broker(bootstrap)
        partitions = ensure_topics(bootstrap, None if settings.bootstrap else _PARTITIONS).partitions
        watcher = Watcher(bootstrap, partitions)
    stack.callback(watcher.close)
    worker = Child("worker", ["-m", "streams.cli", "worker", "--bootstrap", bootstrap], folder)
    stack.callback(worker.stop)
    with _told("worker"):
        worker.start()
        worker.await_line("ready", _WORKER_SECONDS)
    collector = _collector(bootstrap, folder, stack) if settings.web else None
    # Leads of an earlier run on the same cluster have a history; ours begin afresh.
    suffix = f"-{int(time.time()):x}" if settings.bootstrap else ""
    end = time.time_ns() // 1_000_000 + int((_HEAD_START_SECONDS + settings.seconds) * 1000)
    publisher = Child("publisher", _publisher_arguments(settings, bootstrap, end, suffix), folder)
    stack.callback(publisher.stop)
    publisher.start()
    return Started(bootstrap, suffix, watcher, worker, publisher, end, collector)


def say(text: str) -> None:
    """Tell the user, apart from what the demo prints as its result."""
    print(text, file=sys.stderr, flush=True)


def _collector(bootstrap: str, folder: Path, stack: ExitStack) -> str:
    collector = Child(
        "collector", ["-m", "streams.cli", "collector", "--open", "--port", "0", "--bootstrap", bootstrap], folder
    )
    stack.callback(collector.stop)
    with _told("collector"):
        collector.start()
        return "http://" + collector.await_line("ready", _WORKER_SECONDS).split()[1]


def _embedded_broker(stack: ExitStack) -> str:
    broker = EmbeddedBroker()
    stack.callback(broker.stop)
    with _told("Apache Kafka"):
        broker.start()
    return broker.bootstrap


def _publisher_arguments(settings: Settings, bootstrap: str, end: int, suffix: str) -> list[str]:
    arguments = ["-m", "streams.local.demo.publisher", "--bootstrap", bootstrap, "--seed", str(settings.seed)]
    arguments += ["--end", str(end), "--seconds", str(settings.seconds), f"--suffix={suffix}"]
    return arguments if settings.once else [*arguments, "--stay"]


@contextmanager
def _told(what: str) -> Iterator[None]:
    began = time.monotonic()
    say(f"{what} ...")
    yield
    say(f"{what} ready in {time.monotonic() - began:.1f} s")
