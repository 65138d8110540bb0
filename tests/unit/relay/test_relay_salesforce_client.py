"""Requests to Salesforce are those of jsforce, which Salesforce's own command line works through; the server that
stands in for Salesforce in tests is one that jsforce understands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from streams.relay.credentials import OAuthToken
from streams.relay.exchange import HttpSender
from tests.relay_records import lifecycle, qualification
from tests.salesforce_client import ask
from tests.salesforce_description import answer_faults, record_faults
from tests.salesforce_server import Salesforce
from tests.servers import Heard, serving
from tests.unit.relay.test_relay_salesforce import deliver, org

KEY = "Leadstream_Lead_Id__c"


@pytest.fixture
def crm() -> Iterator[Salesforce]:
    with serving(Salesforce()) as server:
        yield server


def said(heard: Heard) -> tuple[Any, ...]:
    """What a request says, whatever headers a client adds."""
    kind = heard.headers.get("Content-Type", "").partition(";")[0]
    body = parse_qs(heard.body.decode()) if kind.endswith("urlencoded") else heard.json
    return (
        heard.method,
        heard.path,
        dict(heard.query),
        kind if heard.body else "",
        body,
        heard.headers.get("Authorization"),
    )


async def test_every_request_is_what_jsforce_sends_for_the_same(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("one", 1))
        await deliver(target, *[qualification(f"many-{n}", 1) for n in range(3)])
        await deliver(target, lifecycle("one", 2, "sql", "visitor", "ERASED", profile=None))
    ours = list(crm.heard)
    assert {(one.method, one.path.split("/")[4]) for one in ours if "/data/" in one.path} == {
        ("GET", "query"),
        ("PATCH", "sobjects"),
        ("PATCH", "composite"),
        ("DELETE", "sobjects"),
    }
    with serving(Salesforce()) as again:
        ask(again.url, again.token, *map(_call, ours))
        assert list(map(said, again.heard)) == list(map(said, ours))


def _call(heard: Heard) -> list[Any]:
    """How jsforce is asked to do what a request does."""
    parts = heard.path.split("/")[4:]
    if heard.path.endswith("/token"):
        return ["token", {name: one for name, (one,) in parse_qs(heard.body.decode()).items()}]
    if parts == ["query"]:
        return ["query", heard.query["q"]]
    if parts[0] == "composite":
        return ["upsert", parts[2], heard.json["records"], parts[3]]
    if heard.method == "DELETE":
        return ["destroy", parts[1], parts[2]]
    return ["upsert", parts[1], {**heard.json, parts[2]: parts[3]}, parts[2]]


async def test_a_fresh_token_is_asked_for_as_jsforce_does(crm: Salesforce) -> None:
    grant = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "c", "client_secret": "s"}
    http = HttpSender(5.0, allow_private=True)
    try:
        await OAuthToken(f"{crm.url}/services/oauth2/token", grant).token(http)
    finally:
        await http.close()
    (answer,) = ask(crm.url, "", ["token", grant])
    assert answer["answer"]["access_token"] == crm.token
    ours, theirs = map(said, crm.heard)
    assert ours == theirs


def test_jsforce_understands_what_the_server_answers(crm: Salesforce) -> None:
    crm.ambiguous.add("twice")
    crm.locked |= {"locked", "alone"}
    who = {"LastName": "Lind", "Company": "Buyer AG"}
    upsert = ["upsert", "Lead"]
    answers = ask(
        crm.url,
        crm.token,
        [*upsert, {**who, KEY: "fine"}, KEY],
        [*upsert, {**who, KEY: "twice"}, KEY],
        [*upsert, {**who, KEY: "alone"}, KEY],
        [*upsert, [{**who, KEY: "locked"}, {**who, KEY: "fine"}], KEY],
        ["query", f"SELECT Id, LastName FROM Lead WHERE {KEY} IN ('fine')"],
        ["destroy", "Lead", "00Q000000000001"],
        ["destroy", "Lead", "00Q000000000001"],
    )
    made, ambiguous, locked, many, found, gone, not_there = answers
    assert made["answer"] == {"id": "00Q000000000001", "success": True, "errors": [], "created": True}
    assert (ambiguous["error"], len(ambiguous["data"])) == ("MULTIPLE_CHOICES", 2)
    assert locked["error"] == "UNABLE_TO_LOCK_ROW"
    assert [one["success"] for one in many["answer"]] == [False, True]
    assert many["answer"][0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert (found["answer"]["done"], found["answer"]["records"][0]["LastName"]) == (True, "Lind")
    assert "error" not in gone
    assert not_there["error"] == "ENTITY_IS_DELETED"
    (refused,) = ask(crm.url, "an-old-token", ["query", f"SELECT Id FROM Lead WHERE {KEY} IN ('fine')"])
    assert refused["error"] == "INVALID_SESSION_ID"


@pytest.mark.parametrize(
    ("kind", "record", "fault"),
    [
        ("Lead", {"Surname": "Lind"}, "Lead.Surname: unknown"),
        ("Lead", {"Leadstream_Scoer__c": 1}, "Lead.Leadstream_Scoer__c: unknown"),
        ("Lead", {"Leadstream_Score__c": "1"}, "Lead.Leadstream_Score__c: expected number, got '1'"),
        ("Lead", {"Leadstream_Qualified_Until__c": 1}, "expected string, got 1"),
        ("Lead", {"Leadstream_Qualified_Until__c": "2026-12-01T09:00:00"}, "has no zone"),
        ("Lead", {"LastName": "L" * 81}, "has 81 characters, more than 80"),
        ("Task", {"Subject": "S" * 256}, "has 256 characters, more than 255"),
        ("Task", {"ActivityDate": "2026-12-01T09:00:00Z"}, "Task.ActivityDate: "),
        ("Task", {"IsReminderSet": 1}, "expected boolean, got 1"),
    ],
)
def test_a_record_that_is_not_as_described_is_noticed(kind: str, record: dict[str, Any], fault: str) -> None:
    (found,) = record_faults(kind, record)
    assert fault in found


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"errorCode": "MALFORMED_QUERY", "message": "x"}),
        (403, [{"errorCode": "FORBIDDEN", "message": "x", "reason": "x"}]),
        (418, [{"errorCode": "TEAPOT", "message": "x"}]),
        (200, {"id": 7, "success": True}),
        (201, {"id": "00Q", "success": True, "status": "fine"}),
        (204, {"success": True}),
    ],
)
def test_an_answer_that_is_not_as_described_is_noticed(status: int, body: Any) -> None:
    assert answer_faults("PATCH", status, body)
