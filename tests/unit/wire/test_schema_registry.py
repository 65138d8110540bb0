"""The registry's three answers: a schema, none for sure, and no answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from streams.wire.registry import MISSING_FOR_S, ConfluentRegistry, RegistryRefused, RegistryUnavailable

SCHEMA = '{"type": "string"}'


class Answers:
    """What a registry of this test's own says next, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {"schema": SCHEMA}
        self.asked: list[str] = []
        self.url = ""


@pytest.fixture
def answers() -> Iterator[Answers]:
    given = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given.asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body = given.body if isinstance(given.body, bytes) else json.dumps(given.body).encode()
            self.send_response(given.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    given.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield given
    server.shutdown()
    thread.join()
    server.server_close()


def registry(url: str, **extra: Any) -> ConfluentRegistry:
    return ConfluentRegistry(url, {"max.retries": 0, "timeout": 2}, **extra)


def test_a_schema_is_found_by_its_id_and_asked_for_once(answers: Answers) -> None:
    found = registry(answers.url)
    assert found.schema(7) == found.schema(7) == SCHEMA
    assert len(answers.asked) == 1
    assert answers.asked[0].startswith("GET /schemas/ids/7")


def test_a_schema_is_registered_under_its_topics_value_subject(answers: Answers) -> None:
    answers.body = {"id": 12}
    assert registry(answers.url).register("page-views", SCHEMA) == 12
    assert answers.asked[0].startswith("POST /subjects/page-views-value/versions")


def test_an_id_that_is_not_there_is_none_and_asked_for_again_after_a_while(answers: Answers) -> None:
    now = 0.0
    found = registry(answers.url, clock=lambda: now)
    answers.status, answers.body = 404, {"error_code": 40403, "message": "Schema not found"}
    assert found.schema(7) is None
    assert found.schema(7) is None
    assert len(answers.asked) == 1
    answers.status, answers.body = 200, {"schema": SCHEMA}
    now = MISSING_FOR_S + 1
    assert found.schema(7) == SCHEMA


@pytest.mark.parametrize("kind", ["JSON", "PROTOBUF"])
def test_a_schema_of_another_kind_is_none(answers: Answers, kind: str) -> None:
    answers.body = {"schema": "{}", "schemaType": kind}
    assert registry(answers.url).schema(7) is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_registry_in_trouble_gives_no_answer(answers: Answers, status: int) -> None:
    answers.status, answers.body = status, {"error_code": status * 100, "message": "in trouble"}
    with pytest.raises(RegistryUnavailable, match=f"could not look up schema 7: HTTP {status}"):
        registry(answers.url).schema(7)


@pytest.mark.parametrize(("status", "code"), [(401, 401), (403, 403), (404, 404), (409, 409), (422, 42201)], ids=str)
def test_a_registry_that_refuses_says_why(answers: Answers, status: int, code: int) -> None:
    answers.status, answers.body = status, {"error_code": code, "message": "because"}
    with pytest.raises(RegistryRefused, match=rf"refused to register page-views-value: because \(HTTP {status}\)"):
        registry(answers.url).register("page-views", SCHEMA)


def test_a_web_server_that_is_no_registry_does_not_make_a_schema_unknown(answers: Answers) -> None:
    answers.status, answers.body = 404, b"<html>not found</html>"
    with pytest.raises(RegistryRefused):
        registry(answers.url).schema(7)


def test_an_answer_that_is_not_json_is_no_answer(answers: Answers) -> None:
    answers.body = b"<html>please log in</html>"
    with pytest.raises(RegistryUnavailable):
        registry(answers.url).schema(7)


def test_a_registry_that_does_not_listen_gives_no_answer() -> None:
    # Port 9 is discard's; nothing listens there.
    with pytest.raises(RegistryUnavailable, match=r"http://127\.0\.0\.1:9 can't be reached to look up schema 7"):
        registry("http://127.0.0.1:9").schema(7)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(RegistryRefused, match="nonsense"):
        registry("nonsense")
