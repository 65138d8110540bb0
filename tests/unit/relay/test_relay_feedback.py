"""Sales' answers: signed, read, held to the record's rules, and never lost."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.feedback_bed import Door, change, hubspot_headers, open_door, outbound, signed
from tests.relay_bed import SECRETS
from tests.servers import Answer

ANSWER = {"lead_id": "u1", "disposition": "REJECTED", "reason": "no_budget", "qualification_id": "q1"}


@pytest.fixture(scope="module")
def shared_door() -> Iterator[Door]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        with open_door() as door:
            yield door


@pytest.fixture
def door(shared_door: Door) -> Door:
    shared_door.outbox.written.clear()
    shared_door.outbox.away = False
    shared_door.crm.contacts = {
        "7": {"email": "v@x.example", "leadstream_lead_id": "u1", "leadstream_qualification_id": "q1"},
        "8": {"email": "w@x.example", "leadstream_lead_id": "u2", "lost_reason": "no_budget"},
        "9": {"email": "nobody@x.example"},
    }
    return shared_door


# --- the generic webhook --------------------------------------------------------------------------------


def test_a_signed_answer_is_taken_and_its_repeat_is_the_same_answer(door: Door) -> None:
    for body in (ANSWER, {"type": "sales.feedback", "data": ANSWER}):
        assert door.generic(json.dumps(body).encode(), "msg_7").status == 202
    first, second = door.outbox.answers()
    assert first["event_id"] == second["event_id"] == "msg_7"
    assert (first["lead_id"], first["disposition"], first["reason"]) == ("u1", "REJECTED", "no_budget")
    assert abs(first["occurred_at"] - time.time() * 1000) < 60_000


def test_an_answer_without_an_id_of_its_own_goes_by_its_webhooks_and_one_with_it_by_that(door: Door) -> None:
    for own in (None, "answer-1"):
        assert door.generic(json.dumps({**ANSWER, "event_id": own}).encode(), "msg_8").status == 202
    assert [one["event_id"] for one in door.outbox.answers()] == ["msg_8", "answer-1"]


def test_what_is_not_signed_or_was_changed_or_is_old_is_refused(door: Door) -> None:
    body = json.dumps(ANSWER).encode()
    good = signed(body, "msg_1")
    old = {**good, "webhook-timestamp": str(int(time.time()) - 3600)}
    for headers in ({}, old, {**good, "webhook-id": "msg_2"}, {**good, "webhook-signature": "v1,AAAA"}):
        assert door.post("/v1/sales-feedback", body, headers).status == 401
    assert door.post("/v1/sales-feedback", body + b" ", good).status == 401
    assert door.outbox.written == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"disposition": "WON"}, "lead_id"),
        ({**ANSWER, "disposition": "MAYBE"}, "disposition"),
        ({**ANSWER, "disposition": None}, "disposition"),
        ({**ANSWER, "lead_id": ""}, "lead_id"),
        ({**ANSWER, "amount": "a lot"}, "amount"),
        ({**ANSWER, "reason": "x" * 5000}, "reason"),
        ({**ANSWER, "occurred_at": "yesterday"}, "occurred_at"),
        ({**ANSWER, "lead": "u1"}, "lead"),
        ([ANSWER], "object"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_reason(door: Door, body: Any, words: str) -> None:
    reply = door.generic(json.dumps(body).encode())
    assert reply.status == 400
    assert words in json.loads(reply.body)["error"]
    assert door.outbox.written == []


# --- HubSpot --------------------------------------------------------------------------------------------


def test_hubspots_changes_become_answers_of_the_leads_that_the_relay_wrote(door: Door) -> None:
    changes = [change(7, "BAD_FIT", 1), change(8, "CONNECTED", 2), change(7, "OPEN", 3), change(9, "BAD_FIT", 4)]
    changes += [change(7, "BAD_FIT", 5, propertyName="phone"), change(7, "x", 6, subscriptionType="contact.creation")]
    before = door.count("hubspot", "not_ours")
    assert door.hubspot(changes).status == 200
    first, second = door.outbox.answers()
    assert (first["lead_id"], first["disposition"], first["qualification_id"]) == ("u1", "REJECTED", "q1")
    assert (second["lead_id"], second["disposition"], second["reason"]) == ("u2", "ACCEPTED", "no_budget")
    assert first["occurred_at"] == changes[0]["occurredAt"]
    assert first["actor"] == "hubspot userId:4711"
    assert door.count("hubspot", "not_ours") == before + 1
    assert [one.path for one in door.crm.heard] == []
    again = [{**one, "attemptNumber": 1} for one in changes]
    assert door.hubspot(again).status == 200
    assert [one["event_id"] for one in door.outbox.answers()[2:]] == [first["event_id"], second["event_id"]]


def test_hubspots_event_ids_alone_are_not_taken_for_unique(door: Door) -> None:
    assert door.hubspot([change(7, "BAD_FIT", 1), change(8, "BAD_FIT", 1)]).status == 200
    assert len({one["event_id"] for one in door.outbox.answers()}) == 2


def test_hubspots_signature_covers_everything_and_ages(door: Door) -> None:
    body = json.dumps([change(7, "BAD_FIT")]).encode()
    now = time.time_ns() // 1_000_000
    path = "/v1/feedback/hubspot"
    assert door.post(path, body, {}).status == 401
    assert door.post(path, body + b" ", hubspot_headers(body)).status == 401
    assert door.post(path, body, hubspot_headers(body, secret="another")).status == 401
    assert door.post(path, body, hubspot_headers(body, now - 301_000)).status == 401
    assert door.post(path, body, hubspot_headers(body, now - 200_000)).status == 200


def test_what_is_bad_in_hubspots_batch_becomes_a_dead_letter_and_the_rest_is_taken(door: Door) -> None:
    bad = change(7, "BAD_FIT", 2, occurredAt="noon")
    worse = {**change(7, "BAD_FIT", 3), "objectId": None}
    assert door.hubspot([change(7, "BAD_FIT", 1), bad, worse]).status == 200
    assert len(door.outbox.answers()) == 1
    first, second = door.outbox.letters()
    assert json.loads(first["value"]) == bad
    assert json.loads(second["value"]) == worse
    assert (first["consumer"], first["topic"], first["error"]) == ("relay:feedback", "sales-feedback", "INVALID")
    assert "occurred_at" in first["detail"]


def test_while_hubspot_cannot_be_asked_it_is_to_send_again(door: Door) -> None:
    door.crm.misbehave(Answer(503))
    reply = door.hubspot([change(7, "BAD_FIT")])
    assert (reply.status, reply.headers["Retry-After"]) == (503, "10")
    assert door.outbox.written == []


# --- Salesforce -----------------------------------------------------------------------------------------


def lead(status: str, lead_id: str = "u1", **fields: str) -> dict[str, str]:
    external = {"Leadstream_Lead_Id__c": lead_id, "Leadstream_Qualification_Id__c": "q1"} if lead_id else {}
    return {"Id": "00Q000000000001AAA", "Status": status, **external, **fields}


def test_an_outbound_message_is_taken_and_acknowledged(door: Door) -> None:
    at = "2026-11-20T10:00:00.000Z"
    leads = [lead("Unqualified", LastModifiedDate=at, Rejection_Reason__c="no <budget>"), lead("Open")]
    reply = door.salesforce(outbound(leads))
    assert reply.status == 200
    acknowledged = fromstring(reply.body).find(".//{http://soap.sforce.com/2005/09/outbound}Ack")
    assert acknowledged is not None
    assert acknowledged.text == "true"
    (answer,) = door.outbox.answers()
    assert (answer["lead_id"], answer["disposition"], answer["reason"]) == ("u1", "REJECTED", "no <budget>")
    assert (answer["qualification_id"], answer["event_id"]) == ("q1", "salesforce:04l000000000000AAA")


def test_a_message_of_another_organization_or_to_another_address_is_refused(door: Door) -> None:
    assert door.salesforce(outbound([lead("Unqualified")], "00D999999999999EAA")).status == 400
    assert door.post("/v1/feedback/salesforce/guess", outbound([lead("Unqualified")]), {}).status == 401
    assert door.outbox.written == []


def test_a_lead_that_the_relay_did_not_write_is_counted_and_a_bad_one_kept(door: Door) -> None:
    before = door.count("salesforce", "not_ours")
    message = outbound([lead("Unqualified", ""), lead("Unqualified", "x" * 2000), lead("Working", "u2")])
    assert door.salesforce(message).status == 200
    assert [one["lead_id"] for one in door.outbox.answers()] == ["u2"]
    (letter,) = door.outbox.letters()
    assert b"x" * 2000 in letter["value"]
    assert door.count("salesforce", "not_ours") == before + 1


def test_of_leads_that_the_relay_did_not_write_the_log_says_once_that_there_are_any(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "streams"):
        for number in range(3):
            door.salesforce(outbound([lead("Unqualified", "", Id=f"00Q{number}")]))
    assert len([one for one in caplog.messages if "nobody that the relay wrote" in one]) <= 1
    assert "00Q" not in caplog.text


def test_entities_are_not_expanded(door: Door) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY f SYSTEM "file:///etc/passwd">]><a>&b;&f;</a>'
    assert door.salesforce(bomb).status == 400


# --- all ways -------------------------------------------------------------------------------------------


def test_without_the_broker_nobody_is_told_that_an_answer_was_taken(door: Door) -> None:
    door.outbox.away = True
    replies = [door.generic(json.dumps(ANSWER).encode()), door.hubspot([change(7, "BAD_FIT")])]
    replies += [door.salesforce(outbound([lead("Unqualified")]))]
    assert [(one.status, one.headers["Retry-After"]) for one in replies] == [(503, "10")] * 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@_FUZZ
@given(
    st.binary(max_size=200)
    | _JSON.map(_dumped)
    | st.fixed_dictionaries({}, optional=dict.fromkeys(ANSWER, _JSON)).map(_dumped)
)
def test_any_signed_body_is_taken_whole_or_refused_with_a_reason(door: Door, body: bytes) -> None:
    door.outbox.written.clear()
    try:
        body.decode()
    except UnicodeDecodeError:
        assert door.post("/v1/sales-feedback", body, signed(b"", "msg_1")).status == 401
        return
    reply = door.generic(body)
    assert reply.status in (202, 400)
    assert len(door.outbox.answers()) == (reply.status == 202)
    assert reply.status == 202 or json.loads(reply.body)["error"]


_CHANGE = st.fixed_dictionaries(
    {},
    optional={
        "objectId": st.sampled_from([7, 8, 9, "7", 10**30, -1, True, None, 7.5]) | _JSON,
        "propertyName": st.just("hs_lead_status") | _JSON,
        "propertyValue": st.sampled_from(["BAD_FIT", "CONNECTED", "OPEN"]) | _JSON,
        "subscriptionType": st.just("contact.propertyChange") | _JSON,
        "occurredAt": st.integers() | _JSON,
        "eventId": _JSON,
        "portalId": _JSON,
        "sourceId": _JSON,
    },
).map(lambda changes: {**change(7, "BAD_FIT"), **changes})


@_FUZZ
@given(st.lists(_CHANGE, max_size=4))
def test_of_any_changes_each_that_says_something_is_taken_kept_or_counted(
    door: Door, changes: list[dict[str, Any]]
) -> None:
    door.outbox.written.clear()
    before = door.count("hubspot", "not_ours")
    assert door.hubspot(changes).status == 200
    told = [
        one
        for one in changes
        if one["subscriptionType"] == "contact.propertyChange"
        and one["propertyName"] == "hs_lead_status"
        and one["propertyValue"] in ("BAD_FIT", "CONNECTED")
    ]
    assert len(door.outbox.written) + door.count("hubspot", "not_ours") - before == len(told)


@_FUZZ
@given(st.binary(max_size=200) | _JSON.map(_dumped))
def test_any_body_of_hubspots_is_answered(door: Door, body: bytes) -> None:
    assert door.hubspot(body).status in (200, 400)


_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0xFFFD, exclude_categories=["Cs"]), max_size=300)


@_FUZZ
@given(
    st.lists(st.dictionaries(st.sampled_from(["Status", "Leadstream_Lead_Id__c", "_id", "Id"]), _TEXT), max_size=3),
    st.binary(max_size=20),
    st.integers(0, 1500),
)
def test_any_outbound_message_is_acknowledged_or_refused(
    door: Door, leads: list[dict[str, str]], noise: bytes, at: int
) -> None:
    leads = [{**lead("Unqualified"), **one} for one in leads]
    whole = outbound(leads)
    assert door.salesforce(whole[:at] + noise + whole[at + len(noise) :]).status in (200, 400)


@_FUZZ
@given(
    st.sampled_from(["/v1/sales-feedback", "/v1/feedback/hubspot", "/v1/feedback/salesforce/%ff%00"]),
    st.dictionaries(
        st.sampled_from(
            [
                *("webhook-id", "webhook-timestamp", "webhook-signature"),
                *("X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp", "Content-Type", "Content-Encoding"),
            ]
        ),
        st.sampled_from(["inf", "nan", "1e400", "-1", "v1,\xff", "v1", "v1,é", "9" * 40, "gzip", "deflate", "br"])
        | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
    ),
    st.binary(max_size=100),
)
def test_whatever_is_not_signed_is_refused(door: Door, path: str, headers: dict[str, str], body: bytes) -> None:
    door.outbox.written.clear()
    headers = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in headers.items()}
    assert door.post(path, body, headers).status in (400, 401, 415)
    assert door.outbox.written == []


def test_what_is_nested_without_end_or_too_large_is_refused(door: Door) -> None:
    deep = b"[" * 100_000
    assert door.generic(deep).status == 400
    assert door.hubspot(deep).status == 400
    assert door.salesforce(b"<a>" * 100_000).status == 400
    assert door.post("/v1/sales-feedback", b"x" * 1_100_000, {}).status == 413


def test_a_message_that_is_nested_deeply_though_well_formed_is_refused(door: Door) -> None:
    deep = "<x>" * 20_000 + "</x>" * 20_000
    message = outbound([lead("Unqualified")]).decode().replace("<sObject", deep + "<sObject", 1)
    assert door.salesforce(message.encode()).status == 400
    assert door.outbox.written == []


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-20", "2026-W01-1T00:00Z", "24:00", "x"]
)
def test_a_message_with_any_time_is_answered(door: Door, at: str) -> None:
    assert door.salesforce(outbound([lead("Unqualified", LastModifiedDate=at)])).status == 200
    assert len(door.outbox.written) == 1
