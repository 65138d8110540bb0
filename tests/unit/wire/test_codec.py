"""Records survive the way through either framing, and bad bytes come back as values."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_records import TOPIC_NAMES, page_view, records

from streams.wire import framing
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.registry import RegistryUnavailable
from streams.wire.schemas import Schema, Schemas, shipped


class MemoryRegistry:
    """A registry in memory; `away` makes it give no answer."""

    def __init__(self) -> None:
        self.schemas: list[str] = []
        self.subjects: list[str] = []
        self.away = False
        self.asked = 0

    def register(self, topic: str, schema: str) -> int:
        self._answer()
        self.subjects.append(topic)
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def schema(self, schema_id: int) -> str | None:
        self._answer()
        return self.schemas[schema_id - 1] if 0 < schema_id <= len(self.schemas) else None

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise RegistryUnavailable("away")


def page_view_schema() -> dict[str, Any]:
    declaration = json.loads(shipped().of_topic("page-views").text)
    assert isinstance(declaration, dict)
    return declaration


def written_with(declaration: dict[str, Any], event: dict[str, Any], header: bytes) -> bytes:
    out = io.BytesIO(header)
    out.seek(len(header))
    schemaless_writer(out, parse_schema(json.loads(json.dumps(declaration))), event)
    return out.getvalue()


@pytest.fixture(params=["single object", "registry"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return Codec(MemoryRegistry() if request.param == "registry" else None)


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@pytest.mark.parametrize("registry", [None, MemoryRegistry()], ids=["single-object", "registry"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_record_comes_back_as_it_was(topic: str, registry: MemoryRegistry | None, data: st.DataObject) -> None:
    codec = Codec(registry)
    record = data.draw(records(topic))
    assert codec.decode(topic, codec.encode(topic, record)) == record


def test_without_a_registry_values_are_single_objects_and_with_one_confluents() -> None:
    schema = shipped().of_topic("page-views")
    assert Codec().encode("page-views", page_view())[:10] == b"\xc3\x01" + schema.fingerprint
    registry = MemoryRegistry()
    assert Codec(registry).encode("page-views", page_view())[:5] == b"\x00\x00\x00\x00\x01"
    assert registry.schemas == [schema.text]


def test_a_reader_takes_both_framings_whether_or_not_it_has_a_registry() -> None:
    registry = MemoryRegistry()
    with_registry, without = Codec(registry), Codec()
    assert with_registry.decode("page-views", without.encode("page-views", page_view())) == page_view()
    confluent = with_registry.encode("page-views", page_view())
    assert Codec(registry).decode("page-views", confluent) == page_view()
    bad = without.decode("page-views", confluent)
    assert bad == BadRecord("UNKNOWN_SCHEMA", "schema id 1, and no schema registry is configured")


def test_times_are_integers_and_missing_nullables_none(codec: Codec) -> None:
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1_790_000_000_123, "email_id": "m", "sent_at": 5}
    decoded = codec.decode("email-opens", codec.encode("email-opens", event))
    assert decoded == {**event, "campaign": None, "user_agent": None, "ip": None}
    assert isinstance(decoded, dict)
    assert type(decoded["occurred_at"]) is type(decoded["sent_at"]) is int


def test_a_value_that_the_schema_has_no_field_for_is_refused_not_dropped(codec: Codec) -> None:
    with pytest.raises(ValueError, match="durations_ms"):
        codec.encode("page-views", page_view(durations_ms=3))


def test_a_missing_required_field_is_refused(codec: Codec) -> None:
    with pytest.raises(ValueError, match="url"):
        codec.encode("page-views", {"event_id": "e", "lead_id": "l", "occurred_at": 1})


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_after_a_known_header_never_raise(topic: str, body: bytes) -> None:
    schema = shipped().of_topic(topic)
    decoded = Codec().decode(topic, framing.single_object_header(schema.fingerprint) + body)
    assert isinstance(decoded, dict) or (isinstance(decoded, BadRecord) and decoded.error == "UNDECODABLE")


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=40))
def test_arbitrary_bytes_never_raise(raw: bytes) -> None:
    assert isinstance(Codec().decode("page-views", raw), BadRecord)


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_record_cut_anywhere_is_undecodable(topic: str, data: st.DataObject) -> None:
    codec = Codec()
    raw = codec.encode(topic, data.draw(records(topic)))
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    bad = codec.decode(topic, cut)
    assert isinstance(bad, BadRecord)
    assert bad.error == "UNDECODABLE"


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_never_raises(topic: str, data: st.DataObject) -> None:
    codec = Codec()
    raw = bytearray(codec.encode(topic, data.draw(records(topic))))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(codec.decode(topic, bytes(raw)), dict | BadRecord)


@given(tail=st.binary(min_size=1, max_size=20))
def test_bytes_left_over_are_undecodable(tail: bytes) -> None:
    codec = Codec()
    bad = codec.decode("page-views", codec.encode("page-views", page_view()) + tail)
    assert bad == BadRecord("UNDECODABLE", f"{len(tail)} bytes are left over after the PageView")


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (None, "no value"),
        (b"", "empty"),
        (b'{"url": "x"}', "begins with 7b 22"),
        (b"\xc3", "neither of the known framings"),
        (b"\x00\x00\x01", "neither of the known framings"),
    ],
)
def test_what_is_not_framed_is_undecodable(raw: bytes | None, detail: str) -> None:
    bad = Codec().decode("page-views", raw)
    assert isinstance(bad, BadRecord)
    assert bad.error == "UNDECODABLE"
    assert detail in bad.detail


def test_an_unknown_fingerprint_is_an_unknown_schema() -> None:
    bad = Codec().decode("page-views", b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08body")
    assert bad == BadRecord("UNKNOWN_SCHEMA", "no schema has the CRC-64-AVRO fingerprint 0807060504030201")


def test_another_topics_record_is_undecodable(codec: Codec) -> None:
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1, "asset_id": "a"}
    bad = codec.decode("page-views", codec.encode("downloads", event))
    assert bad == BadRecord("UNDECODABLE", "holds a Download; page-views takes a PageView")


def test_text_that_is_not_utf_8_is_undecodable() -> None:
    raw = Codec().encode("page-views", page_view(url="https://example.com/ANCHOR"))
    bad = Codec().decode("page-views", raw.replace(b"ANCHOR", b"ANCH\xff\xff"))
    assert bad == BadRecord("UNDECODABLE", "a text of the PageView is not UTF-8")


@settings(max_examples=25, deadline=None)
@given(event=records("page-views"))
def test_a_newer_writers_additional_field_is_passed_over(event: dict[str, Any]) -> None:
    newer = page_view_schema()
    newer["fields"].insert(3, {"name": "viewport", "type": ["null", "string"], "default": None})
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("page-views", json.dumps(newer)))
    raw = written_with(newer, {**event, "viewport": "800x600"}, header)
    assert Codec(registry).decode("page-views", raw) == event


def test_an_older_writers_missing_field_gets_its_default() -> None:
    older = page_view_schema()
    older["fields"] = [field for field in older["fields"] if field["name"] != "ip"]
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("page-views", json.dumps(older)))
    event = page_view()
    del event["ip"]
    assert Codec(registry).decode("page-views", written_with(older, event, header)) == page_view()


def test_a_symbol_that_came_later_is_read_as_unknown() -> None:
    newer = json.loads(shipped().of_topic("downloads").text)
    newer["fields"][4]["type"]["symbols"].insert(0, "FREE_TRIAL")
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("downloads", json.dumps(newer)))
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1, "asset_id": "a", "title": None, "url": None}
    codec = Codec(registry)
    for symbol, expected in (("FREE_TRIAL", "UNKNOWN"), ("TOP", "TOP"), ("BOTTOM", "BOTTOM")):
        raw = written_with(newer, {**event, "funnel_stage": symbol}, header)
        assert codec.decode("downloads", raw) == {**event, "funnel_stage": expected}


def test_a_symbol_that_came_later_is_read_as_unknown_in_a_nullable_field_too() -> None:
    newer = json.loads(shipped().of_topic("lead-profiles").text)
    budget = next(field for field in newer["fields"] if field["name"] == "budget")
    budget["type"][1]["symbols"].insert(0, "PENDING")
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("lead-profiles", json.dumps(newer)))
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1, "budget": "PENDING", "need": "CONFIRMED"}
    decoded = Codec(registry).decode("lead-profiles", written_with(newer, event, header))
    assert isinstance(decoded, dict)
    assert (decoded["budget"], decoded["need"], decoded["timeline"]) == ("UNKNOWN", "CONFIRMED", None)


def test_a_default_map_is_not_shared_between_records() -> None:
    older = json.loads(shipped().of_topic("activities").text)
    older["fields"] = [field for field in older["fields"] if field["name"] != "attributes"]
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("activities", json.dumps(older)))
    raw = written_with(older, {"event_id": "e", "lead_id": "l", "occurred_at": 1, "kind": "engaged"}, header)
    codec = Codec(registry)
    first, second = codec.decode("activities", raw), codec.decode("activities", raw)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    first["attributes"]["seen"] = "yes"
    assert second["attributes"] == {}


def test_an_earlier_version_is_found_by_its_fingerprint() -> None:
    older = page_view_schema()
    older["fields"] = [field for field in older["fields"] if field["name"] != "ip"]
    current = shipped().of_topic("page-views")
    schemas = Schemas([current], [Schema.parse(json.dumps(older))])
    header = framing.single_object_header(Schema.parse(json.dumps(older)).fingerprint)
    event = page_view()
    del event["ip"]
    assert Codec(schemas=schemas).decode("page-views", written_with(older, event, header)) == page_view()
    bad = Codec().decode("page-views", written_with(older, event, header))
    assert isinstance(bad, BadRecord)
    assert bad.error == "UNKNOWN_SCHEMA"


def test_a_writers_schema_that_ours_cannot_read_is_undecodable_with_the_reason() -> None:
    foreign = page_view_schema()
    foreign["fields"][3]["type"] = "long"
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("page-views", json.dumps(foreign)))
    bad = Codec(registry).decode("page-views", written_with(foreign, page_view(url=3), header))
    assert isinstance(bad, BadRecord)
    assert bad.error == "UNDECODABLE"
    assert bad.detail.startswith("its schema can't be read as PageView")


@pytest.mark.parametrize(
    "text",
    ["no JSON", '"string"', '{"type": "record", "name": "X", "fields": [{"name": "a", "type": "Y"}]}', "[]"],
)
def test_a_registered_schema_that_is_none_is_an_unknown_schema(text: str) -> None:
    registry = MemoryRegistry()
    header = framing.confluent_header(registry.register("page-views", text))
    bad = Codec(registry).decode("page-views", header + b"body")
    assert isinstance(bad, BadRecord)
    assert bad.error == "UNKNOWN_SCHEMA"
    assert "schema 1 of the registry can't be used" in bad.detail


def test_an_id_that_the_registry_does_not_know_is_an_unknown_schema_and_usable_once_it_is_there() -> None:
    registry = MemoryRegistry()
    codec = Codec(registry)
    raw = b"\x00\x00\x00\x00\x01" + Codec().encode("page-views", page_view())[10:]
    assert codec.decode("page-views", raw) == BadRecord(
        "UNKNOWN_SCHEMA", "the schema registry has no Avro schema with id 1"
    )
    registry.register("page-views", shipped().of_topic("page-views").text)
    assert codec.decode("page-views", raw) == page_view()


def test_a_registry_that_is_away_is_no_fault_of_the_record() -> None:
    registry = MemoryRegistry()
    raw = Codec(registry).encode("page-views", page_view())
    codec = Codec(registry)
    registry.away = True
    with pytest.raises(RegistryUnavailable):
        codec.decode("page-views", raw)
    with pytest.raises(RegistryUnavailable):
        codec.encode("page-views", page_view())
    registry.away = False
    assert codec.decode("page-views", raw) == page_view()


def test_the_registry_is_asked_once_a_schema() -> None:
    registry = MemoryRegistry()
    codec = Codec(registry)
    for _ in range(3):
        codec.decode("page-views", codec.encode("page-views", page_view()))
    assert registry.asked == 2


def test_both_qualification_topics_register_the_same_record_under_their_own_subjects() -> None:
    registry = MemoryRegistry()
    codec = Codec(registry)
    record = {
        "event_id": "e",
        "lead_id": "l",
        "occurred_at": 1,
        "sequence": 1,
        "stage": "MQL",
        "previous_stage": "lead",
        "episode_id": "p",
        "route": "NURTURE",
        "reason": "r",
        "interest": 1.0,
        "fit": 2.0,
        "threshold": 1.0,
        "fit_band": "A",
        "model": "m",
    }
    first, second = (codec.encode(topic, record) for topic in ("mql-events", "sql-events"))
    assert registry.subjects == ["mql-events", "sql-events"]
    assert first == second


def test_doubles_that_are_no_numbers_pass_the_wire_and_are_left_to_validation(codec: Codec) -> None:
    event = {"event_id": "e", "lead_id": "l", "occurred_at": 1, "kind": "k", "value": math.inf}
    decoded = codec.decode("activities", codec.encode("activities", event))
    assert isinstance(decoded, dict)
    assert decoded["value"] == math.inf
