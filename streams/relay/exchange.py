"""Requests to targets: what goes out, what came back, and what an answer means for a delivery."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from streams import __version__
from streams.relay.addresses import PrivateAddress, public_socket
from streams.relay.secrets import told

#: Of an answer's body; what is longer is cut off.
_LARGEST_ANSWER: Final = 8 * 1024 * 1024
_LONGEST_WAIT_S: Final = 3600.0
#: Beside the standard's, HubSpot's: 423 for two seconds under load, 477 while an account moves.
_PASSING: Final = frozenset({408, 423, 425, 429, 477})
#: Where vendors say what is wrong: codes of theirs, and words that may quote what they were sent.
_CODES: Final = ("category", "errorCode")
_WORDS: Final = (*_CODES, "error", "message", "error_description")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Values in `headers` may be secret and are never shown; `form` is sent instead of `json`."""

    method: str
    url: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Sender(Protocol):
    """Sends requests. Raises Unanswered."""

    async def send(self, request: Request) -> Response: ...


class Unanswered(Exception):
    """A request that got no answer: nothing listens, it took too long, the address is not allowed. `wait_s` is what was
    asked for by whoever kept it from being sent.
    """

    def __init__(self, detail: str, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has it; `crm_id` is the target's own id of the lead."""

    crm_id: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing to do for this target; counted by `reason`, a word of a bounded list."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. `wait_s` is what the target asked for; `target_down` when it is not about this item.

    `logged` is what a log may say where `detail` has the target's own words, which may quote a lead.
    """

    detail: str
    wait_s: float | None = None
    target_down: bool = True
    logged: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The target will never take it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The target wants nothing more at all."""

    detail: str


Outcome = Delivered | Skipped | Retry | Rejected | Gone


def failure(response: Response) -> Retry | Rejected:
    """What an answer that is no success says of the delivery."""
    detail = describe(response)
    if response.status in _PASSING or response.status >= 500:
        return down(response, wait_s=retry_after_s(response))
    if response.status == 409:  # another writer was at the same entry
        return Retry(detail, target_down=False)
    if response.status in (401, 403):
        return down(response, "; check the target's credentials and what they may do")
    if 300 <= response.status < 400:
        return down(response, "; redirects are not followed: correct the target's url")
    return Rejected(detail)


def down(response: Response, advice: str = "", wait_s: float | None = None) -> Retry:
    """The target as a whole does not do what it should, and says so in this answer."""
    return Retry(describe(response) + advice, wait_s, logged=describe(response, _CODES) + advice)


def describe(response: Response, names: Sequence[str] = _WORDS) -> str:
    """`HTTP 400: VALIDATION_ERROR: ...`, from the vendors' ways to write errors."""
    answer = response.json()
    if isinstance(answer, list) and answer:
        answer = answer[0]
    words = ""
    if isinstance(answer, dict):
        parts = [answer.get(name) for name in names]
        words = ": ".join(part for part in parts if part and isinstance(part, str))
    return told(f"HTTP {response.status}{': ' if words else ''}{words}")


def retry_after_s(response: Response) -> float | None:
    """`Retry-After` in seconds, from seconds or a date (RFC 9110, 10.2.3); None without one."""
    text = response.headers.get("Retry-After")
    if text is None:
        return None
    try:
        wait = float(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
            # Of the three ways to write a date one names no zone; all are UTC.
            wait = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, 0.0), _LONGEST_WAIT_S) if wait == wait else None


class HttpSender:
    """Sends over a connection pool of its own. TLS certificates are verified, redirects not followed, and addresses
    that are not public are refused when the connection is made (a name may resolve to anything), unless allowed.
    """

    def __init__(
        self,
        timeout_s: float,
        *,
        allow_private: bool = False,
        ca_file: str | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        context = ssl.create_default_context(cafile=ca_file)
        factory = None if allow_private else public_socket
        self._connector = aiohttp.TCPConnector(ssl=context, socket_factory=factory, resolver=resolver)
        #: Whether requests may go out now.
        self.guard: Callable[[], bool] = lambda: True
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={"User-Agent": f"leadstream/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def send(self, request: Request) -> Response:
        options: dict[str, Any] = {}
        if request.form is not None:
            options["data"] = dict(request.form)
        elif request.raw is not None:
            options["data"] = request.raw
        elif request.body is not None:
            options["json"] = request.body
        host = urlsplit(request.url).hostname
        if not self.guard():
            raise Unanswered("the relay stood still; its partitions may be another's now")
        try:
            async with self._session.request(
                request.method, request.url, headers=request.headers, allow_redirects=False, **options
            ) as answer:
                body = await answer.content.read(_LARGEST_ANSWER)
                while not answer.content.at_eof():
                    body += await answer.content.read(_LARGEST_ANSWER)
                    if len(body) > _LARGEST_ANSWER:
                        raise Unanswered(f"{host} answers with more than {_LARGEST_ANSWER:,} bytes")
                return Response(answer.status, answer.headers, body)
        except PrivateAddress as error:
            raise Unanswered(f"{host} is {error}, not a public address; allow it with allow_private: true") from None
        except TimeoutError:
            raise Unanswered(f"{host} gave no answer in time") from None
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            if isinstance(error.__cause__, PrivateAddress):
                cause = error.__cause__
                raise Unanswered(f"{host} is {cause}, not a public address; allow_private: true allows it") from None
            raise Unanswered(f"{host} can't be reached ({type(error).__name__})") from None
        except UnicodeError:
            raise Unanswered(f"{host} is no name that can be looked up") from None

    async def close(self) -> None:
        await self._session.close()
