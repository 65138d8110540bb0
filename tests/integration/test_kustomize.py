"""The overlays as a cluster would get them. `tests/unit/test_deployment.py` checks their parts without kustomize."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams import __version__
from streams.relay.building import build
from streams.relay.targets import load_targets
from tests.kustomize import built, kustomize
from tests.relay_bed import SECRETS
from tests.resources import faults

pytestmark = [pytest.mark.integration, pytest.mark.timeout(700)]

OVERLAYS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "overlays"
#: The Secrets that whoever installs has to make first, as the page says.
TO_BE_MADE = {"dev": set[str](), "production": {"leadstream-targets", "leadstream-write-keys"}}


@pytest.fixture(scope="module", params=["dev", "production"])
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def resources(overlay: str) -> dict[tuple[str, str], dict[str, Any]]:
    if kustomize() is None:
        pytest.skip("there is neither kustomize nor kubectl, nor Go to build one with")
    return {(one["kind"], one["metadata"]["name"]): one for one in built(OVERLAYS / overlay)}


def referred(kind: str, value: Any) -> Iterator[str]:
    """The names of all Secrets or ConfigMaps that a pod's specification refers to."""
    if isinstance(value, list):
        for one in value:
            yield from referred(kind, one)
    elif isinstance(value, dict):
        if kind in value:
            yield value[kind].get("secretName") or value[kind]["name"]
        for one in value.values():
            yield from referred(kind, one)


def test_every_resource_is_valid_and_in_the_namespace(resources: dict[tuple[str, str], dict[str, Any]]) -> None:
    for (kind, name), one in resources.items():
        assert faults(one, resources.values()) == [], (kind, name)
        assert kind == "Namespace" or one["metadata"]["namespace"] == "leadstream", name


def test_pods_find_what_they_mount_and_are_found_by_whom_they_should_be(
    resources: dict[tuple[str, str], dict[str, Any]],
) -> None:
    pods = {name: one["spec"] for (kind, name), one in resources.items() if kind in ("Deployment", "StatefulSet")}
    assert set(pods) == {"leadstream-worker", "leadstream-collector", "leadstream-relay"}
    for name, controller in pods.items():
        template = controller["template"]
        labels = template["metadata"]["labels"].items()
        assert template["spec"]["containers"][0]["image"].endswith(f":{__version__}")
        selectors = (
            controller["selector"]["matchLabels"],
            resources["Service", name]["spec"]["selector"],
            resources["PodDisruptionBudget", name]["spec"]["selector"]["matchLabels"],
            resources["NetworkPolicy", "leadstream-default"]["spec"]["podSelector"]["matchLabels"],
        )
        assert all(selector.items() <= labels for selector in selectors), name
        monitored = resources["ServiceMonitor", "leadstream"]["spec"]["selector"]["matchLabels"]
        assert monitored.items() <= resources["Service", name]["metadata"]["labels"].items()


def test_every_secret_is_of_the_overlay_or_made_by_strimzi_or_named_by_the_page(
    overlay: str, resources: dict[tuple[str, str], dict[str, Any]]
) -> None:
    strimzi = {name for kind, name in resources if kind == "KafkaUser"} | {"leads-cluster-ca-cert"}
    ours = {name for kind, name in resources if kind == "Secret"}
    pods = [one["spec"]["template"] for (kind, _), one in resources.items() if kind in ("Deployment", "StatefulSet")]
    named = {name for kind in ("secret", "secretRef", "secretKeyRef") for name in referred(kind, pods)}
    scaling = resources["TriggerAuthentication", "leadstream-autoscaler"]["spec"]["secretTargetRef"]
    named |= {one["name"] for one in scaling}
    assert named - strimzi - ours == TO_BE_MADE[overlay]
    page = (OVERLAYS.parents[1] / "operations.md").read_text()
    assert all(f"create secret generic {name} " in page for name in TO_BE_MADE[overlay])
    maps = {name for kind in ("configMap", "configMapRef") for name in referred(kind, pods)}
    assert maps <= {name for kind, name in resources if kind == "ConfigMap"}


async def test_the_relay_takes_the_targets_of_the_overlay_with_its_secrets(
    overlay: str, resources: dict[tuple[str, str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = [one["data"]["targets.yaml"] for one in resources.values() if "targets.yaml" in one.get("data", {})]
    made = [
        one for (kind, name), one in resources.items() if kind == "Secret" and name.startswith("leadstream-targets")
    ]
    secrets = {name: base64.b64decode(value).decode() for one in made for name, value in one["data"].items()}
    if "leadstream-targets" in TO_BE_MADE[overlay]:
        assert not secrets
        secrets = SECRETS
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    for name, target in load_targets(text, "targets.yaml").targets.items():
        built_target = build(name, target, lambda: 0)
        await built_target.http.close()


def test_topics_have_no_more_copies_than_there_are_brokers(resources: dict[tuple[str, str], dict[str, Any]]) -> None:
    brokers = resources["KafkaNodePool", "broker"]["spec"]["replicas"]
    topics = [one["spec"] for (kind, _), one in resources.items() if kind == "KafkaTopic"]
    assert topics
    assert {one["replicas"] for one in topics} == {brokers}
    wanted = {int(one["config"]["min.insync.replicas"]) for one in topics}
    assert wanted == {brokers - 1 or 1}
    config = resources["Kafka", "leads"]["spec"]["kafka"]["config"]
    assert {value for name, value in config.items() if name.endswith("replication.factor")} == {brokers}
    assert {config["min.insync.replicas"], config["transaction.state.log.min.isr"]} == wanted
