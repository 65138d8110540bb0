"""The parts of the compose file fit together: its schema says nothing of that."""

from __future__ import annotations

from typing import Any

from tests.deployment import COMPOSE, compose, ours

SERVICES: dict[str, Any] = compose()["services"]


def listeners(which: str) -> dict[str, str]:
    """Kafka's listeners, or where it says that they are, by name."""
    return dict(one.split("://") for one in SERVICES["kafka"]["environment"][which].split(","))


def test_everybody_finds_kafka_where_it_says_that_it_is() -> None:
    listening, advertised = listeners("KAFKA_LISTENERS"), listeners("KAFKA_ADVERTISED_LISTENERS")
    assert advertised["INSIDE"] == f"kafka{listening['INSIDE']}"
    for name, service in ours().items():
        assert service["environment"]["LEADSTREAM_BOOTSTRAP"] == advertised["INSIDE"], name
    (published,) = SERVICES["kafka"]["ports"]
    assert published == advertised["MACHINE"] + listening["MACHINE"]


def test_a_port_is_published_from_where_its_program_listens() -> None:
    ports = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one and name != "kafka"}
    assert ports == {
        "collector": ["127.0.0.1:8080:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_a_broker_alone_keeps_one_copy_of_everything() -> None:
    said = SERVICES["kafka"]["environment"]
    for setting in ("DEFAULT", "OFFSETS_TOPIC", "TRANSACTION_STATE_LOG"):
        assert said[f"KAFKA_{setting}_REPLICATION_FACTOR"] == "1"
    assert said["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"] == "1"
    topics = SERVICES["topics"]["command"]
    assert topics[topics.index("--replication-factor") + 1] == "1"


def test_what_is_mounted_is_there_and_what_is_kept_is_in_a_volume() -> None:
    kept = {}
    for name, service in SERVICES.items():
        for source, inside, *_ in (one.split(":") for one in service.get("volumes", ())):
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), source
            else:
                kept[source] = (name, inside)
    assert kept.keys() == compose()["volumes"].keys()
    assert kept["kafka"] == ("kafka", SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"])
    words = SERVICES["prometheus"]["command"]
    assert f"--storage.tsdb.path={kept['prometheus'][1]}" in words
    (retention,) = [int(word.split("=")[1].removesuffix("d")) for word in words if "retention.time" in word]
    assert retention >= 56, "an alert compares four weeks with the four before"


def test_grafana_finds_the_dashboards_where_its_provisioning_says() -> None:
    provisioning = COMPOSE.parent / "../grafana/provisioning/dashboards/leadstream.yaml"
    (inside,) = [
        one.split(":")[1] for one in SERVICES["grafana"]["volumes"] if one.startswith("../grafana/dashboards:")
    ]
    assert f"path: {inside}\n" in provisioning.read_text()
    assert "../grafana/provisioning:/etc/grafana/provisioning:ro" in SERVICES["grafana"]["volumes"]


def test_a_relay_finds_its_targets() -> None:
    words = SERVICES["relay"]["command"]
    assert f"./targets.yaml:{words[words.index('--targets') + 1]}:ro" in SERVICES["relay"]["volumes"]
