"""Salesforce deliveries against a server that keeps the rules of its REST API guide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streams.relay.credentials import Authorized, OAuthToken
from streams.relay.exchange import Delivered, HttpSender, Outcome, Rejected, Retry, Skipped
from streams.relay.memory import NOTHING, Remembered
from streams.relay.salesforce import SalesforceDelivery
from streams.relay.secrets import Secret
from streams.relay.targets import load_targets
from tests.relay_records import AT, DAY, PROFILE, item, lifecycle, qualification, score
from tests.salesforce_server import Salesforce
from tests.servers import Answer, serving


@pytest.fixture
def crm() -> Iterator[Salesforce]:
    with serving(Salesforce()) as server:
        yield server


@asynccontextmanager
async def org(crm: Salesforce, **settings: Any) -> AsyncIterator[SalesforceDelivery]:
    lines = "".join(f", {name}: {value}" for name, value in settings.items())
    text = (
        f"targets: {{crm: {{type: salesforce, url: '{crm.url}', allow_private: true, "
        f"oauth: {{client_id: c, client_secret: {{env: X}}}}{lines}}}}}"
    )
    http = HttpSender(1.0, allow_private=True)
    grant = {"grant_type": "client_credentials", "client_id": "c", "client_secret": Secret("s")}
    sender = Authorized(http, OAuthToken(f"{crm.url}/services/oauth2/token", grant))
    try:
        yield SalesforceDelivery(load_targets(text, "t").targets["crm"], sender)  # type: ignore[arg-type]
    finally:
        await http.close()


async def deliver(
    target: SalesforceDelivery, *records: dict[str, Any], known: Remembered = NOTHING, now: int = AT
) -> list[Outcome]:
    plans = [target.plan(item(record), known, now) for record in records]
    return await target.deliver([plan for plan in plans if not isinstance(plan, Skipped)])


@pytest.mark.parametrize("others", [0, 3], ids=["alone", "in a batch"])
async def test_an_sql_makes_the_lead_and_asks_sales_to_act(crm: Salesforce, others: int) -> None:
    records = [qualification(f"o'lead\\{n}/ä", 5) for n in range(others + 1)]
    async with org(crm, statuses="{sql: Working}") as target:
        outcomes = await deliver(target, *records)
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert len(crm.leads) == len(crm.tasks) == others + 1
    lead = crm.leads["o'lead\\0/ä"]
    expected = {
        "LastName": "Lind",
        "FirstName": "Vera",
        "Company": "Buyer AG",
        "Email": PROFILE["email"],
        "Status": "Working",
        "Leadstream_Score__c": 121.25,
        "Leadstream_Qualified_Until__c": "2026-12-01T09:00:00.000Z",
    }
    assert expected.items() <= lead.items()
    task = crm.tasks[records[0]["event_id"]]
    assert (task["WhoId"], task["ActivityDate"], task["Priority"]) == (lead["Id"], "2026-11-02", "High")


@pytest.mark.parametrize("lead_id", [".", "..", "../x", "a%2Fb", "?q#f"])
async def test_an_id_that_looks_like_a_path_is_an_id(crm: Salesforce, lead_id: str) -> None:
    async with org(crm) as target:
        (outcome,) = await deliver(target, qualification(lead_id, 5))
        assert isinstance(outcome, Delivered)
        assert list(crm.leads) == [lead_id]
        gone = lifecycle(lead_id, 6, "sql", "visitor", "ERASED", profile=None)
        assert await deliver(target, gone) == [Delivered()]
    assert crm.leads == {}


async def test_names_are_stood_in_for_until_they_are_known(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("lead-1", 5, profile={"email": PROFILE["email"]}))
        assert (crm.leads["lead-1"]["LastName"], crm.leads["lead-1"]["Company"]) == ("[not known]", "[not known]")
        await deliver(target, qualification("lead-1", 6))
        assert (crm.leads["lead-1"]["LastName"], crm.leads["lead-1"]["Company"]) == ("Lind", "Buyer AG")
        crm.leads["lead-1"]["Company"] = "Buyer Holding"
        await deliver(target, qualification("lead-1", 7))
        assert crm.leads["lead-1"]["Company"] == "Buyer Holding"


async def test_delivering_again_changes_nothing(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("lead-1", 5))
        before = ({**crm.leads}, {**crm.tasks})
        await deliver(target, qualification("lead-1", 5))
    assert (crm.leads, crm.tasks) == before


async def test_an_ambiguous_lead_is_parked_with_the_leads_that_it_could_be(crm: Salesforce) -> None:
    crm.ambiguous.add("twice")
    async with org(crm) as target:
        (alone,) = await deliver(target, qualification("twice", 5))
        assert isinstance(alone, Rejected)
        assert "HTTP 300: 2 Leads" in alone.detail
        assert "00Q1" in alone.detail
        good, bad = await deliver(target, qualification("once", 5), qualification("twice", 5))
    assert isinstance(good, Delivered)
    assert isinstance(bad, Rejected)
    assert bad.detail.startswith("DUPLICATE_EXTERNAL_ID: Leadstream_Lead_Id__c: more than one")
    assert len(crm.tasks) == 1


async def test_of_a_batch_only_what_failed_is_tried_again(crm: Salesforce) -> None:
    crm.locked.add("locked")
    crm.converted.add("converted")
    async with org(crm) as target:
        outcomes = await deliver(target, *[qualification(one, 5) for one in ("fine", "locked", "converted")])
        assert isinstance(outcomes[0], Delivered)
        assert outcomes[1] == Retry(
            "UNABLE_TO_LOCK_ROW: unable to obtain exclusive access to this record", target_down=False
        )
        assert outcomes[2] == Skipped("converted")
        assert isinstance((await deliver(target, qualification("locked", 5)))[0], Delivered)


async def test_an_expired_session_is_renewed_once(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("lead-1", 5))
        crm.token = "session-2"
        assert isinstance((await deliver(target, qualification("lead-1", 6)))[0], Delivered)
    assert crm.tokens_given == 2


async def test_a_token_that_is_not_given_is_about_the_target(crm: Salesforce) -> None:
    crm.always = Answer(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
    async with org(crm) as target:
        (outcome,) = await deliver(target, qualification("lead-1", 5))
    assert outcome == Retry("no access token: HTTP 400: invalid_client: invalid client credentials")


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [(Answer(429, None, {"Retry-After": "7"}), 7.0), (Answer(503), None), (Answer(200, wait_s=2.0), None)],
    ids=["429", "503", "time-out"],
)
async def test_an_org_in_trouble_is_tried_again(crm: Salesforce, answer: Answer, wait_s: float | None) -> None:
    crm.misbehave(None, answer)
    async with org(crm) as target:
        (outcome,) = await deliver(target, qualification("lead-1", 5))
        assert isinstance(outcome, Retry)
        assert (outcome.wait_s, outcome.target_down) == (wait_s, True)
        assert isinstance((await deliver(target, qualification("lead-1", 5)))[0], Delivered)


async def test_scores_and_stages_follow_but_make_no_lead(crm: Salesforce) -> None:
    async with org(crm) as target:
        assert target.plan(item(score("lead-1", 5)), NOTHING, AT) == Skipped("no_key")
        await deliver(target, qualification("lead-1", 5))
        known = Remembered(5, AT, 5, -1, "00Q0")
        await deliver(target, score("lead-1", 5, at=AT + DAY), known=known)
        await deliver(target, lifecycle("lead-1", 6, "sql", "lead", "GAVE_UP", at=AT + DAY), known=known)
    assert crm.leads["lead-1"]["Leadstream_Stage__c"] == "lead"
    assert len(crm.leads) == 1


async def test_an_erased_lead_is_deleted(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("lead-1", 5))
        gone = lifecycle("lead-1", 7, "sql", "visitor", "ERASED", profile=None)
        assert await deliver(target, gone) == [Delivered()]
        assert await deliver(target, gone) == [Delivered()], "a lead that is gone already is erased"
    assert crm.leads == {}


async def test_every_lead_that_has_the_id_is_erased(crm: Salesforce) -> None:
    async with org(crm) as target:
        crm.misbehave(None, Answer(200, {"records": [{"Id": "00Q7"}, {"Id": "00Q8"}]}))
        assert await deliver(target, lifecycle("twice", 7, "sql", "visitor", "ERASED", profile=None)) == [Delivered()]
    sent = [path.rpartition("/")[2] for path in crm.paths() if path.startswith("DELETE ")]
    assert sent == ["00Q7", "00Q8"]


async def test_a_field_that_the_relay_may_not_see_is_not_taken_for_a_lead_that_is_gone(crm: Salesforce) -> None:
    crm.misbehave(None, Answer(400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}]))
    async with org(crm) as target:
        (outcome,) = await deliver(target, lifecycle("l", 7, "sql", "visitor", "ERASED", profile=None))
    assert isinstance(outcome, Retry)


async def test_what_is_too_long_for_salesforce_is_cut_and_the_lead_arrives(crm: Salesforce) -> None:
    wordy = {**PROFILE, "name": f"{'V' * 100} {'L' * 100}", "company": "B" * 900, "job_title": "T" * 900}
    async with org(crm) as target:
        (outcome,) = await deliver(target, qualification("wordy", 5, profile=wordy))
    assert isinstance(outcome, Delivered)
    lead = crm.leads["wordy"]
    assert [len(lead[name]) for name in ("FirstName", "LastName", "Company", "Title")] == [40, 80, 255, 128]


async def test_ids_that_differ_in_case_alone_are_one_lead_and_nothing_known_is_overwritten(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("Lead-1", 5))
        crm.leads["Lead-1"]["LastName"] = "Berg"
        unnamed = {"email": PROFILE["email"]}
        await deliver(target, qualification("lead-1", 6, profile=unnamed), qualification("LEAD-1", 7, profile=unnamed))
    assert list(crm.leads) == ["Lead-1"]
    assert crm.leads["Lead-1"]["LastName"] == "Berg"
    assert crm.leads["Lead-1"]["Leadstream_Sequence__c"] == 7


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}]), "check which fields the org has"),
        (Answer(404, [{"errorCode": "NOT_FOUND", "message": "no such external id"}]), "check which fields the org has"),
        (Answer(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "limit"}]), "REQUEST_LIMIT_EXCEEDED"),
        (Answer(200, {"ok": True}), "without the JSON that Salesforce sends"),
        (Answer(200, "nothing"), "without the JSON that Salesforce sends"),
    ],
)
async def test_what_is_about_the_org_parks_nothing(crm: Salesforce, answer: Answer, words: str) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("lead-0", 5))
        for good_before in range(3):
            crm.misbehave(*[None] * good_before, answer)
            (outcome,) = await deliver(target, qualification(f"lead-{good_before}", 6))
            assert isinstance(outcome, Retry), outcome
            assert outcome.target_down
            assert words in outcome.detail


async def test_an_update_without_a_body_is_one_all_the_same(crm: Salesforce) -> None:
    async with org(crm) as target:
        await deliver(target, qualification("lead-1", 5))
        crm.misbehave(None, Answer(204))
        assert await deliver(target, qualification("lead-1", 6)) == [Delivered(crm.leads["lead-1"]["Id"])]
