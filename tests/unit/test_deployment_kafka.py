"""The Kafka that we deploy asks for a login, keeps what it has confirmed, and knows what is made for it."""

from __future__ import annotations

from typing import Any

from tests.deployment import of_kind, quantity, shared_settings


def kafka() -> dict[str, Any]:
    (one,) = of_kind("Kafka")
    return one


def pool(role: str) -> dict[str, Any]:
    (one,) = [one["spec"] for one in of_kind("KafkaNodePool") if one["spec"]["roles"] == [role]]
    found: dict[str, Any] = one
    return found


def test_it_lets_nobody_in_without_tls_and_a_login_that_its_users_have() -> None:
    listeners = kafka()["spec"]["kafka"]["listeners"]
    assert listeners
    settings = shared_settings()
    for listener in listeners:
        assert listener["tls"] is True
        assert listener["authentication"]["type"].upper() == settings["LEADSTREAM_SASL_MECHANISM"]
    assert settings["LEADSTREAM_SECURITY_PROTOCOL"] == "SASL_SSL"
    for user in of_kind("KafkaUser"):
        assert user["spec"]["authentication"] == {"type": listeners[0]["authentication"]["type"]}


def test_it_holds_everybody_to_their_rights() -> None:
    assert kafka()["spec"]["kafka"]["authorization"] == {"type": "simple"}
    for user in of_kind("KafkaUser"):
        assert user["spec"]["authorization"]["type"] == "simple"
        assert user["spec"]["authorization"]["acls"]


def test_pools_topics_and_users_are_of_it_and_it_has_who_looks_after_them() -> None:
    for kind in ("KafkaNodePool", "KafkaTopic", "KafkaUser"):
        for one in of_kind(kind):
            assert one["metadata"]["labels"] == {"strimzi.io/cluster": kafka()["metadata"]["name"]}
    assert kafka()["spec"]["entityOperator"].keys() == {"topicOperator", "userOperator"}


def test_what_it_has_confirmed_outlives_a_broker() -> None:
    config, copies = kafka()["spec"]["kafka"]["config"], pool("broker")["replicas"]
    factors = ("default.replication.factor", "offsets.topic.replication.factor")
    factors += ("transaction.state.log.replication.factor",)
    assert {config[name] for name in factors} == {copies}
    assert {config[name] for name in ("min.insync.replicas", "transaction.state.log.min.isr")} == {copies - 1}
    assert config["unclean.leader.election.enable"] is False
    assert config["auto.create.topics.enable"] is False, "a misspelled topic would be there, with one partition"
    assert pool("controller")["replicas"] % 2 == 1, "an even number votes no better than one less"


def test_its_disks_stay_when_its_pods_go() -> None:
    for role in ("controller", "broker"):
        (volume,) = pool(role)["storage"]["volumes"]
        assert (volume["type"], volume["deleteClaim"]) == ("persistent-claim", False)
        assert quantity(volume["size"]) >= quantity("10Gi")


def test_a_broker_has_memory_beside_its_heap() -> None:
    broker = pool("broker")
    heap = {quantity(f"{broker['jvmOptions'][name].upper()}i") for name in ("-Xms", "-Xmx")}
    assert len(heap) == 1
    memory = {quantity(broker["resources"][name]["memory"]) for name in ("requests", "limits")}
    assert max(heap) <= min(memory) / 2, "page cache is what brokers read from"
