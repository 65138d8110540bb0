"""Whatever is sent to a collector, it is never a defect of ours, and never stops it."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.local.broker import EmbeddedBroker
from tests.integration.collector_bed import KEY, RunningCollector, running_collector

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
_TP2 = "/com.snowplowanalytics.snowplow/tp2"
_PAYLOAD_DATA = "iglu:a/payload_data/jsonschema/1-0-0"
PATHS = [
    *(f"/v1/{kind}" for kind in ("identify", "track", "page", "screen", "group", "alias", "merge", "batch", "b", "t")),
    _TP2,
    "/v1/demo-bookings",
]
GETS = ["/i", "/o.gif", "/d/x", "/tracker.js", "/opt-out", "/health/ready"]
NAMES = ["type", "userId", "anonymousId", "event", "properties", "traits", "context", "timestamp", "sentAt", "batch"]
NAMES += ["messageId", "previousId", "groupId", "writeKey", "schema", "data", "e", "aid", "uid", "url", "cx", "ue_pr"]
NAMES += ["email", "booking_id", "status", "payload", "page", "campaign", "consent", "mergeProperties", "ip"]

_text = st.text(max_size=30)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _text
    | st.sampled_from([KEY, "track", "page", "pv", "ue"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | _text, inner, max_size=5),
    max_leaves=20,
)
_bodies = st.one_of(
    st.binary(max_size=300),
    _json.map(msgspec.json.encode),
    _json.map(lambda value: gzip.compress(msgspec.json.encode(value))),
    st.lists(_json, max_size=4).map(lambda many: msgspec.json.encode({"batch": many, "writeKey": KEY})),
    st.lists(_json, max_size=4).map(lambda many: msgspec.json.encode({"schema": _PAYLOAD_DATA, "data": many})),
    st.integers(1, 2000).map(lambda depth: b'{"batch":' + b"[" * depth * 100),
)
_header_value = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
_headers = st.dictionaries(
    st.sampled_from(["authorization", "origin", "cookie", "user-agent", "x-forwarded-for", "content-encoding", "dnt"]),
    st.one_of(_header_value, st.sampled_from(["gzip", "Mozilla/5.0", "1", "https://x.example", "null"])),
)


_MESSAGE = {
    "userId": "u",
    "anonymousId": "a",
    "previousId": "p",
    "groupId": "g",
    "messageId": "m",
    "event": "Demo Booked",
    "timestamp": "2026-11-24T11:00:00Z",
    "sentAt": "2026-11-24T12:00:00Z",
    "properties": {"url": "https://x.example/?utm_source=n", "booking_id": "b", "scheduled_for": 1},
    "traits": {"email": "a@b.example", "company": {"name": "C", "domain": "c.example"}, "address": {"country": "DE"}},
    "context": {
        "ip": "192.0.2.1",
        "page": {"url": "https://x.example/"},
        "campaign": {"source": "n", "name": "c"},
        "consent": {"categoryPreferences": {"analytics": True}},
        "consentManagement": {"deniedConsentIds": ["ads"]},
    },
    "mergeProperties": [{"type": "email", "value": "a@b.example"}, {"type": "user_id", "value": "u"}],
}
_TRAITS = {"schema": "iglu:x/user/jsonschema/1-0-0", "data": {"email": "a@b.example"}}
_SNOWPLOW = {
    "e": "pv",
    "aid": KEY,
    "eid": "e",
    "uid": "u",
    "duid": "d",
    "url": "https://x.example/",
    "dtm": "1795521600000",
}
_SNOWPLOW |= {"stm": "1795521600000", "co": {"data": [_TRAITS]}, "ue_pr": {"data": _TRAITS}, "se_ca": "c", "se_ac": "a"}
_INVITEE = {"uri": "i", "old_invitee": "o", "email": "a@b.example", "name": "A", "rescheduled": True}
_INVITEE |= {"scheduled_event": {"start_time": "2026-12-01T10:00:00Z", "name": "Demo"}}
_INVITEE |= {"questions_and_answers": [{"question": "Company", "answer": "C"}]}
_CALENDLY = ("invitee.created", "invitee.canceled", "invitee_no_show.created")
#: (path, a body that is taken there)
TAKEN: list[tuple[str, Any]] = [
    *((f"/v1/{kind}", _MESSAGE) for kind in ("identify", "track", "page", "screen", "group", "alias", "merge")),
    ("/v1/batch", {"batch": [{**_MESSAGE, "type": "track"}], "sentAt": "2026-11-24T12:00:00Z"}),
    *((_TP2, {"schema": _PAYLOAD_DATA, "data": [{**_SNOWPLOW, "e": kind}]}) for kind in ("pv", "pp", "se", "ue", "tr")),
    *(("/v1/demo-bookings", {"event": name, "created_at": "2026-11-24", "payload": _INVITEE}) for name in _CALENDLY),
    ("/v1/demo-bookings", {"booking_id": "b", "email": "a@b.example", "status": "BOOKED", "scheduled_for": 1}),
]


ODD: list[Any] = [7, True, "x", [None], {"a": 1}]


def _each_with_odd(value: Any) -> Iterator[Any]:
    """`value` with each odd thing at each of its places."""
    yield from ODD
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: odd} for odd in _each_with_odd(inner))
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([*value[:place], odd, *value[place + 1 :]] for odd in _each_with_odd(inner))


def _sent(path: str, body: Any) -> bytes:
    """The body as it is sent: some values of Snowplow's protocol are JSON in themselves."""
    if path == _TP2 and isinstance(body, dict) and isinstance(body.get("data"), list):
        body = {**body, "data": [_flat(one) if isinstance(one, dict) else one for one in body["data"]]}
    return msgspec.json.encode(body)


