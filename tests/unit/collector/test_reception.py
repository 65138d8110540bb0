"""Whose a request is, and whether it may be heard: allowances, bots, cookies."""

from __future__ import annotations

import base64
import gc
import hashlib
import hmac
import json
import time
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from streams.collector import keys, pixel
from streams.collector.answers import Answer, RequestRefused
from streams.collector.app import Collector
from streams.collector.downloads import Asset
from streams.collector.events import Accepted, Outcome, Visit
from streams.collector.keys import WriteKeys
from streams.collector.mapping import read_mapping
from streams.collector.metrics import CollectorMetrics
from streams.collector.reception import Reception, Request, Settings
from tests.unit.collector.headers import Headers

KEY, SECRET = "a-key-of-enough-characters", b"a signing secret"
NOW = 1_795_521_600_000
ENVELOPE = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"


class RecordingDelivery:
    """Keeps what is to be delivered."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    async def deliver(self, _protocol: str, outcomes: Sequence[Outcome]) -> None:
        self.outcomes += outcomes


class Scope:
    """What a server says of a request."""

    proto, client = "http", "127.0.0.1:1"
    method = "POST"

    def __init__(self, path: str, query: str, headers: dict[str, str]) -> None:
        self.path, self.query_string, self.headers = path, query, Headers(headers)


@pytest.fixture
def delivery() -> RecordingDelivery:
    return RecordingDelivery()


@pytest.fixture
def reception(delivery: RecordingDelivery) -> Reception:
    assets = {"guide": Asset("https://cdn.example/guide.pdf")}
    settings = Settings(WriteKeys({KEY: 5.0, f"another-{KEY}": 5.0}), read_mapping(), assets, SECRET, (), None)
    return Reception(settings, CollectorMetrics(), delivery)  # type: ignore[arg-type]


def request(body: Any = b"", path: str = "/", query: str = "", agent: str | None = None, **headers: str) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(Scope(path, query, named), raw, Visit(NOW, user_agent=agent), False)


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def plow(count: int, key: str = KEY) -> dict[str, Any]:
    view = {"e": "pv", "url": "https://x.example/", "uid": "u", "aid": key}
    return {"schema": ENVELOPE, "data": [{**view, "eid": f"e-{number}"} for number in range(count)]}


async def test_a_snowplow_request_of_more_than_its_keys_burst_passes_whole_and_is_owed(
    reception: Reception, delivery: RecordingDelivery
) -> None:
    """Its tracker would send it again and again, with nothing else getting through."""
    await reception.snowplow_post(request(plow(60)))
    assert len(delivery.outcomes) == 60
    with pytest.raises(RequestRefused) as refused:
        await reception.snowplow_post(request(plow(1)))
    assert refused.value.status == 429
    await reception.snowplow_post(request(plow(1, f"another-{KEY}")))


@pytest.mark.parametrize("handler", [Reception.batch, Reception.snowplow_post])
async def test_of_a_request_with_a_wrong_key_nothing_is_kept(reception: Reception, handler: Any) -> None:
    """Whoever has no key could fill the memory with bodies."""
    asked = request({**plow(1, "wrong"), "batch": []})
    gone = weakref.ref(asked.scope)
    with pytest.raises(RequestRefused) as refused:
        await handler(reception, asked)
    assert refused.value.status == 401
    del asked, refused
    gc.collect()
    assert gone() is None


def signed(body: bytes) -> str:
    at = int(time.time())
    return f"t={at},v1={hmac.new(SECRET, f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


async def test_a_flood_of_pixels_costs_no_booking(
    reception: Reception, delivery: RecordingDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    opened = request(query="l=u&e=m")
    for _ in range(50_000):
        await reception.pixel(opened)
    refused = await reception.pixel(opened)
    assert refused.status == 429
    assert refused.body == pixel.GIF, "an email shows what is wrong"
    assert dict(refused.headers)["retry-after"] == "1"
    delivery.outcomes.clear()
    body = json.dumps({"booking_id": "b", "email": "a@b.example"}).encode()
    answer = await reception.booking(request(body, webhook_signature=signed(body)))
    assert answer.status == 200
    topics = {one.topic for one in delivery.outcomes if isinstance(one, Accepted)}
    assert topics == {"demo-bookings", "lead-profiles"}


async def test_what_becomes_dead_letters_is_paid_for_by_whoever_has_a_key(
    reception: Reception, delivery: RecordingDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are in every page: else anybody could fill the topic."""
    now = time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    for _ in range(50):
        with pytest.raises(RequestRefused) as refused:
            await reception.batch(request(b"nothing", authorization=basic(KEY)))
        assert refused.value.status == 400
    with pytest.raises(RequestRefused) as refused:
        await reception.batch(request(b"nothing", authorization=basic(KEY)))
    assert (refused.value.status, len(delivery.outcomes)) == (429, 50)
    mixed = plow(1, f"another-{KEY}")
    mixed["data"] += plow(60, "nobody's")["data"]
    await reception.snowplow_post(request(mixed))
    with pytest.raises(RequestRefused) as refused:
        await reception.snowplow_post(request(plow(1, f"another-{KEY}")))
    assert refused.value.status == 429


