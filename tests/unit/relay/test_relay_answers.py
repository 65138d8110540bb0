"""What a target's answers mean, however they are written: errors, Retry-After, tokens that are refused."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.relay.credentials import Authorized, OAuthToken
from streams.relay.crm import Refused, ask
from streams.relay.exchange import Request, Response, Retry, failure, retry_after_s
from streams.relay.secrets import Secret, redacted
from tests.servers import Answer, Subscriber, serving
from tests.unit.relay.test_relay_exchange import sending


def test_what_a_target_says_of_our_secrets_is_not_repeated() -> None:
    secret = Secret("pat-na1-very-secret")
    answer = failure(Response(401, {}, b'{"message": "pat-na1-very-secret is wrong"}'))
    assert isinstance(answer, Retry)
    assert "pat-na1" not in redacted(answer.detail)
    assert f"{secret} {secret!r}" == "*** ***"


@pytest.mark.parametrize("padding", [0, 360, 380, 395, 420])
@pytest.mark.parametrize("written", ["whsec_a/b+c=d&e", "a%2Fb%2Bc%3Dd%26e", "a/b+c=d&e", "Bearer whsec_a/b+c=d&e"])
def test_not_even_a_part_of_a_secret_is_repeated_however_it_is_written(padding: int, written: str) -> None:
    Secret("whsec_a/b+c=d&e")
    answer = failure(Response(500, {}, json.dumps({"message": "x" * padding + written}).encode()))
    assert isinstance(answer, Retry)
    assert "a/b" not in answer.detail
    assert "a%2F" not in answer.detail
    assert len(answer.detail) <= 400


@pytest.mark.parametrize("status", [408, 423, 425, 429, 477, 500, 502, 503, 504, 522])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    outcome = failure(Response(status, {"Retry-After": "7"}, b""))
    assert outcome == Retry(f"HTTP {status}", 7.0)


@pytest.mark.parametrize(
    ("status", "logged"),
    [
        (503, "HTTP 503: SERVER_UNAVAILABLE"),
        (401, "HTTP 401: SERVER_UNAVAILABLE; check the target's credentials and what they may do"),
    ],
)
def test_a_target_that_is_down_is_logged_without_its_own_words(status: int, logged: str) -> None:
    words = {"errorCode": "SERVER_UNAVAILABLE", "message": "a@b.example was too much", "error": "Ada"}
    outcome = failure(Response(status, {}, json.dumps(words).encode()))
    assert isinstance(outcome, Retry)
    assert "a@b.example" in outcome.detail
    assert outcome.logged == logged


def test_a_conflict_is_about_the_entry() -> None:
    assert failure(Response(409, {}, b"")) == Retry("HTTP 409", target_down=False)


@pytest.mark.parametrize(
    ("text", "wait_s"), [("5", 5.0), ("0", 0.0), ("-3", 0.0), ("1e9", 3600.0), ("soon", None), ("nan", None)]
)
def test_retry_after_is_read_with_care(text: str, wait_s: float | None) -> None:
    outcome = failure(Response(429, {"Retry-After": text}, b""))
    assert isinstance(outcome, Retry)
    assert outcome.wait_s == wait_s


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_retry_after_may_be_a_date_in_each_of_the_three_forms(form: str) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)
    outcome = failure(Response(429, {"Retry-After": soon.strftime(form)}, b""))
    assert isinstance(outcome, Retry)
    assert outcome.wait_s is not None
    assert 590 < outcome.wait_s <= 600
    assert retry_after_s(Response(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"")) == 0.0


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,20} [A-Z][a-z]{2} [0-9]{1,20} [0-9:]{1,9} [-+A-Z0-9]{1,6}"))
@example("Mon, 1 Jan 99999999999999999 00:00:00 GMT")
def test_any_retry_after_is_a_bounded_time_or_none(text: str) -> None:
    wait_s = retry_after_s(Response(429, {"Retry-After": text}, b""))
    assert wait_s is None or 0.0 <= wait_s <= 3600.0


@pytest.mark.parametrize(
    "body",
    [
        *(b"[" * 200_000, b'{"message":' * 200_000, b'{"message": ' + b"[" * 900 + b"]" * 900 + b"}"),
        *(b"\xff", b"9" * 5000, b'"text"', b"[null]", b'{"message": 1e999}', b'{"message": null, "error": []}'),
    ],
)
def test_whatever_an_error_says_it_is_an_error_like_another(body: bytes) -> None:
    assert failure(Response(500, {}, body)) == Retry("HTTP 500")


def test_what_a_target_says_stays_in_its_line_of_the_log() -> None:
    answer = failure(Response(500, {}, rb'{"message": "a\n2026-11-26 ERROR forged\r\u001b[31m\ud800\u2028 b"}'))
    assert answer == Retry("HTTP 500: a 2026-11-26 ERROR forged [31m b")


async def test_a_token_that_is_refused_again_is_the_targets_fault_and_the_next_one_is_fresh() -> None:
    with serving(Subscriber()) as server:
        grants = [Answer(200, {"access_token": f"token-{n}"}) for n in range(3)]
        server.misbehave(grants[0], Answer(401), grants[1], Answer(401), Answer(401), grants[2], Answer(204))
        async with sending(allow_private=True) as http:
            sender = Authorized(http, OAuthToken(f"{server.url}/token", {"grant_type": "client_credentials"}))
            refused = failure(await sender.send(Request("GET", f"{server.url}/x")))
            assert isinstance(refused, Retry)
            assert refused.target_down
            assert "credentials" in refused.detail
            assert (await sender.send(Request("GET", f"{server.url}/x"))).status == 204
        tokens = [one.headers["Authorization"] for one in server.heard if one.path == "/x"]
    assert tokens == ["Bearer token-0", "Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_a_token_that_no_header_can_carry_is_none() -> None:
    with serving(Subscriber()) as server:
        server.always = Answer(200, {"access_token": "a\r\nX-Other: b"})
        async with sending(allow_private=True) as http:
            sender = Authorized(http, OAuthToken(f"{server.url}/token", {"grant_type": "client_credentials"}))
            with pytest.raises(Refused) as refused:
                await ask(sender, Request("GET", f"{server.url}/x"))
    assert refused.value.outcome == Retry("no access token: HTTP 200")


async def test_whoever_gives_tokens_is_left_alone_for_as_long_as_it_asks() -> None:
    with serving(Subscriber()) as server:
        server.always = Answer(429, {"error": "too_many"}, {"Retry-After": "17"})
        async with sending(allow_private=True) as http:
            sender = Authorized(http, OAuthToken(f"{server.url}/token", {"grant_type": "client_credentials"}))
            with pytest.raises(Refused) as refused:
                await ask(sender, Request("GET", f"{server.url}/x"))
    assert refused.value.outcome == Retry("no access token: HTTP 429: too_many", 17.0)