def _flat(event: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name in ("co", "ue_pr") else value for name, value in event.items()}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    folder = tmp_path_factory.mktemp("collector")
    with (
        EmbeddedBroker() as broker,
        running_collector(broker.bootstrap, folder, "--open", "--trusted-proxies", "127.0.0.1") as running_one,
    ):
        yield running_one
        assert "defect" not in running_one.log.read_text()


def sent(method: str, url: str, **more: Any) -> requests.Response:
    return requests.request(method, url, timeout=30, allow_redirects=False, **more)


@FUZZ
@given(path=st.sampled_from(PATHS), body=_bodies, headers=_headers)
def test_no_body_and_no_header_is_a_defect(
    collector: RunningCollector, path: str, body: bytes, headers: dict[str, str]
) -> None:
    raw = {name: value.strip().encode("latin-1") for name, value in headers.items()}
    answer = sent("POST", collector.url + path, data=body, headers=raw)
    assert answer.status_code in (200, 400, 401, 413, 415), answer.text


@pytest.mark.parametrize(("path", "body"), TAKEN)
def test_nothing_odd_at_any_place_of_what_is_taken_is_a_defect(
    collector: RunningCollector, path: str, body: Any
) -> None:
    with requests.Session() as http:
        http.auth = (KEY, "")
        assert http.post(collector.url + path, data=_sent(path, body), timeout=30).status_code == 200
        for odd in _each_with_odd(body):
            answer = http.post(collector.url + path, data=_sent(path, odd), timeout=30)
            assert answer.status_code in (200, 400, 401), (odd, answer.text)


@FUZZ
@given(
    path=st.sampled_from(GETS), query=st.dictionaries(st.sampled_from([*NAMES, "l", "s", "c"]), _text), headers=_headers
)
def test_no_query_is_a_defect(
    collector: RunningCollector, path: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    raw = {name: value.strip().encode("latin-1") for name, value in headers.items()}
    answer = sent("GET", collector.url + path, params=query, headers=raw)
    assert answer.status_code in (200, 400, 401, 404), answer.text


@FUZZ
@given(method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "TRACE"]), path=_text)
def test_no_path_is_a_defect(collector: RunningCollector, method: str, path: str) -> None:
    answer = sent(method, f"{collector.url}/{quote(path, safe='/%?')}")
    assert answer.status_code in (200, 204, 400, 401, 404, 405), answer.text


_lines = st.sampled_from(
    [
        b"POST /v1/b HTTP/1.1\r\n",
        b"\r\n",
        b"Host: x\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n0\r\n\r\n",
        b"ffffffff\r\n",
    ]
)


@FUZZ
@given(st.lists(st.binary(max_size=60) | _lines, max_size=8))
def test_no_bytes_stop_it(collector: RunningCollector, parts: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection, suppress(OSError):
        connection.sendall(b"".join(parts))
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(1000)
        assert not answer.startswith(b"HTTP/1.1 5"), answer
    assert collector.process.poll() is None


def test_after_all_that_it_works(collector: RunningCollector) -> None:
    assert collector.post("/v1/track", {"userId": "u", "event": "x"}).status_code == 200
