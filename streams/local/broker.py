"""A real Apache Kafka broker, single node, started and ended by this process."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from streams.errors import LeadstreamError
from streams.local.archive import archive_options
from streams.local.jars import ensure_jars
from streams.local.java import find_java
from streams.local.parent import die_with_parent
from streams.local.server import HOST, QUICK_JVM, server_properties

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


class BrokerFailed(LeadstreamError):
    """The embedded broker did not start, or ended by itself."""


class PortTaken(BrokerFailed):
    """Something else listens on the port that was asked for."""


class EmbeddedBroker:
    """One Kafka broker on 127.0.0.1.

    `data_dir` keeps topics from one start to the next; without it they live in a temporary folder that goes
    with the broker. `port` 0 takes a free one. `server` overrides entries of Kafka's `server.properties`.
    `jvm` is the JVM's options: by default those that start quickly, and for which an archive of classes is used where
    there is one (streams.local.archive).
    `say` gets what a first start tells about its download (default: stderr).
    `protocol` is what clients speak, as in `security.protocol`; for others than PLAINTEXT `server` has the keys and
    the authorizer, `users` the names and passwords of SCRAM-SHA-512, and `client` librdkafka's settings by which the
    broker is asked whether it serves.

    `start()` returns when clients are served. The broker ends with `stop()` or the `with` block and, on
    Linux, with this process however that ends. After `kill()` it can be started again on the same port and
    data; after `stop()` too, but only a `data_dir` is still there then.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int = 0,
        *,
        server: dict[str, str] | None = None,
        protocol: str = "PLAINTEXT",
        users: Mapping[str, str] | None = None,
        client: Mapping[str, Any] | None = None,
        jvm: Sequence[str] = QUICK_JVM,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._keep = data_dir is not None
        self._folder = data_dir
        self._port = port
        self._server = server or {}
        self._protocol = protocol
        self._users = users or {}
        self._client = client or {}
        self._jvm = jvm
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT`; known once the broker was started."""
        if not self._port:
            raise RuntimeError("the embedded broker was not started yet")
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The broker's process id while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log_file(self) -> Path:
        """Kafka's own log."""
        if self._folder is None:
            raise RuntimeError("the embedded broker was not started yet")
        return self._folder / "server.log"

    def start(self) -> EmbeddedBroker:
        """Start and wait until clients are served.

        Raises BrokerFailed, PortTaken, JavaMissing or JarsUnavailable.
        """
        if self.running:
            raise RuntimeError("the embedded broker runs already")
        if self._port and not _is_free(self._port):
            raise PortTaken(
                f"Port {self._port} on {HOST} is taken. Stop what listens there, "
                "or choose another port with --port PORT."
            )
        java, jars = find_java(), ensure_jars(say=self._say)
        java_command = [str(java), *self._jvm, *archive_options(java, jars, self._jvm)]
        java_command += ["-cp", os.pathsep.join(map(str, jars))]
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="leadstream-kafka-"))
        try:
            self._launch_on_free_ports(java_command, self._folder)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the broker; its topics are written out first if they are to be kept, else removed."""
        if self._keep:
            self._signal(signal.SIGTERM, _STOP_SECONDS)
        self.kill()
        if not self._keep and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would; topics stay for the next `start()`."""
        self._signal(signal.SIGKILL, _STOP_SECONDS)

    def wait(self) -> int:
        """Wait until the broker ends by itself; its exit code."""
        if self._process is None:
            raise RuntimeError("the embedded broker was not started yet")
        return self._process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of what the broker said, to explain a failure."""
        return _tail(self._folder, lines) if self._folder else ""

    def __enter__(self) -> EmbeddedBroker:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals, seconds: float) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            if number == signal.SIGKILL:
                raise BrokerFailed(f"The embedded broker (pid {self._process.pid}) does not end.") from None

    def _launch_on_free_ports(self, java: list[str], folder: Path) -> None:
        """Launch; again with other ports when someone takes a free one before Kafka has bound it."""
        wanted = self._port
        for last in (False, False, True):
            self._port = wanted or _free_port()
            try:
                self._launch(java, folder)
                return
            except BrokerFailed:
                if last or "Address already in use" not in self.log_tail(200):
                    raise
                self.kill()

    def _launch(self, java: list[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / "tmp"
        scratch.mkdir(exist_ok=True)
        log_file = self.log_file
        properties = folder / "server.properties"
        properties.write_text(server_properties(folder, self._port, _free_port(), self._server, self._protocol))
        command = [
            *java,
            f"-Djava.io.tmpdir={scratch}",
            f"-Dorg.slf4j.simpleLogger.logFile={log_file}",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
        ]
        if not (folder / "topics" / "meta.properties").exists():
            # Joined by "=": one id in 64 begins with a dash, and would pass for an option.
            cluster_id = "--cluster-id=" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            users = [
                f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]" for name, password in self._users.items()
            ]
            formatted = subprocess.run(
                [*command, "kafka.tools.StorageTool", "format", cluster_id, "-c", str(properties), *users],
                capture_output=True,
                text=True,
                check=False,
            )
            if formatted.returncode:
                raise BrokerFailed(f"Could not prepare {folder} for the embedded broker:\n{formatted.stderr.strip()}")
        self._process = _spawn([*command, "kafka.Kafka", str(properties)], folder / "output.log")
        self._await_service(self._process, folder)

    def _await_service(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient(
            {"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 100, **self._client}
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerFailed(f"The embedded broker ended as it started:\n{_tail(folder, 15)}")
            try:
                if client.list_topics(timeout=0.3).brokers:
                    return
            except KafkaException:
                time.sleep(0.05)
        raise BrokerFailed(
            f"The embedded broker did not serve within {_START_SECONDS:.0f} s. The end of its log:\n{_tail(folder, 15)}"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Kafka does: ports of a broker that has just ended are free to use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _spawn(command: list[str], output: Path) -> subprocess.Popen[bytes]:
    """Start `command` so that, on Linux, it is killed when this process ends, however it ends.

    The kernel's parent-death signal watches the *thread* that started the child, so that thread has to last
    as long as the child.
    """
    started: list[subprocess.Popen[bytes] | OSError] = []
    ready = threading.Event()

    def run() -> None:
        try:
            with output.open("ab") as stream:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,  # Ctrl-C is for us to handle, in our order
                    preexec_fn=die_with_parent(),
                )
        except OSError as error:
            started.append(error)
            ready.set()
            return
        started.append(process)
        ready.set()
        process.wait()

    threading.Thread(target=run, name="embedded-broker", daemon=True).start()
    ready.wait()
    if isinstance(started[0], OSError):
        raise BrokerFailed(f"Could not run {command[0]}: {started[0]}")
    return started[0]


def _tail(folder: Path, lines: int) -> str:
    text: list[str] = []
    for name in ("output.log", "server.log"):
        path = folder / name
        if path.exists():
            text += path.read_text(errors="replace").splitlines()
    return "\n".join(text[-lines:])
