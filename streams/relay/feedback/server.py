"""The HTTP server that answers come in by. 2xx only after the broker has them; else the sender sends again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from aiohttp import web

from streams.errors import UsageError
from streams.relay.building import secret_of
from streams.relay.feedback.answer import SALES_FEEDBACK, Answer, Bad, Found, NotOurs
from streams.relay.feedback.generic import Signed
from streams.relay.feedback.hubspot import CrmAway, HubspotChanges
from streams.relay.feedback.salesforce import ACKNOWLEDGED, OutboundMessages
from streams.relay.hubspot.delivery import HubspotDelivery
from streams.relay.intake import DEAD_LETTERS
from streams.relay.outbox import BrokerRefused
from streams.relay.settings import Feedback
from streams.relay.surroundings import Surroundings
from streams.relay.target import TargetDelivery
from streams.relay.targets import FEEDBACK
from streams.wire.bad import BadRecord
from streams.wire.deadletters import dead_letter

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LARGEST: Final = 1024 * 1024
_RETRY: Final = {"Retry-After": "10"}


def feedback_app(settings: Feedback, targets: Mapping[str, TargetDelivery], shared: Surroundings) -> web.Application:
    """The ways in that the targets file names. Raises UsageError for secrets that can't be had or used."""
    app = web.Application(client_max_size=_LARGEST)
    ways = _Ways(shared)
    if settings.secret is not None:
        try:
            signed = Signed(secret_of("feedback.secret", settings.secret))
        except (ValueError, RuntimeError):
            raise UsageError("feedback.secret: not a Standard Webhooks secret, expected whsec_ and base64") from None
        app.router.add_post("/v1/sales-feedback", ways.generic(signed))
    if settings.hubspot is not None:
        target = targets[settings.hubspot.target]
        assert isinstance(target, HubspotDelivery), "checked when the file is loaded"
        secret = secret_of("feedback.hubspot.client_secret", settings.hubspot.client_secret)
        app.router.add_post("/v1/feedback/hubspot", ways.hubspot(HubspotChanges(settings.hubspot, secret, target)))
    if settings.salesforce is not None:
        token = secret_of("feedback.salesforce.token", settings.salesforce.token)
        app.router.add_post(
            "/v1/feedback/salesforce/{token}", ways.salesforce(OutboundMessages(settings.salesforce, token))
        )
    return app


class _Original(NamedTuple):
    """A part of a request as the source of a dead letter: it never was a record."""

    value: bytes
    topic: str = SALES_FEEDBACK
    partition: int = -1
    offset: int = -1
    key: bytes | None = None


class _Ways:
    """The handlers, one a way in."""

    def __init__(self, shared: Surroundings) -> None:
        self._shared = shared
        #: Where feedback came from of somebody that the relay did not write: a CRM has many, and one line is enough.
        self._strangers: set[str] = set()

    def generic(self, signed: Signed) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if not signed.verified(body, request.headers):
                return self._unsigned("generic")
            found = signed.answers(body, request.headers, self._shared.now())
            if isinstance(found, Bad):
                return self._refused("generic", found)
            return await self._taken("generic", found, web.Response(status=202))

        return handle

    def hubspot(self, changes: HubspotChanges) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if not changes.verified(request.method, body, request.headers, self._shared.now()):
                return self._unsigned("hubspot")
            try:
                found = await changes.answers(body, self._shared.now())
            except CrmAway:
                self._shared.metrics.feedback("hubspot", "unavailable")
                return web.Response(status=503, headers=_RETRY, text="the contact can't be read now\n")
            if isinstance(found, Bad):
                return self._refused("hubspot", found)
            return await self._taken("hubspot", found, web.Response(status=200))

        return handle

    def salesforce(self, messages: OutboundMessages) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            if not messages.verified(request.match_info["token"]):
                return self._unsigned("salesforce")
            found = messages.answers(body, self._shared.now())
            if isinstance(found, Bad):
                return self._refused("salesforce", found)
            done = web.Response(body=ACKNOWLEDGED, content_type="text/xml")
            return await self._taken("salesforce", found, done)

        return handle

    async def _taken(self, source: str, found: Sequence[Found], done: web.Response) -> web.Response:
        """Have everything of a request on its topic. What is bad in a batch becomes a dead letter: refused, the whole
        batch would come again and again, and then be dropped.
        """
        try:
            await asyncio.gather(*[self._written(one) for one in found if not isinstance(one, NotOurs)])
        except BrokerRefused:
            self._shared.metrics.feedback(source, "unavailable")
            return web.Response(status=503, headers=_RETRY, text="not taken now; send it again\n")
        for one in found:
            if isinstance(one, NotOurs) and source not in self._strangers:
                self._strangers.add(source)
                log.info("feedback from %s is of nobody that the relay wrote: %s; more is counted", source, one.why)
            self._shared.metrics.feedback(source, _OUTCOMES[type(one)])
        return done

    async def _written(self, one: Answer | Bad) -> None:
        outbox, codec = self._shared.outbox, self._shared.codec
        if isinstance(one, Answer):
            await outbox.write(SALES_FEEDBACK, one.key, codec.encode(SALES_FEEDBACK, one.event))
            return
        bad = BadRecord("INVALID", one.reason)
        letter = dead_letter(f"relay:{FEEDBACK}", _Original(one.original), bad, self._shared.now())
        await outbox.write(DEAD_LETTERS, None, codec.encode(DEAD_LETTERS, letter))

    def _unsigned(self, source: str) -> web.Response:
        self._shared.metrics.feedback(source, "unsigned")
        return web.Response(status=401, text="the signature is missing, wrong or too old\n")

    def _refused(self, source: str, bad: Bad) -> web.Response:
        self._shared.metrics.feedback(source, "refused")
        return web.json_response({"error": bad.reason}, status=400)


_OUTCOMES: Final = {Answer: "taken", Bad: "dead_letter", NotOurs: "not_ours"}
