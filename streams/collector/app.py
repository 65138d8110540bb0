"""The door: which request is for whom, and what it must satisfy before its payload is looked at."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote

from streams.collector import bookings, downloads, pixel, segment, snowplow
from streams.collector.answers import OK, SUCCESS, Answer, RequestRefused, allowed, image, plain, preflight
from streams.collector.delivery import Delivery
from streams.collector.downloads import Asset
from streams.collector.events import Outcome, Refused, Visit
from streams.collector.keys import Allowance, WriteKeys, basic_user
from streams.collector.limits import MAX_BODY_BYTES, Admission, NotGzip, TooLarge, announced_size, read_body, unzipped
from streams.collector.mapping import TrackerMapping
from streams.collector.metrics import CollectorMetrics
from streams.collector.privacy import (
    OPT_OUT_COOKIE,
    VISITOR_COOKIE,
    Network,
    client_address,
    cookie_value,
    opted_out,
    set_cookie,
)
from streams.collector.segment import BadBody
from streams.wire.bad import BadRecord

log = logging.getLogger(__name__)

_SHORT: Final = {"t": "track", "p": "page", "i": "identify", "g": "group", "s": "screen", "a": "alias", "b": "batch"}


class Scope(Protocol):
    """A request as the server gives it (RSGI)."""

    proto: str
    client: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Any: ...


class Settings(NamedTuple):
    """`booking_secret` None refuses booking webhooks, unless any write key is taken."""

    keys: WriteKeys
    mapping: TrackerMapping
    assets: Mapping[str, Asset]
    booking_secret: bytes | None
    trusted_proxies: tuple[Network, ...]
    consent_category: str | None


class Request(NamedTuple):
    """A request whose body has been read."""

    scope: Scope
    body: bytes
    visit: Visit
    silent: bool
    query: str

    def parameters(self) -> dict[str, str]:
        try:
            return dict(parse_qsl(self.query, max_num_fields=100))
        except ValueError:
            raise RequestRefused(400, "bad_request", "too many parameters") from None


_Handler = Callable[["Collector", Request], Awaitable[Answer]]


class Collector:
    """The application. `ready` says whether the broker and its topics have been found."""

    def __init__(self, settings: Settings, metrics: CollectorMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._delivery: Delivery | None = None
        self._healthy: Callable[[], bool] = lambda: False
        self._admission = Admission()
        self._public = Allowance(5_000.0)
        self._tracker = (files(__package__) / "tracker.js").read_bytes()
        self.draining = False

    def open(self, delivery: Delivery, healthy: Callable[[], bool]) -> None:
        """From now on events can be delivered."""
        self._healthy = healthy
        self._delivery = delivery

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
        handler = _POST.get(path) if method == "POST" else _GET.get(path) if method == "GET" else None
        if handler is None:
            if method == "GET" and path.startswith("/d/"):
                handler = Collector._download
            else:
                return self._unrouted(scope)
        if handler in _FREE:
            return await handler(self, Request(scope, b"", Visit(0), False, scope.query_string))
        return await self._admitted(handler, scope, body)

    def _unrouted(self, scope: Scope) -> Answer:
        known = scope.path in _POST or scope.path in _GET
        if scope.method == "OPTIONS" and known:
            return preflight()
        if known:
            raise RequestRefused(405, "method_not_allowed", "this path takes another method")
        raise RequestRefused(404, "not_found", "no such path")

    async def _admitted(self, handler: _Handler, scope: Scope, body: Any) -> Answer:
        headers = scope.headers
        length = headers.get("content-length") if scope.method == "POST" else "0"
        size = min(announced_size(length), MAX_BODY_BYTES)
        if self._delivery is None:
            raise RequestRefused(503, "unavailable", "not ready; send it again", 2)
        if not self._admission.admit(size):
            raise RequestRefused(503, "overloaded", "too much at once; send it again", 1)
        try:
            read = await self._read(body, length, headers.get("content-encoding")) if scope.method == "POST" else b""
            silent = opted_out(headers)
            return await handler(self, Request(scope, read, self._visit(scope), silent, scope.query_string))
        finally:
            self._admission.leave(size)

    async def _read(self, source: Any, length: str | None, encoding: str | None) -> bytes:
        try:
            read = await read_body(source, length)
            if encoding is None or encoding == "identity":
                return read
            if encoding != "gzip":
                raise RequestRefused(415, "unsupported_encoding", "bodies may be gzipped, or as they are")
            return unzipped(read)
        except TooLarge:
            raise RequestRefused(413, "too_large", "at most 500 kB are taken; send smaller batches") from None
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
        browser = agent is not None and agent.startswith("Mozilla/")
        if not browser and scope.method != "GET" and headers.get("origin") is None:
            return Visit(now)
        if headers.get("sp-anonymous") is not None:
            return Visit(now, None, agent)
        peer = scope.client.rpartition(":")[0].strip("[]")
        address = client_address(peer, headers.get("x-forwarded-for"), self._settings.trusted_proxies)
        return Visit(now, address, agent, cookie_value(headers.get("cookie"), VISITOR_COOKIE))

    # Segment and RudderStack

    async def _message(self, request: Request, kind: str | None) -> Answer:
        basic = basic_user(request.scope.headers.get("authorization"))
        try:
            message = segment.decode_message(request.body)
        except BadBody as error:
            raise await self._unreadable(segment.PROTOCOL, basic, str(error), request) from None
        self._spend(basic or message.write_key, 1)
        if kind is not None:
            message.type = kind
        if request.silent or segment.consent_denied(message.context, self._settings.consent_category):
            return self._unheard(segment.PROTOCOL, 1, SUCCESS)
        found = segment.message_outcomes(message, request.visit, self._settings.mapping, request.body)
        bad = await self._deliver(segment.PROTOCOL, found)
        if bad is not None:
            raise RequestRefused(400, "bad_request", bad.detail)
        return SUCCESS

    async def _batch(self, request: Request) -> Answer:
        basic = basic_user(request.scope.headers.get("authorization"))
        try:
            batch = segment.decode_batch(request.body)
        except BadBody as error:
            raise await self._unreadable(segment.PROTOCOL, basic, str(error), request) from None
        self._spend(basic or batch.write_key, len(batch.batch))
        if request.silent:
            return self._unheard(segment.PROTOCOL, len(batch.batch), SUCCESS)
        category = self._settings.consent_category
        found = segment.batch_outcomes(batch, request.visit, self._settings.mapping, category)
        heard = [one for one in found if one is not None]
        self._metrics.counted(segment.PROTOCOL, "opted_out", len(found) - len(heard))
        await self._deliver(segment.PROTOCOL, heard)
        return SUCCESS

    # Snowplow

    async def _snowplow_post(self, request: Request) -> Answer:
        try:
            payloads = snowplow.decode_post(request.body)
        except BadBody as error:
            raise await self._unreadable(snowplow.PROTOCOL, None, str(error), request) from None
        return await self._snowplow(request, payloads, OK)

    async def _snowplow_get(self, request: Request) -> Answer:
        return await self._snowplow(request, snowplow.decode_get(request.query), image(pixel.GIF))

    async def _snowplow(self, request: Request, payloads: list[snowplow.Payload], answer: Answer) -> Answer:
        """Snowplow's protocol has no write key: the application id is in its place."""
        strangers = [one for one in payloads if self._settings.keys.allowance(one.app_id) is None]
        if strangers and len(strangers) == len(payloads):
            raise _UNAUTHORIZED
        for one in payloads:
            if one not in strangers:
                self._spend(one.app_id, 1)
        if request.silent:
            return self._unheard(snowplow.PROTOCOL, len(payloads), answer)
        anonymous = request.scope.headers.get("sp-anonymous") is not None
        visit, answer = self._known_visitor(request, payloads, anonymous, answer)
        heard: list[Outcome] = []
        for one in payloads:
            if one in strangers:
                bad = BadRecord("INVALID", "aid is no write key of this collector")
                heard.append(Refused(snowplow.PROTOCOL, bad, one.original))
            elif anonymous and snowplow.unnamed(one):
                self._unheard(snowplow.PROTOCOL, 1, answer)  # nobody's events can't warm anybody up
            else:
                heard.extend(snowplow.outcomes(one, visit, self._settings.mapping))
        await self._deliver(snowplow.PROTOCOL, heard)
        return answer

    def _known_visitor(
        self, request: Request, payloads: Sequence[snowplow.Payload], anonymous: bool, answer: Answer
    ) -> tuple[Visit, Answer]:
        """A visitor whom the tracker gave no id gets one in a cookie, as Snowplow's own collector does."""
        visit = request.visit
        if anonymous or visit.visitor or not any(snowplow.unnamed(one) for one in payloads):
            return visit, answer
        visit = visit._replace(visitor=str(uuid.uuid4()))
        cookie = ("set-cookie", set_cookie(VISITOR_COOKIE, visit.visitor or ""))
        return visit, Answer(answer.status, [*answer.headers, cookie], answer.body)

    # Our own

    async def _pixel(self, request: Request) -> Answer:
        self._spend_publicly()
        answer = image(pixel.GIF)
        if request.silent:
            return self._unheard(pixel.PROTOCOL, 1, answer)
        # Always an image: an email shows what is wrong to the wrong person.
        await self._deliver(pixel.PROTOCOL, pixel.outcomes(request.parameters(), request.visit, request.query.encode()))
        return answer

    async def _download(self, request: Request) -> Answer:
        self._spend_publicly()
        name = unquote(request.scope.path.removeprefix("/d/"))
        asset = self._settings.assets.get(name)
        if asset is None:
            raise RequestRefused(404, "not_found", "no such asset")
        answer = Answer(302, [("location", asset.url), ("cache-control", "no-store")])
        if request.silent:
            return self._unheard(downloads.PROTOCOL, 1, answer)
        original = f"{request.scope.path}?{request.query}".encode()
        found = downloads.outcomes(name, asset, request.parameters(), request.visit, original)
        try:
            await self._deliver(downloads.PROTOCOL, found)
        except RequestRefused as refusal:
            # Whoever clicked stays for a moment longer, and neither the person nor the event is lost.
            refused = refusal.answer()
            return Answer(refused.status, [*refused.headers, ("refresh", "2")], b"One moment, please.")
        return answer

    async def _booking(self, request: Request) -> Answer:
        self._spend_publicly()
        secret, headers = self._settings.booking_secret, request.scope.headers
        given = next((found for name in bookings.SIGNATURE_HEADERS if (found := headers.get(name))), None)
        if secret is None and not self._settings.keys.open:
            raise RequestRefused(401, "unauthorized", "this collector has no signing secret for bookings")
        if secret is not None and not bookings.signed(secret, given, request.body, time.time()):
            raise RequestRefused(401, "unauthorized", "the signature is missing, wrong or old")
        try:
            found = bookings.decode(request.body)
        except BadBody as error:
            await self._deliver(bookings.PROTOCOL, [_refused(bookings.PROTOCOL, str(error), request.body)])
            raise RequestRefused(400, "bad_request", "the body is no JSON object") from None
        bad = await self._deliver(
            bookings.PROTOCOL, bookings.outcomes(found, request.visit, self._settings.mapping, request.body)
        )
        if bad is not None:
            raise RequestRefused(400, "bad_request", bad.detail)
        return SUCCESS

    async def _tracker_js(self, _request: Request) -> Answer:
        headers = [("content-type", "text/javascript; charset=utf-8"), ("cache-control", "public, max-age=3600")]
        return Answer(200, [*headers, ("cross-origin-resource-policy", "cross-origin")], self._tracker)

    async def _opt_out(self, _request: Request) -> Answer:
        answer = plain(200, "You are not counted here from now on. /opt-in takes that back.")
        cookies = [(OPT_OUT_COOKIE, "1", 10 * 365 * 86_400), (VISITOR_COOKIE, "", 0)]
        return answer._replace(headers=[*answer.headers, *(("set-cookie", set_cookie(*one)) for one in cookies)])

    async def _opt_in(self, _request: Request) -> Answer:
        answer = plain(200, "You are counted again.")
        return answer._replace(headers=[*answer.headers, ("set-cookie", set_cookie(OPT_OUT_COOKIE, "", 0))])

    # Health

    async def _live(self, _request: Request) -> Answer:
        return OK

    async def _started(self, _request: Request) -> Answer:
        return OK if self._delivery is not None else plain(503, "the broker or its topics have not been found yet")

    async def _ready(self, _request: Request) -> Answer:
        if self.draining:
            return plain(503, "ending")
        if self._delivery is None:
            return plain(503, "the broker or its topics have not been found yet")
        return OK if self._healthy() else plain(503, "the broker does not confirm")

    # What they share

    async def _deliver(self, protocol: str, outcomes: Sequence[Outcome]) -> BadRecord | None:
        assert self._delivery is not None  # nothing is admitted before
        return await self._delivery.deliver(protocol, outcomes)

    def _spend(self, key: object, events: int) -> None:
        allowance = self._settings.keys.allowance(key if isinstance(key, str) else None)
        if allowance is None:
            raise _UNAUTHORIZED
        _spend(allowance, events)

    def _spend_publicly(self) -> None:
        """What is open to everyone shares one allowance."""
        _spend(self._public, 1)

    def _unheard(self, protocol: str, events: int, answer: Answer) -> Answer:
        self._metrics.counted(protocol, "opted_out", events)
        return answer

    async def _unreadable(self, protocol: str, key: str | None, reason: str, request: Request) -> RequestRefused:
        """The refusal of a body that is nothing at all. It is kept when its sender has a key, else anybody could fill
        the dead letters.
        """
        if self._settings.keys.allowance(key) is not None and request.body and not request.silent:
            await self._deliver(protocol, [_refused(protocol, reason, request.body)])
        return RequestRefused(400, "bad_request", reason)


