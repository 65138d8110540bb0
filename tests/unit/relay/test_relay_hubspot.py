"""HubSpot deliveries against a server that holds every request to HubSpot's own description."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from streams.relay.credentials import Authorized, FixedToken, OAuthToken
from streams.relay.crm import CrmPlan
from streams.relay.exchange import Delivered, HttpSender, Outcome, Rejected, Retry, Skipped
from streams.relay.hubspot.delivery import HubspotDelivery
from streams.relay.hubspot.properties import create_properties
from streams.relay.memory import NOTHING, Remembered
from streams.relay.secrets import Secret
from streams.relay.settings import HubspotTarget, SecretAt
from streams.relay.targets import load_targets
from tests.hubspot_description import check_request
from tests.hubspot_server import HubSpot
from tests.relay_records import AT, DAY, PROFILE, item, lifecycle, qualification, score
from tests.servers import Answer, serving


@pytest.fixture
def crm() -> Iterator[HubSpot]:
    with serving(HubSpot()) as server:
        yield server


@asynccontextmanager
async def account(crm: HubSpot, oauth: bool = False, **settings: Any) -> AsyncIterator[HubspotDelivery]:
    lines = "".join(f", {name}: {value}" for name, value in settings.items())
    text = f"targets: {{crm: {{type: hubspot, url: '{crm.url}', token: {{env: X}}, allow_private: true{lines}}}}}"
    loaded = load_targets(text, "t").targets["crm"]
    http = HttpSender(1.0, allow_private=True)
    refresh = {"grant_type": "refresh_token", "refresh_token": Secret("r"), "client_id": "c"}
    token = OAuthToken(f"{crm.url}/oauth/v1/token", refresh) if oauth else FixedToken(Secret("pat-test"))
    try:
        yield HubspotDelivery(loaded, Authorized(http, token))  # type: ignore[arg-type]
    finally:
        await http.close()


async def deliver(
    target: HubspotDelivery, *records: dict[str, Any], known: Remembered = NOTHING, now: int = AT
) -> list[Outcome]:
    plans = [target.plan(item(record), known, now) for record in records]
    return await target.deliver([plan for plan in plans if not isinstance(plan, Skipped)])


async def test_an_sql_makes_the_contact_and_asks_sales_to_act(crm: HubSpot) -> None:
    async with account(crm, lead_statuses="{sql: OPEN}") as target:
        (outcome,) = await deliver(target, qualification("lead-1", 5))
    assert outcome == Delivered("100")
    contact = crm.contacts["100"]
    expected = {
        "email": PROFILE["email"],
        "firstname": "Vera",
        "lastname": "Lind",
        "company": "Buyer AG",
        "lifecyclestage": "salesqualifiedlead",
        "hs_lead_status": "OPEN",
        "leadstream_lead_id": "lead-1",
        "leadstream_sequence": "5",
        "leadstream_score": "121.25",
        "leadstream_fit_band": "B",
        "leadstream_route": "SALES",
        "leadstream_qualified_until": str(AT + 30 * DAY),
    }
    assert expected.items() <= contact.items()
    ((number, task),) = crm.tasks.items()
    assert task["hs_task_subject"] == "SQL: Vera Lind, Head of Sales at Buyer AG"
    assert task["hs_timestamp"] == str(AT + DAY)
    assert crm.associations == {(number, "100")}


async def test_delivering_again_changes_nothing_and_makes_no_second_task(crm: HubSpot) -> None:
    async with account(crm) as target:
        first = await deliver(target, qualification("lead-1", 5))
        before = ({**crm.contacts}, {**crm.tasks})
        assert await deliver(target, qualification("lead-1", 5)) == first
    assert (crm.contacts, crm.tasks) == before


async def test_what_sales_corrected_stays(crm: HubSpot) -> None:
    crm.contacts["7"] = {"email": PROFILE["email"].upper(), "company": "Buyer Holding", "phone": ""}
    async with account(crm) as target:
        await deliver(target, qualification("lead-1", 5, profile={**PROFILE, "phone": "+46 1"}))
    assert (crm.contacts["7"]["company"], crm.contacts["7"]["phone"]) == ("Buyer Holding", "+46 1")


async def test_a_stage_that_goes_back_is_cleared_first(crm: HubSpot) -> None:
    crm.contacts["7"] = {"email": PROFILE["email"], "lifecyclestage": "salesqualifiedlead"}
    async with account(crm) as target:
        await deliver(target, lifecycle("lead-1", 6, "sql", "lead", "GAVE_UP"), known=Remembered(5, 1, 5, -1, "7"))
    assert crm.contacts["7"]["lifecyclestage"] == "lead"
    assert [values.get("lifecyclestage") for _, values in crm.history] == ["", "lead"]


async def test_a_customer_that_the_event_knows_nothing_of_is_not_taken_back(crm: HubSpot) -> None:
    crm.contacts["7"] = {"email": PROFILE["email"], "lifecyclestage": "customer"}
    async with account(crm) as target:
        await deliver(target, lifecycle("lead-1", 6, "mql", "lead", "COOLED"))
    assert crm.contacts["7"]["lifecyclestage"] == "customer"
    assert crm.contacts["7"]["leadstream_sequence"] == "6"


async def test_a_score_goes_to_a_known_contact_and_touches_nothing_else(crm: HubSpot) -> None:
    crm.contacts["7"] = {"email": PROFILE["email"], "lifecyclestage": "opportunity"}
    async with account(crm) as target:
        assert target.plan(item(score("lead-1", 5)), NOTHING, AT) == Skipped("no_key")
        assert await deliver(target, score("lead-1", 5), known=Remembered(5, 1, 5, -1, "7")) == [Delivered("7")]
        assert await deliver(target, score("lead-1", 5), known=Remembered(5, 1, 5, -1, "404")) == [Skipped("gone")]
    assert crm.contacts["7"]["leadstream_score"] == "92"
    assert crm.contacts["7"]["lifecyclestage"] == "opportunity"


async def test_a_batch_is_one_request_of_each_kind(crm: HubSpot) -> None:
    records = [qualification(f"lead-{n}", 5, profile={**PROFILE, "email": f"v{n}@buyer.example"}) for n in range(100)]
    async with account(crm) as target:
        outcomes = await deliver(target, *records)
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert [path.split()[1].split("/")[-2:] for path in crm.paths()] == [
        ["batch", "read"],
        ["batch", "upsert"],
        ["batch", "upsert"],
        ["associate", "default"],
    ]
    assert len(crm.contacts) == len(crm.tasks) == len(crm.associations) == 100


async def test_two_leads_of_one_address_go_one_after_the_other(crm: HubSpot) -> None:
    async with account(crm) as target:
        outcomes = await deliver(target, qualification("one", 5), qualification("two", 5))
    assert outcomes == [Delivered("100"), Delivered("100")]
    assert crm.contacts["100"]["leadstream_lead_id"] == "two"


async def test_of_a_batch_only_the_bad_entries_fail(crm: HubSpot) -> None:
    addresses = ["a@x.example", "moody@x.example", "b@x.example", "moody-passing@x.example"]
    records = [qualification(one, 5, profile={"email": one}) for one in addresses]
    async with account(crm) as target:
        outcomes = await deliver(target, *records)
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[2], Delivered)
    assert outcomes[1] == Rejected("VALIDATION_ERROR: this one not")
    assert outcomes[3] == Retry("RATE_LIMITS: this one not", target_down=False)
    assert len(crm.tasks) == 2


async def test_a_batch_refused_as_a_whole_is_halved_down_to_the_bad_entry(crm: HubSpot) -> None:
    addresses = [f"{n}@x.example" for n in range(7)] + ["z@invalid"]
    async with account(crm) as target:
        outcomes = await deliver(target, *[qualification(one, 5, profile={"email": one}) for one in addresses])
    assert [type(one) for one in outcomes] == [Delivered] * 7 + [Rejected]
    assert len(crm.contacts) == 7


async def test_an_expired_token_is_fetched_anew_once(crm: HubSpot) -> None:
    async with account(crm, oauth=True) as target:
        await deliver(target, qualification("lead-1", 5))
        crm.token = "rotated"
        assert isinstance((await deliver(target, qualification("lead-1", 6)))[0], Delivered)
    assert crm.paths().count("POST /oauth/v1/token") == 2
    form = next(one for one in crm.heard if one.path == "/oauth/v1/token")
    assert form.body == b"grant_type=refresh_token&refresh_token=r&client_id=c"


async def test_a_wrong_token_is_about_the_target(crm: HubSpot) -> None:
    crm.token = "another"
    async with account(crm) as target:
        (outcome,) = await deliver(target, qualification("lead-1", 5))
    assert isinstance(outcome, Retry)
    assert outcome.target_down
    assert "credentials" in outcome.detail


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (Answer(429, {"status": "error", "category": "RATE_LIMITS", "message": "slow"}, {"Retry-After": "7"}), 7.0),
        (Answer(500), None),
        (Answer(503, None, {"Retry-After": "2"}), 2.0),
        (Answer(200, wait_s=2.0), None),
        (Answer(200, "<html>"), None),
        (Answer(302, None, {"Location": "http://127.0.0.1:1/"}), None),
    ],
    ids=["429", "500", "503", "time-out", "no JSON", "redirect"],
)
async def test_a_target_in_trouble_is_tried_again(crm: HubSpot, answer: Answer, wait_s: float | None) -> None:
    crm.misbehave(answer)
    async with account(crm) as target:
        (outcome,) = await deliver(target, qualification("lead-1", 5))
        assert isinstance(outcome, Retry)
        assert (outcome.wait_s, outcome.target_down) == (wait_s, True)
        assert isinstance((await deliver(target, qualification("lead-1", 5)))[0], Delivered)


async def test_an_erased_lead_is_erased_by_its_id(crm: HubSpot) -> None:
    gone = lifecycle("lead-1", 7, "sql", "visitor", "ERASED", profile=None)
    async with account(crm) as target:
        await deliver(target, qualification("lead-1", 5))
        assert await deliver(target, gone, known=Remembered(5, 1, 5, -1, "100")) == [Delivered()]
        assert await deliver(target, gone) == [Skipped("no_key")]
    assert crm.erased == ["100"]
    assert crm.contacts == {}


async def test_an_import_asks_nobody_to_act(crm: HubSpot) -> None:
    async with account(crm) as target:
        await deliver(target, qualification("lead-1", 5), now=AT + 8 * DAY)
    assert crm.contacts["100"]["leadstream_sequence"] == "5"
    assert crm.tasks == {}


def test_the_description_finds_what_is_wrong() -> None:
    path = "/crm/v3/objects/contacts/batch/upsert"
    assert check_request("POST", path, {"inputs": [{"id": "a", "properties": {"n": "1"}}]}) == []
    assert check_request("POST", path, {"inputs": [{"id": "a", "properties": {"n": 1}}]})
    assert check_request("POST", path, {"inputs": [{"id": "a", "properties": {}, "colour": "red"}]})
    assert check_request("POST", path, {"inputs": [{"id": "a"}]})
    assert check_request("PUT", path, {"inputs": []})


async def test_an_account_without_the_properties_is_the_targets_fault_and_they_can_be_made() -> None:
    with serving(HubSpot(prepared=False)) as crm:
        async with account(crm) as target:
            (outcome,) = await deliver(target, qualification("lead-1", 5))
            assert isinstance(outcome, Retry)
            assert outcome.target_down
            assert "--create-properties" in outcome.detail
            settings = HubspotTarget(type="hubspot", token=SecretAt(env="X"))
            made = await create_properties(target.account, settings)
            assert "leadstream_event_id" in made.created
            assert len(made.created) == 9
            again = await create_properties(target.account, settings)
            assert (again.created, sorted(again.there), again.wrong) == ([], sorted(made.created), [])
            assert await deliver(target, qualification("lead-1", 5)) == [Delivered("100")]
        crm.properties["contacts"]["leadstream_score"]["type"] = "string"
        async with account(crm) as target:
            assert (await create_properties(target.account, settings)).wrong == ["leadstream_score"]


async def test_what_a_lead_says_of_itself_stays_text_in_a_task(crm: HubSpot) -> None:
    profile = {**PROFILE, "name": "<img src=x onerror=alert(1)>"}
    async with account(crm) as target:
        await deliver(target, qualification("lead-1", 5, profile=profile))
    ((_, task),) = crm.tasks.items()
    assert "<img" not in task["hs_task_body"]
    assert "&lt;img src=x onerror=alert(1)&gt;" in task["hs_task_body"]


async def test_an_id_that_was_merged_away_does_not_overwrite_the_contact_that_it_shares(crm: HubSpot) -> None:
    async with account(crm) as target:
        await deliver(target, qualification("u1", 7))
        merged = lifecycle("email:vera@buyer.example", 4, "lead", "visitor", "MERGED", at=AT + DAY, profile=None)
        assert await deliver(target, merged, known=Remembered(3, 1, 0, -1, "100")) == [Skipped("nothing_to_write")]
    assert crm.contacts["100"]["leadstream_lead_id"] == "u1"
    assert crm.contacts["100"]["leadstream_sequence"] == "7"


@pytest.mark.parametrize("body", [{"ok": True}, [], {"results": [{"id": 7}]}, {"results": "none"}, "nothing"])
async def test_an_answer_that_is_not_hubspots_is_about_the_target(crm: HubSpot, body: object) -> None:
    crm.misbehave(None, Answer(200, body))
    async with account(crm) as target:
        (outcome,) = await deliver(target, qualification("lead-1", 5))
    assert isinstance(outcome, Retry)
    assert "without the JSON that HubSpot sends" in outcome.detail


async def test_a_status_is_written_once_a_stage_and_is_sales_own_from_then_on(crm: HubSpot) -> None:
    known = NOTHING
    records = [
        qualification("lead-1", 5),
        lifecycle("lead-1", 6, "mql", "sql"),
        lifecycle("lead-1", 7, "sql", "sql", "SLA_BREACHED", at=AT + DAY),
        score("lead-1", 7, at=AT + DAY + 1, stage="sql"),
        lifecycle("lead-1", 8, "sql", "lead", "FEEDBACK", at=AT + 2 * DAY),
        qualification("lead-1", 9, at=AT + 3 * DAY),
    ]
    statuses = []
    async with account(crm, lead_statuses="{sql: OPEN}") as target:
        for record in records:
            plan = target.plan(item(record), known, AT)
            assert isinstance(plan, CrmPlan)
            assert await target.deliver([plan]) == [Delivered("100")]
            known = msgspec.structs.replace(plan.remember, crm_id="100")
            statuses.append(crm.contacts["100"]["hs_lead_status"])
            crm.contacts["100"]["hs_lead_status"] = "IN_PROGRESS"
    assert statuses == ["OPEN", *["IN_PROGRESS"] * 4, "OPEN"]
