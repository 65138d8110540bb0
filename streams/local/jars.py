"""The embedded broker's jars: pinned, downloaded once, kept in the user's cache.

The list (`kafka-jars.txt`) is fixed, so nothing is resolved at run time; jgo only fetches. Where from follows
the usual settings: jgo's own configuration, a mirror in Maven's `settings.xml`, proxies from the environment.
Jars that Maven has already put into its local repository are taken from there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from streams.errors import LeadstreamError

KAFKA_VERSION = "4.1.2"
_LIST = Path(__file__).with_name("kafka-jars.txt")
_THREADS = 8
_TRIES = 3

#: Called with (bytes so far, bytes in all), from several threads, one call at a time.
Progress = Callable[[int, int], None]


class JarsUnavailable(LeadstreamError):
    """A jar of the embedded broker could not be had, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Jar:
    """A pinned jar: `group:artifact:version`, its size in bytes and its SHA-256 in hex."""

    coordinates: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"

    def matches(self, path: Path) -> bool:
        """Whether `path` holds exactly this jar."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


def cache_folder() -> Path:
    """Where the jars are kept: `leadstream/kafka` below `$XDG_CACHE_HOME` or `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "leadstream" / "kafka"


def pinned_jars() -> list[Jar]:
    """The jars of `kafka-jars.txt`."""
    lines = (line.split() for line in _LIST.read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(coordinates, int(size), sha256) for coordinates, size, sha256 in lines]


def ensure_jars(
    folder: Path | None = None, say: Callable[[str], None] | None = None, jars: list[Jar] | None = None
) -> list[Path]:
    """The files of `jars` (the broker's), downloaded first where `folder` (the cache) does not have them.

    `say` gets the announcement, the progress where stderr is no terminal, and the end; by default they go to
    stderr. Safe when several processes start at once: one downloads, the others wait for it. Raises
    JarsUnavailable.
    """
    folder = folder or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    jars = pinned_jars() if jars is None else jars
    if missing := _missing(jars, folder):
        with exclusive(folder / ".lock"):
            missing = _missing(jars, folder)
            if missing:
                _download_aloud(missing, folder, say or (lambda line: print(line, file=sys.stderr, flush=True)))
    return [folder / jar.file_name for jar in jars]


def _missing(jars: list[Jar], folder: Path) -> list[Jar]:
    return [jar for jar in jars if not jar.matches(folder / jar.file_name)]


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock that `path` is, made if need be; the kernel releases it when a process dies."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download_aloud(jars: list[Jar], folder: Path, say: Callable[[str], None]) -> None:
    total = sum(jar.size for jar in jars)
    say(
        f"First start: downloading Apache Kafka {KAFKA_VERSION} ({len(jars)} jars, {total / 1e6:.0f} MB; "
        f"usually half a minute) to {folder}"
    )
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        with Progress(
            "Kafka",
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar:
            task = bar.add_task("Kafka", total=total)
            download(jars, folder, lambda done, _: bar.update(task, completed=done))
    else:
        download(jars, folder, _quarters(say))
    say("Apache Kafka is there; later starts take seconds.")


def _quarters(say: Callable[[str], None]) -> Progress:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if (quarter := done * 4 // total) > told:
            told = quarter
            say(f"  {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return progress


def download(jars: list[Jar], folder: Path, progress: Progress) -> None:
    """Put `jars` into `folder`, each appearing whole and verified or not at all. Raises JarsUnavailable."""
    total = sum(jar.size for jar in jars)
    done = 0
    lock = threading.Lock()

    def count(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(done, total)

    # In `folder`, so that the last step is a rename within one file system.
    with (
        tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as staging,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        futures = [pool.submit(_fetch, jar, folder, Path(staging), count) for jar in jars]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(jar: Jar, folder: Path, staging: Path, count: Callable[[int], None]) -> None:
    problem = "no answer"
    for attempt in range(_TRIES):
        room = staging / jar.file_name / str(attempt)
        room.mkdir(parents=True)
        counted = 0

        def counting(size: int) -> None:
            nonlocal counted
            counted += size
            count(size)

        try:
            fetched = _obtain(jar, room, counting)
        except Exception as error:  # jgo lets its HTTP library's errors through, and raises bare ones
            problem = f"{type(error).__name__}: {error}"
        else:
            if jar.matches(fetched):
                count(jar.size - counted)
                os.replace(fetched, folder / jar.file_name)
                return
            problem = f"what was downloaded is not the pinned file (SHA-256 {jar.sha256})"
        count(-counted)
    raise JarsUnavailable(
        f"Could not get {jar.coordinates} for the embedded broker after {_TRIES} tries: {problem}. "
        "Check the network and proxy; a mirror can be named in ~/.m2/settings.xml or in jgo's configuration. "
        "Any other broker serves as well: --bootstrap HOST:PORT."
    )


def _obtain(jar: Jar, room: Path, count: Callable[[int], None]) -> Path:
    """A file in `room` that should be `jar`: from Maven's local repository if there, else downloaded."""
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise JarsUnavailable(
            "The embedded broker is not installed: pip install 'leadstream[embedded]', "
            "or use another broker with --bootstrap HOST:PORT."
        ) from None

    settings = GlobalSettings.load()
    group, artifact, version = jar.coordinates.split(":")
    local = Path(settings.repo_cache).expanduser().joinpath(*group.split("."), artifact, version, jar.file_name)
    if jar.matches(local):
        return Path(shutil.copyfile(local, room / jar.file_name))

    @contextmanager
    def counting(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield count

    repositories: dict[str, Any] = {**_maven_mirror(), **settings.repositories}
    context = MavenContext(
        resolver=PythonResolver(progress_callback=counting),
        repo_cache=room,
        local_repos=[],
        remote_repos=repositories or None,
        timeout=60,
    )
    return Path(context.create_dependency(jar.coordinates).artifact.resolve())


def _maven_mirror() -> dict[str, str]:
    """The mirror of Maven's central repository in the user's `settings.xml`, if there is one."""
    try:
        root = ElementTree.parse(Path.home() / ".m2" / "settings.xml").getroot()
    except (OSError, ElementTree.ParseError):
        return {}
    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        of = (mirror.findtext("{*}mirrorOf") or "").split(",")
        url = mirror.findtext("{*}url")
        if url and {"*", "central", "external:*"} & set(of):
            return {"central": url.rstrip("/")}
    return {}
