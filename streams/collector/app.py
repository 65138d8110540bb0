"""The door: which request is for whom, and what it must satisfy before its payload is looked at."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final

from streams.collector import segment
from streams.collector.answers import OK, Answer, RequestRefused, allowed, plain, preflight
from streams.collector.delivery import Delivery
from streams.collector.events import Visit
from streams.collector.limits import (
    Admission,
    BodyReader,
    NotGzip,
    Overloaded,
    Room,
    TooLarge,
    announced_size,
    unzipped,
)
from streams.collector.metrics import CollectorMetrics
from streams.collector.privacy import (
    OPT_OUT_COOKIE,
    VISITOR_COOKIE,
    client_address,
    cookie_value,
    opted_out,
    set_cookie,
)
from streams.collector.reception import Reception, Request, Scope, Settings

log = logging.getLogger(__name__)

_SHORT: Final = {"t": "track", "p": "page", "i": "identify", "g": "group", "s": "screen", "a": "alias", "b": "batch"}

_Handler = Callable[[Reception, Request], Awaitable[Answer]]


class Collector:
    """The application. Until `open` has been called, every event is asked to come back."""

    def __init__(self, settings: Settings, metrics: CollectorMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._reception: Reception | None = None
        self._away: Callable[[], bool] = lambda: False
        self._admission = Admission()
        self._reader = BodyReader()
        tracker = _served((files(__package__) / "tracker.js").read_bytes())
        self._own: dict[str, Callable[[], Answer]] = {
            "/tracker.js": lambda: _tracker(tracker),
            "/opt-out": _opt_out,
            "/opt-in": _opt_in,
            "/health/live": lambda: OK,
            "/health/started": lambda: self._standing(started=True),
            "/health/ready": lambda: self._standing(started=False),
        }
        self.draining = False

    def open(self, delivery: Delivery, away: Callable[[], bool]) -> None:
        """From now on events can be delivered, and not at all while the broker is `away`."""
        self._away = away
        self._reception = Reception(self._settings, self._metrics, delivery)

    @property
    def in_flight(self) -> int:
        return self._admission.requests

    async def idle(self, seconds: float) -> None:
        """Return when no request is being handled, or `seconds` have passed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._admission.empty.wait(), seconds)

    async def __rsgi__(self, scope: Scope, proto: Any) -> None:
        if scope.proto != "http":
            proto.close(403)
            return
        answer = await self.answer(scope, proto)
        proto.response_bytes(answer.status, answer.headers, answer.body)

    async def answer(self, scope: Scope, body: Any) -> Answer:
        """The answer to one request. Never raises: a defect of ours is logged, and is a 500."""
        origin = scope.headers.get("origin")
        try:
            return allowed(await self._routed(scope, body), origin)
        except RequestRefused as refusal:
            self._metrics.refused(refusal.status)
            return allowed(refusal.answer(), origin)
        except Exception:
            log.exception("a defect: a request was not answered as it should have been")
            self._metrics.refused(500)
            return allowed(RequestRefused(500, "defect", "this is our fault").answer(), origin)

    async def _routed(self, scope: Scope, body: Any) -> Answer:
        path, method = scope.path, scope.method
        if method == "POST":
            handler = _POST.get(path)
        elif method in ("GET", "HEAD"):
            if (own := self._own.get(path)) is not None:
                return own()
            handler = Reception.download if path.startswith("/d/") else _GET.get(path)
        else:
            handler = None
        if handler is not None:
            return await self._admitted(handler, scope, body)
        known = path in _POST or path in _GET or path in self._own
        if method == "OPTIONS" and known:
            return preflight()
        if known:
            raise RequestRefused(405, "method_not_allowed", "this path takes another method")
        raise RequestRefused(404, "not_found", "no such path")

    async def _admitted(self, handler: _Handler, scope: Scope, body: Any) -> Answer:
        if self._reception is None:
            raise RequestRefused(503, "unavailable", "not ready; send it again", 2)
        if scope.method == "POST" and self._away():  # nobody reads what can't be kept; a GET is somebody waiting
            raise RequestRefused(503, "unavailable", "the events can't be stored now; send them again", 2)
        headers = scope.headers
        length = headers.get("content-length") if scope.method == "POST" else "0"
        try:
            room = self._admission.admit(announced_size(length))
        except Overloaded:
            raise _overloaded() from None
        try:
            encoding = headers.get("content-encoding")
            read = await self._read(body, length, encoding, room) if scope.method == "POST" else b""
            room.handle()
            # Whoever asks for the head alone, as link checkers do, has looked at nothing.
            silent = opted_out(headers) or scope.method == "HEAD"
            return await handler(self._reception, Request(scope, read, self._visit(scope), silent))
        except Overloaded:
            raise _overloaded() from None
        finally:
            room.leave()

    async def _read(self, source: Any, length: str | None, encoding: str | None, room: Room) -> bytes:
        try:
            read = await self._reader.read(source, length, room)
            if encoding is None or (named := encoding.strip().lower()) == "identity":
                return read
            if named != "gzip":
                raise RequestRefused(415, "unsupported_encoding", "bodies may be gzipped, or as they are")
            read = unzipped(read)
            room.grow(len(read))
            return read
        except TooLarge:
            raise RequestRefused(413, "too_large", "at most 512 kB are taken; send smaller batches") from None
        except NotGzip:
            raise RequestRefused(400, "bad_request", "the body is not what its Content-Encoding says") from None
        except TimeoutError:
            raise RequestRefused(408, "timeout", "the body took too long to arrive") from None
        except RuntimeError:  # the server's: the client went away, or broke the protocol
            raise RequestRefused(400, "bad_request", "the body did not arrive whole") from None

    def _visit(self, scope: Scope) -> Visit:
        headers = scope.headers
        now = time.time_ns() // 1_000_000
        agent = headers.get("user-agent")
        # A server's library speaks for somebody else: neither its address nor its name are the person's.
        browser = headers.get("origin") is not None or (agent is not None and agent.startswith("Mozilla/"))
        if not browser and (scope.method != "GET" or scope.path == "/i"):
            return Visit(now)
        if headers.get("sp-anonymous") is not None:
            return Visit(now, None, agent)
        trusted = self._settings.trusted_proxies
        peer = scope.client.rpartition(":")[0]
        address = client_address(peer, headers.get_all("x-forwarded-for") if trusted else (), trusted)
        return Visit(now, address, agent, cookie_value(headers, VISITOR_COOKIE))

    def _standing(self, started: bool) -> Answer:
        if self._reception is None:
            return plain(503, "the broker or its topics have not been found yet")
        if started:
            return OK
        if self.draining:
            return plain(503, "ending")
        return plain(503, "the broker does not answer") if self._away() else OK


