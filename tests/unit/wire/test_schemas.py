"""The schema files say what the interface page says, in the forms that readers rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastavro.schema import fingerprint

from streams.topics import INPUT_TOPICS, TOPICS
from streams.wire.schemas import Schema, SchemaMissing, Schemas, shipped, shipped_directory

INPUT = ["event_id", "lead_id", "occurred_at"]
SUMMARY = (
    "email? name? phone? company? company_domain? job_title? country? crm_id? budget? authority? need? "
    "timeline? expected_amount? unsubscribed?"
)
FIELDS = {
    "PageView": "url duration_ms? session_id? referrer? title? utm_source? utm_medium? utm_campaign? "
    "anonymous_id? user_agent? ip?",
    "EmailOpen": "email_id campaign? sent_at? user_agent? ip?",
    "Download": "asset_id funnel_stage title? url?",
    "DemoBooking": "booking_id status scheduled_for? product?",
    "Activity": "kind subject? value? attributes",
    "LeadProfile": "email? name? phone? company? company_domain? industry? employees? annual_revenue? "
    "job_title? seniority? department? country? crm_id? budget? authority? need? timeline? "
    "expected_amount? unsubscribed? attributes",
    "SalesFeedback": "disposition qualification_id? reason? amount? actor?",
    "IdentityLink": "anonymous_id revoked",
    "Erasure": "requested_by?",
    "Stray": "forwarded? merged? linked? forgotten? arrival? app?",
    "Qualification": "sequence stage previous_stage episode_id route path? reason interest fit threshold "
    "fit_band qualified_until? respond_by? model groups evidence fit_evidence first_touch? "
    "last_touch? profile?",
    "LifecycleEvent": "sequence episode_id? from_stage to_stage cause reason? qualification_id? route "
    "interest fit respond_by? model profile?",
    "LeadScore": "lead_id as_of stage interest fit fit_band route qualified_until? sequence model",
    "DeadLetter": "consumer topic partition offset lead_id? key? value? size sha256 error detail seen_at",
    "GroupScore": "group raw half_life_s floor? cap? clamped",
    "Contribution": "name kind subject? group points points_now occurred_at",
    "FitPoint": "name points",
    "Touch": "source? medium? campaign? referrer? url? occurred_at",
    "LeadSummary": SUMMARY,
    "ForwardedEvent": "topic partition offset timestamp key value hops passed",
    "MergedState": "passed state half_lives",
    "LinkedAddress": "to",
    "ForgottenAlias": "target until? erased",
}
SYMBOLS = {
    "FunnelStage": "TOP MIDDLE BOTTOM UNKNOWN",
    "BookingStatus": "BOOKED RESCHEDULED CANCELLED ATTENDED NO_SHOW UNKNOWN",
    "BantAnswer": "CONFIRMED ABSENT UNKNOWN",
    "Disposition": "ACCEPTED REJECTED MEETING_HELD OPPORTUNITY WON LOST UNKNOWN",
    "QualifiedStage": "MQL SQL UNKNOWN",
    "Stage": "visitor lead mql sql opportunity customer disqualified UNKNOWN",
    "Route": "SALES NURTURE LOW_TOUCH NONE UNKNOWN",
    "Cause": "QUALIFIED COOLED ROSE FEEDBACK PROFILE PERSONA IDENTIFIED MERGED LOW_TOUCH SLA_BREACHED "
    "GAVE_UP REST_ENDED INACTIVE ERASED EXPIRED MODEL_CHANGED UNKNOWN",
    "DeadLetterError": "UNDECODABLE UNKNOWN_SCHEMA INVALID TOO_OLD TOO_LARGE EMPTY_KEY LOOP DELIVERY_FAILED UNKNOWN",
}
HAS_PREFIX = {topic.record for topic in INPUT_TOPICS} | {"Stray", "Qualification", "LifecycleEvent"}
FILES = sorted(Path(str(shipped_directory())).glob("*.avsc"))


def named_types(avro: Any) -> Iterator[dict[str, Any]]:
    if isinstance(avro, list):
        for one in avro:
            yield from named_types(one)
    elif isinstance(avro, dict):
        if avro.get("type") in ("record", "enum"):
            yield avro
        for one in [*avro.get("fields", ()), avro.get("type"), avro.get("items"), avro.get("values")]:
            yield from named_types(one)


ALL_TYPES = [one for file in FILES for one in named_types(json.loads(file.read_text()))]
RECORDS = [one for one in ALL_TYPES if one["type"] == "record"]
ENUMS = [one for one in ALL_TYPES if one["type"] == "enum"]


def nullable(field: dict[str, Any]) -> bool:
    return isinstance(field["type"], list)


def test_every_topic_has_a_schema_and_every_file_a_topic() -> None:
    named_after_topics = {topic.name for topic in TOPICS.values()} - {"mql-events", "sql-events"}
    assert {file.stem for file in FILES} == named_after_topics | {"qualification"}
    for topic in TOPICS.values():
        assert shipped().of_topic(topic.name).record == topic.record


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_its_topics_record_in_our_namespace(file: Path) -> None:
    declaration = json.loads(file.read_text())
    expected = "Qualification" if file.stem == "qualification" else TOPICS[file.stem].record
    assert (declaration["name"], declaration["namespace"]) == (expected, "leadstream.v1")


@pytest.mark.parametrize("record", RECORDS, ids=lambda one: one["name"])
def test_a_record_has_the_fields_of_the_interface_page_in_order(record: dict[str, Any]) -> None:
    prefix = INPUT if record["name"] in HAS_PREFIX else []
    expected = [*prefix, *FIELDS[record["name"]].split()]
    assert [field["name"] + "?" * nullable(field) for field in record["fields"]] == expected


@pytest.mark.parametrize("enum", ENUMS, ids=lambda one: one["name"])
def test_an_enum_has_its_symbols_and_reads_a_strange_one_as_unknown(enum: dict[str, Any]) -> None:
    assert enum["symbols"] == SYMBOLS[enum["name"]].split()
    assert enum["default"] == "UNKNOWN"


@pytest.mark.parametrize("record", RECORDS, ids=lambda one: one["name"])
def test_every_field_is_documented_and_what_may_be_missing_is_null_by_default(record: dict[str, Any]) -> None:
    assert record["doc"].endswith(".")
    for field in record["fields"]:
        assert field["doc"].endswith("."), field["name"]
        if nullable(field):
            assert field["type"][0] == "null", field["name"]
            assert len(field["type"]) == 2, field["name"]
            assert field["default"] is None, field["name"]


def test_every_time_is_in_milliseconds() -> None:
    text = "".join(file.read_text() for file in FILES)
    assert text.count('"logicalType"') == text.count('"logicalType": "timestamp-millis"') > 0
    names = {
        field["name"]
        for record in RECORDS
        for field in record["fields"]
        if "timestamp-millis" in json.dumps(field["type"]) and "fields" not in json.dumps(field["type"])
    }
    assert names == {
        *("occurred_at", "sent_at", "scheduled_for", "qualified_until", "respond_by", "as_of", "seen_at"),
        *("timestamp", "arrival", "until"),
    }


def test_a_type_that_stands_in_several_files_is_the_same_in_each() -> None:
    first: dict[str, dict[str, Any]] = {}
    for one in ALL_TYPES:
        assert one == first.setdefault(one["name"], one), one["name"]
    assert sum(one["name"] == "LeadSummary" for one in ALL_TYPES) == 2


def test_a_fingerprint_is_the_little_endian_crc_64_avro_of_the_canonical_form() -> None:
    # The specification's own example: the fingerprint of "int" is 0x7275d51a3f395c8f.
    assert bytes.fromhex(fingerprint('"int"', "CRC-64-AVRO")) == 0x7275D51A3F395C8F.to_bytes(8, "little")
    schema = shipped().of_topic("page-views")
    assert shipped().by_fingerprint(schema.fingerprint) is schema


def test_fingerprints_differ_between_records() -> None:
    schemas = {topic.record: shipped().of_topic(topic.name) for topic in TOPICS.values()}
    assert len({schema.fingerprint for schema in schemas.values()}) == len(schemas)


def test_documentation_and_logical_types_do_not_change_a_fingerprint() -> None:
    text = '{"type": "record", "name": "N", "doc": "x", "fields": [{"name": "t", "type": %s, "doc": "y"}]}'
    timed = Schema.parse(text % '{"type": "long", "logicalType": "timestamp-millis"}')
    plain = Schema.parse('{"type": "record", "name": "N", "fields": [{"name": "t", "type": "long"}]}')
    assert timed.fingerprint == plain.fingerprint


def test_an_incomplete_directory_is_named_when_the_schema_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(SchemaMissing, match=r"PageView \(topic page-views\)"):
        Schemas.load(tmp_path).of_topic("page-views")
