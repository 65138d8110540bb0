"""HubSpot and Salesforce behind a real broker: everything that can go wrong, and sales' answers on their way back."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from tests.feedback_bed import FEEDBACK, change, hubspot_headers, outbound, signed
from tests.hubspot_server import HubSpot
from tests.kafka_topics import records_of
from tests.processes import eventually, free_port, leadstream
from tests.relay_bed import SECRETS, hubspot, letters_of, produce, running_relay, salesforce, webhook
from tests.relay_records import AT, DAY, lifecycle, qualification, score
from tests.salesforce_server import Salesforce
from tests.servers import Answer, Heard, Subscriber, post, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One broker for all tests: each has leads and a group of its own, and hears of the others' leads as well."""
    with EmbeddedBroker(data_dir=tmp_path_factory.mktemp("kafka")) as broker:
        ensure_topics(broker.bootstrap, partitions=3)
        yield broker.bootstrap


def profile(lead: str, **more: object) -> dict[str, object]:
    return {"email": f"{lead}@buyer.example", "name": "Vera Lind", "company": "Buyer AG", **more}


def by_lead(crm: HubSpot) -> dict[str | None, dict[str, str]]:
    return {one.get("leadstream_lead_id"): one for one in crm.contacts.values()}


def test_nothing_secret_is_ever_said_and_the_metrics_tell_what_happens(address: str, tmp_path: Path) -> None:
    """Targets that repeat what they were sent, in every way that they can fail."""
    port, metrics_port = free_port(), free_port()
    with serving(_Chatty()) as crm, serving(_Chatty()) as org, serving(_Chatty()) as hook:
        targets = {"crm": hubspot(crm.url), "org": salesforce(org.url), "hook": webhook(hook.url)}
        for target in targets.values():
            target["retry"] = {"attempts": 2, "first": "50ms", "longest": "100ms"}
        produce(address, [qualification("secret", 1, profile=profile("secret"))])
        sections = {"feedback": {**FEEDBACK, "port": port}}
        options = ("--metrics-port", str(metrics_port))
        with running_relay(address, tmp_path, targets, *options, app="chatty", **sections):
            for path in ("/v1/sales-feedback", "/v1/feedback/salesforce/" + SECRETS["SALESFORCE_TOKEN"] + "x"):
                assert post(f"http://127.0.0.1:{port}{path}", b"{}", {"webhook-id": "1"}) == 401
            for name in targets:
                eventually(lambda name=name: _is_parked(address, name, "secret"), f"{name} parks nothing")
            text = _metrics(metrics_port)
            assert 'leads_relay_deliveries_total{outcome="parked",target="hook"}' in text
            assert 'leads_relay_deliveries_total{outcome="retried",target="crm"}' in text
            for name in ("leads_relay_breaker_open", "leads_relay_lag_records", "leads_relay_waiting_events"):
                assert f'{name}{{target="org"}}' in text
            assert 'leads_relay_feedback_total{outcome="unsigned",source="generic"} 1.0' in text
            for probe in ("live", "ready", "started"):
                with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/health/{probe}") as answer:
                    assert answer.status == 200
            hook.always = Answer(204)
            produce(address, [qualification("secret", 2, at=AT + DAY, profile=profile("secret"))])
            delivered = 'leads_relay_delivery_seconds_count{target="hook"}'
            eventually(lambda: delivered in _metrics(metrics_port), "the delivery is not measured")
    told = (tmp_path / "log").read_text() + str(
        [(one["detail"], one["consumer"]) for one in records_of(address, "dead-letters")]
    )
    assert "***" in told, "the targets did not repeat what they were sent"
    for secret in (*SECRETS.values(), "token-given-by-an-org"):
        assert secret not in told