_UNAUTHORIZED: Final = RequestRefused(401, "unauthorized", "the write key is missing, or not one of this collector's")


def _spend(allowance: Allowance, events: int) -> None:
    seconds = allowance.spend(events)
    if seconds:
        raise RequestRefused(429, "rate_limited", "too many events for this key; send them later", int(seconds) + 1)


def _refused(protocol: str, reason: str, body: bytes) -> Refused:
    return Refused(protocol, BadRecord("UNDECODABLE", reason), body)


def _message_of(kind: str | None) -> _Handler:
    return lambda collector, request: collector._message(request, kind)


def _posts() -> dict[str, _Handler]:
    found: dict[str, _Handler] = {f"/v1/{kind}": _message_of(kind) for kind in segment.TYPES}
    found |= {f"{prefix}/{short}": found[f"/v1/{kind}"] for short, kind in _SHORT.items() if kind != "batch"
              for prefix in ("", "/v1")}  # fmt: skip
    found |= dict.fromkeys(("/v1/batch", "/v1/b", "/b"), Collector._batch)
    found["/com.snowplowanalytics.snowplow/tp2"] = Collector._snowplow_post
    found["/v1/demo-bookings"] = Collector._booking
    return found


_POST: Final = _posts()
_GET: Final[dict[str, _Handler]] = {
    "/i": Collector._snowplow_get,
    "/o.gif": Collector._pixel,
    "/tracker.js": Collector._tracker_js,
    "/opt-out": Collector._opt_out,
    "/opt-in": Collector._opt_in,
    "/health/live": Collector._live,
    "/health/started": Collector._started,
    "/health/ready": Collector._ready,
}
#: Answered also when no broker is there.
_FREE: Final = frozenset(
    {
        Collector._tracker_js,
        Collector._opt_out,
        Collector._opt_in,
        Collector._live,
        Collector._started,
        Collector._ready,
    }
)
