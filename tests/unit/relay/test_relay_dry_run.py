"""The dry run: what would be sent, printed, and nothing sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.relay.dryrun import rehearse
from streams.relay.intake import Raw
from streams.relay.targets import load_targets
from tests.kafka_topics import CODEC
from tests.relay_records import AT, DAY, lifecycle, qualification, score, topic_of

COMMON = "max_age: null"
WEBHOOK = f"{{type: webhook, url: 'https://desk.example/leads', secret: {{env: NOT_SET}}, {COMMON}}}"
HUBSPOT = f"{{type: hubspot, token: {{env: NOT_SET}}, {COMMON}}}"
SALESFORCE = (
    "{type: salesforce, url: 'https://x.my.salesforce.com', "
    f"oauth: {{client_id: c, client_secret: {{env: NOT_SET}}}}, {COMMON}}}"
)


def raws_of(*records: dict[str, Any]) -> list[Raw]:
    return [
        Raw(topic_of(one), 0, offset, one["lead_id"].encode(), CODEC.encode(topic_of(one), one))
        for offset, one in enumerate(records)
    ]


async def rehearsed(
    capsysbinary: pytest.CaptureFixture[bytes], target: str, *records: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """The requests that are printed, and what is said of them."""
    await rehearse(raws_of(*records), load_targets(f"targets: {{crm: {target}}}", "t"), CODEC)
    said = capsysbinary.readouterr()
    return [json.loads(line) for line in said.out.splitlines()], said.err.decode()


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        (WEBHOOK, ["/leads"] * 3),
        (HUBSPOT, ["contacts/batch/read", "contacts/batch/upsert", "tasks/batch/upsert", "contacts/batch/update"]),
        (SALESFORCE, ["/query", "/sobjects/Lead/Leadstream_Lead_Id__c/u1", "/composite/sobjects/Task"]),
    ],
    ids=["webhook", "hubspot", "salesforce"],
)
async def test_every_request_is_printed_in_the_leads_order_without_any_secret(
    capsysbinary: pytest.CaptureFixture[bytes], target: str, paths: list[str]
) -> None:
    records = [score("u1", 2, at=AT + DAY), qualification("u1", 2), lifecycle("u1", 1, "lead", "mql", at=AT - DAY)]
    requests, said = await rehearsed(capsysbinary, target, *records)
    assert said == "crm: 3 would be delivered\n"
    assert all(request.keys() == {"target", "method", "url", "body"} for request in requests)
    urls = [request["url"] for request in requests]
    for path in paths:
        assert any(path in url for url in urls), (path, urls)
    handoffs = [number for number, request in enumerate(requests) if "Booked a demo." in json.dumps(request["body"])]
    assert handoffs, "what sales would read is not shown"


async def test_what_the_file_has_no_use_for_is_counted_with_its_reason(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    records = [qualification("u1", 2), lifecycle("u1", 1, "lead", "mql"), qualification("u2", 1, profile=None)]
    requests, said = await rehearsed(capsysbinary, HUBSPOT, *records)
    assert said == "crm: 1 skipped (no_key), 2 would be delivered\n"
    assert "u2" not in json.dumps(requests)


@pytest.mark.parametrize("cause", ["ERASED", "EXPIRED"])
@pytest.mark.parametrize("target", [HUBSPOT, SALESFORCE], ids=["hubspot", "salesforce"])
async def test_a_lead_that_begins_anew_is_shown_as_it_would_be_delivered(
    capsysbinary: pytest.CaptureFixture[bytes], target: str, cause: str
) -> None:
    forgotten = lifecycle("u1", 6, "sql", "visitor", cause, at=AT + DAY, profile=None)
    records = [qualification("u1", 5), forgotten, qualification("u1", 1, "MQL", at=AT + 2 * DAY)]
    _, said = await rehearsed(capsysbinary, target.replace("max_age", "erase: false, max_age"), *records)
    assert said == "crm: 1 skipped (nothing_to_write), 2 would be delivered\n"


async def test_a_record_that_is_none_is_told_and_the_rest_is_shown(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    broken = Raw("sql-events", 3, 17, b"u1", b"nonsense")
    targets = load_targets(f"targets: {{crm: {WEBHOOK}}}", "t")
    await rehearse([broken, *raws_of(qualification("u2", 1))], targets, CODEC)
    said = capsysbinary.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err.startswith(b"sql-events 3/17: ")
