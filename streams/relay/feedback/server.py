"""The HTTP server that answers come in by. 2xx only after the broker has them; else the sender sends again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from streams.errors import UsageError
from streams.relay.building import secret_of
from streams.relay.delivery import Surroundings
from streams.relay.feedback.answer import SALES_FEEDBACK, Answer, Bad
from streams.relay.feedback.generic import Signed
from streams.relay.feedback.hubspot import CrmAway, HubspotChanges
from streams.relay.feedback.salesforce import ACKNOWLEDGED, OutboundMessages
from streams.relay.hubspot import HubspotDelivery
from streams.relay.outbox import BrokerRefused
from streams.relay.target import TargetDelivery
from streams.relay.targets import Feedback

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
        account = targets[settings.hubspot.target]
        assert isinstance(account, HubspotDelivery), "checked when the file is loaded"
        secret = secret_of("feedback.hubspot.client_secret", settings.hubspot.client_secret)
        app.router.add_post("/v1/feedback/hubspot", ways.hubspot(HubspotChanges(settings.hubspot, secret, account)))
    if settings.salesforce is not None:
        token = secret_of("feedback.salesforce.token", settings.salesforce.token)
        app.router.add_post(
            "/v1/feedback/salesforce/{token}", ways.salesforce(OutboundMessages(settings.salesforce, token))
        )
    return app


class _Ways:
    """The handlers, one a way in."""

    def __init__(self, shared: Surroundings) -> None:
        self._shared = shared

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
            return await self._taken("hubspot", self._good("hubspot", found), web.Response(status=200))

        return handle

    def salesforce(self, messages: OutboundMessages) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if not messages.verified(request.match_info["token"]):
                return self._unsigned("salesforce")
            found = messages.answers(await request.read(), self._shared.now())
            if isinstance(found, Bad):
                return self._refused("salesforce", found)
            done = web.Response(body=ACKNOWLEDGED, content_type="text/xml")
            return await self._taken("salesforce", self._good("salesforce", found), done)

        return handle

    def _good(self, source: str, found: Sequence[Answer | Bad]) -> list[Answer]:
        """Of a batch, what can be used: the rest would be refused as often as it is sent."""
        for one in found:
            if isinstance(one, Bad):
                self._shared.metrics.feedback(source, "ignored")
        return [one for one in found if isinstance(one, Answer)]

    async def _taken(self, source: str, answers: Sequence[Answer], done: web.Response) -> web.Response:
        try:
            for answer in answers:
                value = self._shared.codec.encode(SALES_FEEDBACK, answer.event)
                await self._shared.outbox.write(SALES_FEEDBACK, answer.key, value)
        except BrokerRefused:
            self._shared.metrics.feedback(source, "unavailable")
            return web.Response(status=503, headers=_RETRY, text="not taken now; send it again\n")
        for _ in answers:
            self._shared.metrics.feedback(source, "taken")
        return done

    def _unsigned(self, source: str) -> web.Response:
        self._shared.metrics.feedback(source, "unsigned")
        return web.Response(status=401, text="the signature is missing, wrong or too old\n")

    def _refused(self, source: str, bad: Bad) -> web.Response:
        self._shared.metrics.feedback(source, "refused")
        return web.json_response({"error": bad.reason}, status=400)