def test_hubspot_has_every_lead_right_in_the_end_whatever_it_did_meanwhile(address: str, tmp_path: Path) -> None:
    leads = [f"hub-{n}" for n in range(30)]
    first = [record for lead in leads for record in _journey(lead)]
    oauth = {"client_id": "c", "client_secret": {"env": "HUBSPOT_SECRET"}, "refresh_token": {"env": "HUBSPOT_REFRESH"}}
    wanted = {one["event_id"] for one in first if "fit_evidence" in one}

    def tasks_of(crm: HubSpot) -> set[str]:
        return {number for number, task in crm.tasks.items() if task["leadstream_event_id"] in wanted}

    with serving(HubSpot()) as crm:
        target = hubspot(crm.url, lead_statuses={"sql": "OPEN"}, oauth=oauth, token=None)
        target = {name: value for name, value in target.items() if value is not None} | {"max_age": None}
        crm.misbehave(
            None,
            Answer(429, {"status": "error", "category": "RATE_LIMITS"}, {"Retry-After": "1"}),
            Answer(401, {"status": "error", "category": "EXPIRED_AUTHENTICATION"}),
            None,
            Answer(502),
            Answer(200, "<html>a proxy's page</html>"),
            Answer(200, wait_s=3.0),
        )
        produce(address, [*first, qualification("hub-bad", 1, profile={"email": "bad@invalid"})])
        with running_relay(address, tmp_path, {"hub": target}, app="hub") as process:
            eventually(lambda: len(tasks_of(crm)) >= 10, "no progress")
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        with running_relay(address, tmp_path, {"hub": target}, app="hub"):
            eventually(lambda: len(tasks_of(crm)) == 30 and letters_of(address, "hub"), "not all arrived")
            eventually(lambda: all(by_lead(crm)[one]["leadstream_sequence"] == "4" for one in leads), "not the newest")
            contact = by_lead(crm)["hub-7"]
            assert (contact["lifecyclestage"], contact["hs_lead_status"]) == ("lead", "OPEN")
            assert contact["leadstream_qualification_id"] == next(
                one["event_id"] for one in first if one["lead_id"] == "hub-7" and "fit_evidence" in one
            )
            assert sum(task in tasks_of(crm) for task, _ in crm.associations) == 30
            assert sum(one["leadstream_lead_id"] in leads for one in crm.contacts.values()) == 30
            # Once, or once more after the kill.
            assert {(one["lead_id"], one["detail"]) for one in letters_of(address, "hub")} == {
                ("hub-bad", "HTTP 400: VALIDATION_ERROR: Property values were not valid: email")
            }
            assert crm.paths().count("POST /oauth/v1/token") >= 2
    sequences = [int(values["leadstream_sequence"]) for key, values in crm.history if key.startswith("hub-7@")]
    assert sequences == sorted(sequences), "an older state overwrote a newer one"


def _journey(lead: str) -> list[dict[str, object]]:
    """To an SQL, and back to a lead because nobody answered."""
    who = profile(lead)
    return [
        lifecycle(lead, 1, "visitor", "lead", "PROFILE", profile=who),
        lifecycle(lead, 2, "lead", "sql", at=AT + 1, profile=who),
        qualification(lead, 3, at=AT + 1, profile=who),
        lifecycle(lead, 4, "sql", "lead", "GAVE_UP", at=AT + 14 * DAY, profile=who),
    ]


