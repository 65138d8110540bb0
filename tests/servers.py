"""HTTP servers in a thread that keep what they were told, and misbehave when a test says so; and a plain subscriber."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from aiohttp import web

from streams.relay.serving import runner_of


class Heard(NamedTuple):
    """A request as it came in; `at` is monotonic seconds."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    json: Any
    at: float


class Answer(NamedTuple):
    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    wait_s: float = 0.0


class Server:
    """An HTTP server that answers by `respond`, unless `misbehave` has answers to give first."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.faults: list[str] = []
        self.misbehaviour: deque[Answer | None] = deque()
        self.always: Answer | None = None
        #: While it is not set, requests are heard and not answered.
        self.gate = threading.Event()
        self.gate.set()
        self.port = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def misbehave(self, *answers: Answer | None) -> None:
        """Give these answers to the next requests; None lets one through."""
        self.misbehaviour.extend(answers)

    def respond(self, heard: Heard) -> Answer:
        return Answer(204)

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.heard]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            decoded = await request.json() if body and request.content_type == "application/json" else None
        except ValueError:
            decoded = None
        path, headers = request.rel_url.raw_path, request.headers.copy()
        heard = Heard(request.method, path, dict(request.query), headers, body, decoded, time.monotonic())
        with self._lock:
            self.heard.append(heard)
            answer = self.misbehaviour.popleft() if self.misbehaviour else None
        answer = answer or self.always or self.respond(heard)
        if not self.gate.is_set():
            await asyncio.to_thread(self.gate.wait)
        if answer.wait_s:
            await asyncio.sleep(answer.wait_s)
        if answer.body is None:
            return web.Response(status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


S = TypeVar("S", bound=Server)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Run `server` in a thread on a free port."""

    def make() -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", server._handle)
        return app

    with serving_app(make) as port:
        server.port = port
        try:
            yield server
        finally:
            server.gate.set()
    assert not server.faults, server.faults


@contextmanager
def serving_app(make: Callable[[], web.Application]) -> Iterator[int]:
    """Run an application in a thread, with an event loop of its own; the port that it is on."""
    loop = asyncio.new_event_loop()
    ports: list[int] = []
    started = threading.Event()

    async def start() -> web.AppRunner:
        runner = runner_of(make())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        return runner

    def work() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


class Subscriber(Server):
    """A webhook's receiver: keeps the bodies."""

    def events(self) -> list[dict[str, Any]]:
        return [one.json["data"] for one in self.heard]


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status that a request is answered with."""
    request = urllib.request.Request(url, body, dict(headers), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        return error.code
    return status
