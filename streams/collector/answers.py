"""What the collector says: answers as values, and refusals as exceptions that carry one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from streams.collector.remembered import remembered

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.\-]{0,40}://[A-Za-z0-9.\-\[\]:_]{1,300}|null")
_NO_STORE: Final = ("cache-control", "no-store")
_JSON: Final = ("content-type", "application/json")
#: Named one by one rather than echoed: what Segment's, RudderStack's and Snowplow's browser libraries send.
_ALLOWED_HEADERS: Final = (
    "authorization, content-type, content-encoding, anonymousid, sentat, x-retry-count, sp-anonymous, rsa-recovered, "
    "rsa-retry-attempt, rsa-since-last-attempt, rsa-since-first-attempt, rsa-retry-reason"
)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class RequestRefused(Exception):
    """The request ends here, with an answer that its client understands."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    def answer(self) -> Answer:
        """In the form that Segment's and RudderStack's clients read. Nothing of the request is repeated in it."""
        body = msgspec.json.encode({"success": False, "code": self.code, "message": str(self)})
        headers = [_JSON, _NO_STORE]
        if self.retry_after_s is not None:
            headers.append(("retry-after", str(self.retry_after_s)))
        return Answer(self.status, headers, body)


SUCCESS: Final = Answer(200, [_JSON, _NO_STORE], b'{"success": true}')
OK: Final = Answer(200, [("content-type", "text/plain"), _NO_STORE], b"ok")


def plain(status: int, text: str) -> Answer:
    return Answer(status, [("content-type", "text/plain; charset=utf-8"), _NO_STORE], text.encode())


def image(gif: bytes, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """An image, also beside a refusal whose `headers` say when to come back."""
    waits = [one for one in headers if one[0] == "retry-after"]
    return Answer(status, [("content-type", "image/gif"), ("cache-control", "no-store, max-age=0"), *waits], gif)


def allowed(answer: Answer, origin: str | None) -> Answer:
    """The answer with what lets a page of `origin` read it."""
    more = () if origin is None else _readable_by(origin)
    if not more:
        return answer
    if answer.status >= 400:
        more = (*more, ("access-control-expose-headers", "retry-after"))
    return Answer(answer.status, [*answer.headers, *more], answer.body)


@remembered(4096)
def _readable_by(origin: str) -> tuple[tuple[str, str], ...]:
    if not _ORIGIN.fullmatch(origin):
        return ()
    return ("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"), ("vary", "origin")


def preflight() -> Answer:
    """The answer to a browser that asks before it sends."""
    headers = [
        ("access-control-allow-methods", "GET, POST, OPTIONS"),
        ("access-control-allow-headers", _ALLOWED_HEADERS),
        ("access-control-max-age", "7200"),
    ]
    return Answer(204, headers)