async def test_whoever_asks_for_the_head_alone_is_answered_and_not_counted(delivery: RecordingDelivery) -> None:
    assets = {"guide": Asset("https://cdn.example/guide.pdf")}
    collector = Collector(Settings(WriteKeys(None), read_mapping(), assets, None, (), None), CollectorMetrics())
    collector.open(delivery, lambda: False)  # type: ignore[arg-type]
    for path, status in (("/d/guide", 302), ("/o.gif", 200), ("/tracker.js", 200), ("/health/ready", 200)):
        for method, counted in (("HEAD", 0), ("GET", 1 if path in ("/d/guide", "/o.gif") else 0)):
            delivery.outcomes.clear()
            scope = Scope(path, "l=u&e=m", {})
            scope.method = method
            assert (await collector.answer(scope, None)).status == status
            assert len(delivery.outcomes) == counted, (method, path)


async def test_a_link_that_a_crawler_looks_at_leads_on_and_counts_for_nobody(
    reception: Reception, delivery: RecordingDelivery
) -> None:
    async def click(agent: str) -> Answer:
        return await reception.download(request(path="/d/guide", query="l=u", agent=agent))

    preview = await click("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)")
    assert (preview.status, delivery.outcomes) == (302, [])
    for number, agent in enumerate(("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36", "curl/8.5.0"), 1):
        assert (await click(agent)).status == 302
        assert len(delivery.outcomes) == number


async def test_a_beacon_gives_its_key_in_the_address(reception: Reception, delivery: RecordingDelivery) -> None:
    body = {"batch": [{"type": "track", "userId": "u", "event": "x", "messageId": "m"}]}
    assert (await reception.batch(request(body, query=f"writeKey={KEY}"))).status == 200
    assert len(delivery.outcomes) == 1
    with pytest.raises(RequestRefused) as refused:
        await reception.batch(request(body, query="writeKey=wrong"))
    assert refused.value.status == 401


async def test_while_the_broker_is_known_to_be_away_no_body_is_read(delivery: RecordingDelivery) -> None:
    settings = Settings(WriteKeys(None), read_mapping(), {}, None, (), None)
    collector = Collector(settings, CollectorMetrics())
    away = True
    collector.open(delivery, lambda: away)  # type: ignore[arg-type]
    read = 0

    async def body() -> bytes:
        nonlocal read
        read += 1
        return b'{"userId": "u", "event": "x"}'

    scope = Scope("/v1/track", "", {"content-length": "29"})
    refused = await collector.answer(scope, body)
    assert (refused.status, dict(refused.headers)["retry-after"], read) == (503, "2", 0)
    away = False
    assert ((await collector.answer(scope, body)).status, read) == (200, 1)


async def test_a_visitor_who_became_anonymous_is_forgotten(reception: Reception) -> None:
    cookie = "leadstream_visitor=7d9f2c1e"
    known = await reception.snowplow_post(request(plow(1), sp_anonymous="*", cookie=cookie))
    assert [value for name, value in known.headers if name == "set-cookie"] == [
        "leadstream_visitor=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=None"
    ]
    unknown = await reception.snowplow_post(request(plow(1), sp_anonymous="*"))
    assert "set-cookie" not in dict(unknown.headers)