def _overloaded() -> RequestRefused:
    return RequestRefused(503, "overloaded", "too much at once; send it again", 1)


def _served(script: bytes) -> bytes:
    """The script as it is sent: its lines, and what is said in them, are for those who read it here."""
    return re.sub(rb"\n *//.*|(?<=[;{,])\n *|^ +", b"", script, flags=re.MULTILINE)


def _tracker(script: bytes) -> Answer:
    headers = [("content-type", "text/javascript; charset=utf-8"), ("cache-control", "public, max-age=3600")]
    # Whoever keeps it for others must not hand one origin's headers to the next.
    return Answer(200, [*headers, ("cross-origin-resource-policy", "cross-origin"), ("vary", "origin")], script)


def _opt_out() -> Answer:
    answer = plain(200, "You are not counted here from now on. /opt-in takes that back.")
    cookies = [(OPT_OUT_COOKIE, "1", 10 * 365 * 86_400), (VISITOR_COOKIE, "", 0)]
    return answer._replace(headers=[*answer.headers, *(("set-cookie", set_cookie(*one)) for one in cookies)])


def _opt_in() -> Answer:
    answer = plain(200, "You are counted again.")
    return answer._replace(headers=[*answer.headers, ("set-cookie", set_cookie(OPT_OUT_COOKIE, "", 0))])


def _message_of(kind: str) -> _Handler:
    return lambda reception, request: reception.message(request, kind)


def _posts() -> dict[str, _Handler]:
    found = {f"/v1/{kind}": _message_of(kind) for kind in segment.TYPES}
    # Older server libraries of both services import; RudderStack's browser library sends beacons.
    found["/v1/batch"] = found["/v1/import"] = found["/beacon/v1/batch"] = Reception.batch
    for short, kind in _SHORT.items():
        found[f"/{short}"] = found[f"/v1/{short}"] = found[f"/v1/{kind}"]
    found["/com.snowplowanalytics.snowplow/tp2"] = Reception.snowplow_post
    found["/v1/demo-bookings"] = Reception.booking
    return found


_POST: Final = _posts()
_GET: Final[dict[str, _Handler]] = {"/i": Reception.snowplow_get, "/o.gif": Reception.pixel}
