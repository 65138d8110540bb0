"""Access tokens for targets: a fixed one, or OAuth's, fetched when it is needed and again when it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from streams.relay.exchange import Request, Response, Sender, Unanswered, describe, retry_after_s
from streams.relay.secrets import Secret


class Credentials(Protocol):
    async def token(self, sender: Sender) -> str:
        """The access token. Raises Unanswered when it can't be had."""
        ...

    def refused(self, token: str) -> bool:
        """The target answered 401 to `token`; whether there may be another."""
        ...


class FixedToken:
    """A token that an administrator made."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    async def token(self, sender: Sender) -> str:
        return self._token.reveal()

    def refused(self, token: str) -> bool:
        return False


class OAuthToken:
    """A token from an OAuth token endpoint (RFC 6749): `form` is the grant, secrets within."""

    def __init__(self, url: str, form: Mapping[str, str | Secret]) -> None:
        self._url = url
        self._form = form
        self._token: Secret | None = None
        self._fetching = asyncio.Lock()

    async def token(self, sender: Sender) -> str:
        async with self._fetching:
            if self._token is None:
                self._token = await self._fetch(sender)
            return self._token.reveal()

    def refused(self, token: str) -> bool:
        if self._token is not None and self._token.reveal() == token:
            self._token = None
        return True

    async def _fetch(self, sender: Sender) -> Secret:
        form = {name: part.reveal() if isinstance(part, Secret) else part for name, part in self._form.items()}
        response = await sender.send(Request("POST", self._url, form=form))
        answer = response.json()
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if response.status != 200 or not isinstance(token, str) or not token.isprintable():
            raise Unanswered(f"no access token: {describe(response)}", retry_after_s(response))
        return Secret(token)


class Authorized:
    """A sender that adds the token, and on a 401 tries once more with a fresh one."""

    def __init__(self, sender: Sender, credentials: Credentials) -> None:
        self._sender = sender
        self._credentials = credentials

    async def send(self, request: Request) -> Response:
        token = await self._credentials.token(self._sender)
        response = await self._sender.send(_with(request, token))
        if response.status == 401 and self._credentials.refused(token):
            token = await self._credentials.token(self._sender)
            response = await self._sender.send(_with(request, token))
        return response


def _with(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})