def test_salesforce_parks_what_it_can_never_take_and_the_rest_arrives(address: str, tmp_path: Path) -> None:
    leads = ["fine-1", "fine-2", "twice", "converted", "locked"]
    with serving(Salesforce()) as crm:
        crm.ambiguous.add("twice")
        crm.converted.add("converted")
        crm.locked.add("locked")
        crm.misbehave(None, None, Answer(503), Answer(401, [{"errorCode": "INVALID_SESSION_ID", "message": "expired"}]))
        produce(address, [qualification(lead, 1, profile=profile(lead)) for lead in leads])
        with running_relay(address, tmp_path, {"sales": salesforce(crm.url)}, app="sales"):
            eventually(lambda: {"fine-1", "fine-2", "locked"} <= crm.leads.keys(), "not all leads arrived")
            eventually(lambda: letters_of(address, "sales"), "the ambiguous one is not parked")
            (letter,) = letters_of(address, "sales")
            assert letter["lead_id"] == "twice"
            detail = letter["detail"]
            assert "DUPLICATE_EXTERNAL_ID" in detail or "HTTP 300" in detail
            crm.ambiguous.clear()
            options = ("--consumer", "relay:sales", "--bootstrap", address, "--app", "sales")
            done = leadstream("dead-letters", "retry", "--all", *options)
            assert done.returncode == 0, done.stderr
            eventually(lambda: "twice" in crm.leads, "the letter did not come back")
            eventually(lambda: len([one for one in crm.tasks.values() if one["WhoId"]]) >= 4, "tasks are missing")
            erased = lifecycle("fine-2", 2, "sql", "visitor", "ERASED", at=AT + DAY, profile=None)
            produce(address, [score("fine-1", 1, at=AT + DAY), erased])
            eventually(lambda: crm.leads["fine-1"]["Leadstream_Score__c"] == 92.0, "the score is not fresh")
            eventually(lambda: "fine-2" not in crm.leads, "not erased")
    assert "converted" not in crm.leads


def test_answers_come_back_by_every_way_and_only_once_the_broker_has_them(address: str, tmp_path: Path) -> None:
    port = free_port()
    door = f"http://127.0.0.1:{port}/v1"
    with serving(HubSpot()) as crm:
        produce(address, [qualification(f"back-{n}", 1, profile=profile(f"back-{n}")) for n in range(3)])
        sections = {"feedback": {**FEEDBACK, "port": port}}
        targets = {"crm": hubspot(crm.url)}
        with running_relay(address, tmp_path, targets, app="back", **sections):
            eventually(lambda: {f"back-{n}" for n in range(3)} <= by_lead(crm).keys(), "the CRM lacks contacts")
            number = next(i for i, one in crm.contacts.items() if one["leadstream_lead_id"] == "back-0")
            body = json.dumps([change(int(number), "BAD_FIT")]).encode()
            assert post(f"{door}/feedback/hubspot", body, hubspot_headers(body)) == 200
            body = b'{"lead_id": "back-1", "disposition": "MEETING_HELD"}'
            assert post(f"{door}/sales-feedback", body, signed(body, "msg_1")) == 202
            assert post(f"{door}/sales-feedback", body, signed(body, "msg_1")) == 202
            assert post(f"{door}/sales-feedback", body, {}) == 401
            body = outbound([{"Id": "00Q1", "Status": "Working", "Leadstream_Lead_Id__c": "back-2"}])
            way = f"{door}/feedback/salesforce/{SECRETS['SALESFORCE_TOKEN']}"
            assert post(way, body, {}) == 200
            # No waiting: what was answered with 2xx is there.
            answers = records_of(address, "sales-feedback")
            assert {(one["lead_id"], one["disposition"]) for one in answers} == {
                ("back-0", "REJECTED"),
                ("back-1", "MEETING_HELD"),
                ("back-2", "ACCEPTED"),
            }
            sent = next(one for one in answers if one["lead_id"] == "back-0")
            assert sent["qualification_id"] == by_lead(crm)["back-0"]["leadstream_qualification_id"]
            assert len({one["event_id"] for one in answers if one["lead_id"] == "back-1"}) == 1


class _Chatty(Subscriber):
    """Repeats everything that it was sent in its errors, once it has given a token."""

    def respond(self, heard: Heard) -> Answer:
        if heard.path.endswith("/token"):
            return Answer(200, {"access_token": "token-given-by-an-org"})
        said = f"{heard.headers.get('Authorization')} {SECRETS['WEBHOOK_SECRET']} {SECRETS['SALESFORCE_SECRET']}"
        return Answer(500, {"message": said})


def _is_parked(address: str, target: str, lead: str) -> bool:
    return any(one["lead_id"] == lead for one in letters_of(address, target))


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text: str = answer.read().decode()
    return text
