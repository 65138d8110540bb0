"""What is done with a request of each protocol: whose it is, whether it may be heard, and what it holds, delivered."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

from streams.collector import bookings, downloads, pixel, segment, snowplow
from streams.collector.answers import OK, SUCCESS, Answer, RequestRefused, image
from streams.collector.delivery import Delivery
from streams.collector.downloads import Asset
from streams.collector.events import BadBody, Outcome, Refused, Visit
from streams.collector.keys import Allowance, WriteKeys, basic_user
from streams.collector.mapping import TrackerMapping
from streams.collector.metrics import CollectorMetrics
from streams.collector.privacy import VISITOR_COOKIE, Network, cookie_value, machine, set_cookie
from streams.collector.segment_messages import consent_denied, decode_batch, decode_message
from streams.wire.bad import BadRecord

#: Events a second that need no key, of everyone together: pixels and download links; and, apart from them, bookings.
_PUBLIC_RATE: Final = 5_000.0


class Settings(NamedTuple):
    """`booking_secret` None refuses booking webhooks, unless any write key is taken."""

    keys: WriteKeys
    mapping: TrackerMapping
    assets: Mapping[str, Asset]
    booking_secret: bytes | None
    trusted_proxies: tuple[Network, ...]
    consent_category: str | None


class Scope(Protocol):
    """A request as the server gives it (RSGI)."""

    proto: str
    client: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Any: ...


class Request(NamedTuple):
    """A request whose body has been read. `silent`: the person wants not to be heard, or has not looked at anything."""

    scope: Scope
    body: bytes
    visit: Visit
    silent: bool

    def parameters(self) -> dict[str, str]:
        """Those of its query. Raises RequestRefused for too many."""
        try:
            return dict(parse_qsl(self.scope.query_string, max_num_fields=100))
        except ValueError:
            raise RequestRefused(400, "bad_request", "too many parameters") from None


class Reception:
    """One method a kind of request; each answers, or raises RequestRefused."""

    def __init__(self, settings: Settings, metrics: CollectorMetrics, delivery: Delivery) -> None:
        self._settings = settings
        self._metrics = metrics
        self._delivery = delivery
        self._public = Allowance(_PUBLIC_RATE)
        self._bookings = Allowance(_PUBLIC_RATE)

    # Segment and RudderStack

    async def message(self, request: Request, kind: str | None) -> Answer:
        basic = basic_user(request.scope.headers.get("authorization", ""))
        try:
            message = decode_message(request.body)
        except BadBody as error:
            raise await self._unreadable(segment.PROTOCOL, basic, str(error), request) from None
        self._spend(basic or message.write_key, 1)
        if kind is not None:
            message.type = kind
        if request.silent or consent_denied(message.context, self._settings.consent_category):
            return self._unheard(segment.PROTOCOL, 1, SUCCESS)
        found = segment.message_outcomes(message, request.visit, self._settings.mapping, request.body)
        bad = await self._delivery.deliver(segment.PROTOCOL, found)
        if bad is not None:
            raise RequestRefused(400, "bad_request", bad.detail)
        return SUCCESS

    async def batch(self, request: Request) -> Answer:
        basic = basic_user(request.scope.headers.get("authorization", ""))
        if basic is None and request.scope.query_string:
            basic = request.parameters().get("writeKey")  # a beacon can have no headers
        try:
            batch = decode_batch(request.body)
        except BadBody as error:
            raise await self._unreadable(segment.PROTOCOL, basic, str(error), request) from None
        self._spend(basic or batch.write_key, len(batch.batch))
        if request.silent:
            return self._unheard(segment.PROTOCOL, len(batch.batch), SUCCESS)
        category = self._settings.consent_category
        found = segment.batch_outcomes(batch, request.visit, self._settings.mapping, category)
        heard = [one for one in found if one is not None]
        self._metrics.counted(segment.PROTOCOL, "opted_out", len(found) - len(heard))
        await self._delivery.deliver(segment.PROTOCOL, heard)
        return SUCCESS

    # Snowplow

    async def snowplow_post(self, request: Request) -> Answer:
        try:
            payloads = snowplow.decode_post(request.body)
        except BadBody as error:
            raise await self._unreadable(snowplow.PROTOCOL, None, str(error), request) from None
        return await self._snowplow(request, payloads, OK)

    async def snowplow_get(self, request: Request) -> Answer:
        return await self._snowplow(request, snowplow.decode_get(request.scope.query_string), image(pixel.GIF))

    async def _snowplow(self, request: Request, payloads: list[snowplow.Payload], answer: Answer) -> Answer:
        """Snowplow's protocol has no write key: the application id is in its place."""
        by_key = {key: self._settings.keys.allowance(key) for key in {one.app_id for one in payloads}}
        known = [by_key[one.app_id] for one in payloads]
        if payloads and not any(known):
            raise _unauthorized()
        # Events without a key become dead letters, at the expense of the first that has one.
        payer = next((one for one in known if one is not None), None)
        for one_key, events in Counter(one or payer for one in known).items():
            if one_key is not None:
                _spend(one_key, events)
        if request.silent:
            return self._unheard(snowplow.PROTOCOL, len(payloads), answer)
        anonymous = request.scope.headers.get("sp-anonymous") is not None
        visit, answer = self._known_visitor(request, payloads, anonymous, answer)
        heard: list[Outcome] = []
        for one, allowance in zip(payloads, known, strict=True):
            if allowance is None:
                bad = BadRecord("INVALID", "aid is no write key of this collector")
                heard.append(Refused(snowplow.PROTOCOL, bad, one.original))
            elif anonymous and snowplow.unnamed(one):
                self._unheard(snowplow.PROTOCOL, 1, answer)  # nobody's events can't warm anybody up
            else:
                heard.extend(snowplow.outcomes(one, visit, self._settings.mapping))
        await self._delivery.deliver(snowplow.PROTOCOL, heard)
        return answer

    def _known_visitor(
        self, request: Request, payloads: Sequence[snowplow.Payload], anonymous: bool, answer: Answer
    ) -> tuple[Visit, Answer]:
        """A visitor whom the tracker gave no id gets one in a cookie, as Snowplow's own collector does."""
        visit = request.visit
        if anonymous:  # and forgotten where it was known, as Snowplow's own collector does
            known = cookie_value(request.scope.headers, VISITOR_COOKIE) is not None
            return visit, _with_cookie(answer, "", 0) if known else answer
        if visit.visitor or not any(snowplow.unnamed(one) for one in payloads):
            return visit, answer
        visit = visit._replace(visitor=str(uuid.uuid4()))
        return visit, _with_cookie(answer, visit.visitor or "")

    # Our own

    async def pixel(self, request: Request) -> Answer:
        """Always an image, whatever the status: an email shows what is wrong to the wrong person."""
        try:
            return await self._opened(request)
        except RequestRefused as refusal:
            self._metrics.refused(refusal.status)
            refused = refusal.answer()
            return image(pixel.GIF, refused.status, refused.headers)

    async def _opened(self, request: Request) -> Answer:
        self._spend_publicly()
        answer = image(pixel.GIF)
        if request.silent:
            return self._unheard(pixel.PROTOCOL, 1, answer)
        found = pixel.outcomes(request.parameters(), request.visit, request.scope.query_string.encode())
        await self._delivery.deliver(pixel.PROTOCOL, found)
        return answer

    async def download(self, request: Request) -> Answer:
        self._spend_publicly()
        name = request.scope.path.removeprefix("/d/")
        asset = self._settings.assets.get(name)
        if asset is None:
            raise RequestRefused(404, "not_found", "no such asset")
        answer = Answer(302, [("location", asset.url), ("cache-control", "no-store")])
        if request.silent:
            return self._unheard(downloads.PROTOCOL, 1, answer)
        if machine(request.visit.user_agent or ""):  # a Download can't tell the worker whose click it was
            self._metrics.counted(downloads.PROTOCOL, "bot")
            return answer
        original = f"{request.scope.path}?{request.scope.query_string}".encode()
        found = downloads.outcomes(name, asset, request.parameters(), request.visit, original)
        try:
            await self._delivery.deliver(downloads.PROTOCOL, found)
        except RequestRefused as refusal:
            # Whoever clicked stays for a moment longer, and neither the person nor the event is lost.
            refused = refusal.answer()
            return Answer(refused.status, [*refused.headers, ("refresh", "2")], b"One moment, please.")
        return answer

    async def booking(self, request: Request) -> Answer:
        secret, headers = self._settings.booking_secret, request.scope.headers
        given = next((found for name in bookings.SIGNATURE_HEADERS if (found := headers.get(name))), None)
        if secret is None and not self._settings.keys.open:
            raise RequestRefused(401, "unauthorized", "this collector has no signing secret for bookings")
        if secret is not None and not bookings.signed(secret, given, request.body, time.time()):
            raise RequestRefused(401, "unauthorized", "the signature is missing, wrong or old")
        # Not out of what pixels may use: a flood of those must not cost a booking.
        _spend(self._bookings, 1)
        try:
            found = bookings.decode(request.body)
        except BadBody as error:
            await self._delivery.deliver(bookings.PROTOCOL, [_refused(bookings.PROTOCOL, str(error), request.body)])
            raise RequestRefused(400, "bad_request", "the body is no JSON object") from None
        bad = await self._delivery.deliver(
            bookings.PROTOCOL, bookings.outcomes(found, request.visit, self._settings.mapping, request.body)
        )
        if bad is not None:
            raise RequestRefused(400, "bad_request", bad.detail)
        return SUCCESS

    # What they share

    def _spend(self, key: object, events: int) -> None:
        allowance = self._settings.keys.allowance(key if isinstance(key, str) else None)
        if allowance is None:
            raise _unauthorized()
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
        allowance = self._settings.keys.allowance(key)
        if allowance is not None and request.body and not request.silent:
            _spend(allowance, 1)
            await self._delivery.deliver(protocol, [_refused(protocol, reason, request.body)])
        return RequestRefused(400, "bad_request", reason)


def _with_cookie(answer: Answer, *value: Any) -> Answer:
    cookie = ("set-cookie", set_cookie(VISITOR_COOKIE, *value))
    return Answer(answer.status, [*answer.headers, cookie], answer.body)


def _unauthorized() -> RequestRefused:
    """Made for each request: an exception that is raised again keeps every frame that it went through, and bodies."""
    return RequestRefused(401, "unauthorized", "the write key is missing, or not one of this collector's")


def _spend(allowance: Allowance, events: int) -> None:
    seconds = allowance.spend(events)
    if seconds:
        raise RequestRefused(429, "rate_limited", "too many events for this key; send them later", int(seconds) + 1)


def _refused(protocol: str, reason: str, body: bytes) -> Refused:
    return Refused(protocol, BadRecord("UNDECODABLE", reason), body)
