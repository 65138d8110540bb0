"""The overlays as a cluster would get them. `tests/unit/test_deployment.py` checks their parts without kustomize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from streams import __version__
from tests.kustomize import built, kustomize

pytestmark = [pytest.mark.integration, pytest.mark.timeout(700)]

OVERLAYS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "overlays"
BUILT_IN = ("apps/v1", "v1", "policy/v1", "networking.k8s.io/v1")
#: Made by Strimzi or by whoever installs; the pages say which.
FROM_OUTSIDE = {
    "leads-cluster-ca-cert",
    "leadstream-autoscaler",
    "leadstream-collector",
    "leadstream-relay",
    "leadstream-targets",
    "leadstream-worker",
    "leadstream-write-keys",
}


@pytest.fixture(scope="module", params=["dev", "production"])
def resources(request: pytest.FixtureRequest) -> dict[tuple[str, str], dict[str, Any]]:
    if kustomize() is None:
        pytest.skip("there is neither kustomize nor kubectl, nor Go to build one with")
    return {(one["kind"], one["metadata"]["name"]): one for one in built(OVERLAYS / request.param)}


def test_every_resource_is_valid_and_in_the_namespace(resources: dict[tuple[str, str], dict[str, Any]]) -> None:
    for (kind, name), one in resources.items():
        if one["apiVersion"] in BUILT_IN:
            kubernetes_validate.validate(one, "1.37", strict=True)
        assert kind == "Namespace" or one["metadata"]["namespace"] == "leadstream", name


def test_pods_find_what_they_mount_and_are_found_by_whom_they_should_be(
    resources: dict[tuple[str, str], dict[str, Any]],
) -> None:
    pods = {name: one["spec"] for (kind, name), one in resources.items() if kind in ("Deployment", "StatefulSet")}
    assert set(pods) == {"leadstream-worker", "leadstream-collector", "leadstream-relay"}
    for name, controller in pods.items():
        template = controller["template"]
        for volume in template["spec"]["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in resources
            elif "secret" in volume:
                secret = volume["secret"]["secretName"]
                assert secret in FROM_OUTSIDE or ("Secret", secret) in resources
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


def test_topics_have_no_more_copies_than_there_are_brokers(resources: dict[tuple[str, str], dict[str, Any]]) -> None:
    brokers = resources["KafkaNodePool", "broker"]["spec"]["replicas"]
    topics = [one["spec"] for (kind, _), one in resources.items() if kind == "KafkaTopic"]
    assert topics
    assert {one["replicas"] for one in topics} == {brokers}
    wanted = {int(one["config"]["min.insync.replicas"]) for one in topics}
    assert wanted == {brokers - 1 or 1}
