"""The codec against a real schema registry."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from apicurio import Apicurio
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from wire_records import TOPIC_NAMES, page_view

from streams.topics import TOPICS
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.registry import ConfluentRegistry, RegistryRefused, RegistryUnavailable
from streams.wire.schemas import shipped

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def apicurio() -> Iterator[Apicurio]:
    running = Apicurio(Path(tempfile.mkdtemp(prefix="apicurio-")))
    try:
        running.start()
        yield running
    finally:
        running.remove()


def _client(apicurio: Apicurio) -> SchemaRegistryClient:
    """One that asks again: of some hundred requests this registry leaves one without an answer."""
    return SchemaRegistryClient({"url": apicurio.url, "timeout": 10})


def test_a_page_view_goes_through_the_registry_to_another_process_that_knows_only_its_address(
    apicurio: Apicurio,
) -> None:
    raw = Codec(apicurio.url).encode("page-views", page_view())
    assert raw[0] == 0
    assert Codec(apicurio.url).decode("page-views", raw) == page_view()


@pytest.mark.parametrize("topic", TOPIC_NAMES)
def test_every_schema_can_be_registered_and_is_given_back_as_it_was(apicurio: Apicurio, topic: str) -> None:
    registry = ConfluentRegistry(apicurio.url)
    schema = shipped().of_topic(topic)
    text = ConfluentRegistry(apicurio.url).schema(registry.register(topic, schema.text))
    assert text is not None
    assert json.loads(text) == schema.declaration
    client = _client(apicurio)
    assert f"{TOPICS[topic].name}-value" in client.get_subjects()


def test_confluents_own_serialiser_and_ours_read_each_other(apicurio: Apicurio) -> None:
    client = _client(apicurio)
    text = shipped().of_topic("page-views").text
    context = SerializationContext("page-views", MessageField.VALUE)
    theirs = AvroSerializer(client, text)(page_view(), context)
    decoded = Codec(apicurio.url).decode("page-views", theirs)
    assert decoded == page_view()
    ours = Codec(apicurio.url).encode("page-views", page_view())
    read = AvroDeserializer(client)(ours, context)
    assert isinstance(read, dict)
    assert {**read, "occurred_at": None} == page_view(occurred_at=None)


def test_a_tracker_with_a_newer_schema_is_understood(apicurio: Apicurio) -> None:
    newer = json.loads(shipped().of_topic("page-views").text)
    newer["fields"].append({"name": "viewport", "type": ["null", "string"], "default": None})
    client = _client(apicurio)
    context = SerializationContext("page-views", MessageField.VALUE)
    raw = AvroSerializer(client, json.dumps(newer))({**page_view(), "viewport": "800x600"}, context)
    assert Codec(apicurio.url).decode("page-views", raw) == page_view()


def test_an_id_that_the_registry_does_not_know_is_an_unknown_schema(apicurio: Apicurio) -> None:
    bad = Codec(apicurio.url).decode("page-views", b"\x00\x00\x0f\x42\x3fbody")
    assert bad == BadRecord("UNKNOWN_SCHEMA", "the schema registry has no Avro schema with id 999999")


def test_a_schema_that_is_not_avro_is_an_unknown_schema(apicurio: Apicurio) -> None:
    client = _client(apicurio)
    form = 'syntax = "proto3"; message Form { string name = 1; }'
    schema_id = client.register_schema("forms-value", Schema(form, "PROTOBUF"))
    bad = Codec(apicurio.url).decode("page-views", b"\x00" + schema_id.to_bytes(4, "big") + b"{}")
    assert isinstance(bad, BadRecord)
    assert bad.error == "UNKNOWN_SCHEMA"


def test_a_schema_that_breaks_the_subjects_rule_is_refused(apicurio: Apicurio) -> None:
    client = _client(apicurio)
    other = {"type": "record", "name": "Erasure", "fields": [{"name": "lead", "type": "string"}]}
    client.register_schema("erasures-value", Schema(json.dumps(other), "AVRO"))
    client.set_compatibility("erasures-value", "FULL_TRANSITIVE")
    with pytest.raises(RegistryRefused, match="refused to register erasures-value"):
        ConfluentRegistry(apicurio.url).register(
            "erasures", json.dumps({**other, "fields": [{"name": "id", "type": "long"}]})
        )


def test_an_address_beside_the_api_does_not_make_schemas_unknown(apicurio: Apicurio) -> None:
    with pytest.raises(RegistryRefused):
        ConfluentRegistry(apicurio.url.replace("ccompat", "nonsense")).schema(1)


def test_a_registry_that_is_down_makes_the_codec_wait_and_what_it_knew_goes_on() -> None:
    own = Apicurio(Path(tempfile.mkdtemp(prefix="apicurio-")))
    try:
        own.start()
        raw = Codec(own.url).encode("page-views", page_view())
        knows, new = Codec(own.url), Codec(own.url)
        assert knows.decode("page-views", raw) == page_view()
        own.stop()
        assert knows.decode("page-views", raw) == page_view()
        with pytest.raises(RegistryUnavailable, match="can't be reached"):
            new.decode("page-views", raw)
        with pytest.raises(RegistryUnavailable, match="can't be reached"):
            new.encode("page-views", page_view())
        own.start()
        assert new.decode("page-views", new.encode("page-views", page_view())) == page_view()
    finally:
        own.remove()
