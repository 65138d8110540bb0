"""No secret is in a log, whoever writes the line; and strangers write none."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from streams.monitoring.logs import LogFormat, set_up_logging
from streams.relay.secrets import Secret, redact_logs
from tests.feedback_bed import Door, open_door
from tests.relay_bed import SECRETS


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with open_door() as door:
        yield door


@pytest.mark.parametrize("format", list(LogFormat))
def test_a_secret_is_taken_out_of_texts_arguments_and_tracebacks(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, format: LogFormat
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("threading.excepthook", None)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    request.addfinalizer(partial(root.setLevel, root.level))
    Secret("s3cret/of-a-test")
    set_up_logging("relay", format)
    redact_logs()
    log = logging.getLogger("a.library")
    log.warning("s3cret/of-a-test %s", "s3cret%2Fof-a-test")
    try:
        raise OSError("s3cret/of-a-test")
    except OSError:
        log.exception("it failed: %d", 7)
    logging.captureWarnings(False)
    text = stream.getvalue()
    assert "of-a-test" not in text
    assert "it failed: 7" in text
    assert "OSError: ***" in text
    if format is LogFormat.json:
        assert "Traceback" in json.loads(text.splitlines()[-1])["exc_info"]


@pytest.mark.parametrize(
    "line",
    ["POST {} HTTP/9.9", "POST {} \0 HTTP/1.1", "POST {}\xff HTTP/1.1", "P@ST {} HTTP/1.1", "POST {}" + "a" * 9000],
)
def test_what_is_no_request_is_refused_and_not_logged(door: Door, line: str, caplog: pytest.LogCaptureFixture) -> None:
    address = f"/v1/feedback/salesforce/{SECRETS['SALESFORCE_TOKEN']}"
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        connection.sendall(f"{line.format(address)}\r\n\r\n".encode("latin-1"))
        assert connection.recv(100).startswith(b"HTTP/1.0 400 ")
    assert caplog.records == []
