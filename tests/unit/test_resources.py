"""What holds Kubernetes resources to their schemas finds every mistake that it is there to find."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.resources import CRDS, faults

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
#: Where a schema takes any name: settings of Kafka, quantities of resources, labels, and what only PromQL knows.
FREE = {"config", "requests", "limits", "labels", "annotations", "matchLabels"}


def one_of_each() -> dict[str, dict[str, Any]]:
    """A custom resource of each kind that we deploy: the shortest one."""
    found: dict[str, dict[str, Any]] = {}
    for path in (*KUBERNETES.glob("base/*.yaml"), *KUBERNETES.glob("kafka/*.yaml")):
        for one in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            if (CRDS / f"{one['kind']}.json").exists():
                found[one["kind"]] = min(one, found.get(one["kind"], one), key=lambda each: len(json.dumps(each)))
    return found


RESOURCES = one_of_each()
Keys = tuple[str | int, ...]


def places(value: Any, at: Keys = ()) -> Iterator[Keys]:
    """The keys to everything in a resource; in lists to the first and the last."""
    if isinstance(value, dict):
        held: dict[Any, Any] = value
    elif isinstance(value, list) and value:
        held = {0: value[0], len(value) - 1: value[-1]}
    else:
        held = {}
    for key, one in held.items():
        yield (*at, key)
        yield from places(one, (*at, key))


def changed(resource: dict[str, Any], at: Keys, change: Callable[[Any, Any], None]) -> list[str]:
    """What is wrong with a copy in which what holds the place `at` was changed."""
    made = copy.deepcopy(resource)
    holder: Any = made
    for key in at[:-1]:
        holder = holder[key]
    change(holder, at[-1])
    return faults(made, list(RESOURCES.values()))


def of(kind: str, **spec: Any) -> list[str]:
    """What is wrong with our resource of a kind when it says this as well."""
    resource = RESOURCES[kind]
    return faults({**resource, "spec": {**resource["spec"], **spec}}, list(RESOURCES.values()))


def test_there_is_a_schema_of_every_kind_and_nothing_wrong_with_ours() -> None:
    assert {f"{kind}.json" for kind in RESOURCES} | {"scalers.json", "versions.json"} == {
        path.name for path in CRDS.glob("*.json")
    }
    for resource in RESOURCES.values():
        assert faults(resource, list(RESOURCES.values())) == []


def test_a_schema_says_where_it_is_from() -> None:
    readme = (CRDS / "README.md").read_text()
    for path in CRDS.glob("*.json"):
        source = json.loads(path.read_text())["source"]
        assert len(source["commit"]) == 40
        assert f"({source['project']}) | {source['release']} | {source['licence']} |" in readme


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_misspelled_field_is_a_fault_wherever_names_are_not_free(kind: str) -> None:
    def misspell(holder: Any, key: Any) -> None:
        holder[f"{key}s"] = holder.pop(key)

    for at in places(RESOURCES[kind]):
        if (
            isinstance(at[-1], str)
            and not FREE & set(at[:-1])
            and at not in {("kind",), ("apiVersion",), ("metadata",)}
        ):
            assert changed(RESOURCES[kind], at, misspell), at


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_wrong_type_is_a_fault_everywhere_but_in_kafkas_settings(kind: str) -> None:
    def falsify(holder: Any, key: Any) -> None:
        holder[key] = [] if isinstance(holder[key], dict) else {}

    for at in places(RESOURCES[kind]):
        if "config" not in at[:-1] and at not in {("kind",), ("apiVersion",)}:
            assert changed(RESOURCES[kind], at, falsify), at


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("KafkaTopic", {"partitions": "12"}),
        ("KafkaTopic", {"partitions": 0}),
        ("KafkaTopic", {"partitions": True}),
        ("KafkaNodePool", {"roles": ["brokers"]}),
        ("KafkaNodePool", {"roles": None}),
        ("KafkaNodePool", {"resources": {"requests": {"cpu": 1.5}}}),
        ("KafkaUser", {"authentication": {"type": "scram-sha-256"}}),
        ("KafkaUser", {"authentication": {"type": "scram-sha-512", "validityDays": 30}}),
        ("KafkaUser", {"authentication": {"type": "tls", "validityDays": 30}}),
        ("KafkaUser", {"authentication": {"type": "tls", "validityDays": 30, "renewalDays": 30}}),
        ("Kafka", {"kafka": {"rack": {"topologyKey": "zone"}, "listeners": []}}),
        ("Kafka", {"kafka": {**RESOURCES["Kafka"]["spec"]["kafka"], "version": "4.1.0"}}),
        ("ScaledObject", {"minReplicaCount": 11}),
        ("ScaledObject", {"maxReplicaCount": 2**31}),
        ("ScaledObject", {"triggers": [{"type": "cpu", "metadata": {"value": 60}}]}),
        ("ScaledObject", {"triggers": [{"type": "cpu", "metadata": {"values": "60"}}]}),
        ("ScaledObject", {"triggers": [{"type": "cpu", "metadata": {"value": "60", "type": "Utilization"}}]}),
        ("ScaledObject", {"triggers": [{"type": "cpu", "metadata": {"value": "60"}, "metricType": "Utilisation"}]}),
        ("ScaledObject", {"triggers": [{"type": "cron", "metadata": {}}]}),
        ("ServiceMonitor", {"endpoints": [{"port": "metrics", "interval": "15 seconds"}]}),
        ("PrometheusRule", {"groups": [{"name": "a", "rules": []}, {"name": "a", "rules": []}]}),
        ("PrometheusRule", {"groups": [{"name": "a", "rules": [{"alert": "A", "expr": "up", "for": "soon"}]}]}),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
def test_a_wrong_value_is_a_fault(kind: str, spec: dict[str, Any]) -> None:
    assert of(kind, **spec)


def with_trigger(**change: str | None) -> list[str]:
    """What is wrong with a trigger by lag, in which some entries are others, or None and not there."""
    metadata = {"bootstrapServers": "b:9093", "consumerGroup": "g", "sasl": "scram_sha512", "tls": "enable", **change}
    said = {name: value for name, value in metadata.items() if value is not None}
    login = {"name": "leadstream-autoscaler"}
    return of("ScaledObject", triggers=[{"type": "kafka", "metadata": said, "authenticationRef": login}])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sasl": "scram_sha_512"}, "none of"),
        ({"consumerGroups": "g"}, "takes no consumerGroups"),
        ({"password": "open"}, "takes no password"),
        ({"bootstrapServers": None}, "needs bootstrapServers"),
        ({"lagThreshold": "5k"}, "no number"),
        ({"allowIdleConsumers": "yes"}, "no truth value"),
    ],
    ids=[
        "a mechanism that there is not",
        "a misspelled name",
        "a secret in the open",
        "what it can not do without",
        "a number in words",
        "a truth value in words",
    ],
)
def test_a_trigger_is_held_to_what_its_scaler_takes(change: dict[str, str | None], says: str) -> None:
    assert with_trigger() == []
    (fault,) = with_trigger(**change)
    assert says in fault


def test_a_version_that_its_operator_does_not_serve_is_a_fault() -> None:
    assert faults({**RESOURCES["Kafka"], "apiVersion": "kafka.strimzi.io/v1beta2"})
    assert faults({**RESOURCES["Kafka"], "kind": "Kafkas"})
