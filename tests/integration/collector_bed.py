"""A collector as a process of a test, and what it takes to talk to it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.kafka_topics import read_all
from tests.processes import await_ready, running

KEY = "a-write-key-for-tests"


class RunningCollector(NamedTuple):
    """A collector that serves, and whose broker is found."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, path: str, body: Any, key: str | None = KEY, **more: Any) -> requests.Response:
        """POST JSON, or bytes as they are."""
        given = {"data": body} if isinstance(body, bytes) else {"json": body}
        auth = (key, "") if key is not None else None
        return requests.post(self.url + path, auth=auth, timeout=30, **given, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=30, allow_redirects=False, **more)


@contextmanager
def running_collector(bootstrap: str, folder: Path, *arguments: str) -> Iterator[RunningCollector]:
    """A ready collector on a free port, with one write key unless `--open` is among the arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "collector.log"
    if "--open" not in arguments:
        keys = folder / "keys.yaml"
        keys.write_text(f"- {{name: tests, key: {KEY}, events_per_second: 100000}}\n")
        arguments = ("--write-keys", str(keys), *arguments)
    with running(log, "collector", "--bootstrap", bootstrap, "--port", "0", *arguments) as process:
        await_ready(process, lambda: ready(log), log)
        yield RunningCollector(f"http://{ready(log)}", process, log)


def ready(log: Path) -> str | None:
    """The address in the collector's line that says that it is ready."""
    found = re.search(r"^ready (\S+)$", log.read_text(), re.MULTILINE)
    return found[1] if found else None


def events_of(bootstrap: str, topic: str, lead_id: str | None = None) -> list[dict[str, Any]]:
    """The events on a topic, of one lead if given."""
    found = [record for _, record in read_all(bootstrap, topic)[topic] if record is not None]
    return [record for record in found if lead_id is None or record.get("lead_id") == lead_id]


def track(lead_id: str, message_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "track", "userId": lead_id, "event": "Looked", "messageId": message_id, **more}


def snowplow(*events: dict[str, str]) -> dict[str, Any]:
    return {"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": list(events)}


def spoken(collector: RunningCollector, *parts: str | bytes, patience: float = 20) -> bytes:
    """What the collector answers to bytes on a connection."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=patience) as connection:
        try:
            for part in parts:
                connection.sendall(part.encode() if isinstance(part, str) else part)
            found = b""
            while piece := connection.recv(65_536):
                found += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return found
