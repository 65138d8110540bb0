"""What pods are given is there, and what they are told to read and to listen on is what they have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from streams.topics import DEFAULT_PARTITIONS
from tests.deployment import KUBERNETES, of_kind, pods, quantity, shared_settings

NAMES = ("leadstream-collector", "leadstream-relay", "leadstream-worker")


def controllers() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for kind in ("Deployment", "StatefulSet") for one in of_kind(kind)}


def container_of(name: str) -> dict[str, Any]:
    (container,) = pods()[name]["containers"]
    found: dict[str, Any] = container
    return found


def files_of(name: str) -> Iterator[PurePosixPath]:
    """The files that a pod mounts, as far as its volumes name them."""
    volumes = {one["name"]: one for one in pods()[name]["volumes"]}
    for mount in container_of(name)["volumeMounts"]:
        volume = volumes[mount["name"]]
        inside = [item["path"] for item in volume.get("secret", {}).get("items", ())]
        if volume.get("configMap", {}).get("name") == "leadstream-targets":
            inside = ["targets.yaml"]  # as the overlays make it
        if volume.get("secret", {}).get("secretName") == "leadstream-write-keys":
            inside = ["write-keys.yaml"]  # as deploy/operations.md has it made
        for file in inside:
            yield PurePosixPath(mount["mountPath"]) / file


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_pod_is_told_to_read_is_mounted(name: str) -> None:
    container = container_of(name)
    told = [word for word in (*container["args"], *shared_settings().values()) if word.startswith("/")]
    assert len(told) >= 2
    assert {PurePosixPath(one) for one in told} == set(files_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_volume_is_mounted_and_the_read_only_root_has_room_for_temporary_files(name: str) -> None:
    volumes, mounts = pods()[name]["volumes"], container_of(name)["volumeMounts"]
    assert sorted(one["name"] for one in volumes) == sorted(one["name"] for one in mounts)
    (temporary,) = [one["name"] for one in mounts if one["mountPath"] == "/tmp"]
    assert {"name": temporary, "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}} in volumes
    assert all(one["readOnly"] is True for one in mounts if one["name"] != temporary)


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_listens_where_others_reach_it(name: str) -> None:
    assert shared_settings()["LEADSTREAM_METRICS_HOST"] == "0.0.0.0"
    words = container_of(name)["args"]
    if "--port" in words:
        assert words[words.index("--host") + 1] == "0.0.0.0"


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_asks_for_no_more_than_it_may_have(name: str) -> None:
    resources = container_of(name)["resources"]
    assert quantity("64Mi") < quantity(resources["requests"]["memory"]) <= quantity(resources["limits"]["memory"])
    assert quantity("50m") <= quantity(resources["requests"]["cpu"]), "without it nothing scales by CPU"
    assert "cpu" not in resources["limits"], "a limit would have a pod stand still, and its lag grow"


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_has_the_account_and_the_settings_that_there_are(name: str) -> None:
    pod = pods()[name]
    assert pod["serviceAccountName"] in {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    assert {"configMapRef": {"name": "leadstream"}} in container_of(name)["envFrom"]
    assert {one["metadata"]["name"] for one in of_kind("ConfigMap")} == {"leadstream"}


def test_numbers_of_pods_are_scalings_business_or_no_more_than_partitions() -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in of_kind("ScaledObject")}
    for name, spec in controllers().items():
        assert (name in scaled) == ("replicas" not in spec), f"{name}: two that set it would fight"
    for name, one in scaled.items():
        assert 1 <= one["minReplicaCount"] <= one["maxReplicaCount"], f"{name}: to scale to nothing is to be gone"
    said = [yaml.safe_load(path.read_text()) for path in KUBERNETES.glob("overlays/*/kustomization.yaml")]
    numbers = [controllers()["leadstream-worker"]["replicas"]]
    numbers += [one["count"] for overlay in said for one in overlay["replicas"]]
    assert len(numbers) == 3
    assert max(numbers) <= DEFAULT_PARTITIONS


def test_a_new_release_comes_by_itself_and_never_waits_for_itself() -> None:
    for name, spec in controllers().items():
        rolling = spec.get("strategy", spec.get("updateStrategy"))
        assert rolling.get("type", "RollingUpdate") == "RollingUpdate", name
        if "rollingUpdate" in rolling:
            assert sum(rolling["rollingUpdate"].values()) >= 1, name


def test_workers_have_names_in_the_net_before_they_are_ready() -> None:
    """Prometheus is to see them while they restore."""
    (service,) = [one["spec"] for one in of_kind("Service") if one["metadata"]["name"] == "leadstream-worker"]
    assert controllers()["leadstream-worker"]["serviceName"] == "leadstream-worker"
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)


def test_a_collector_may_take_as_long_to_end_as_a_slow_broker_makes_it() -> None:
    assert pods()["leadstream-collector"]["terminationGracePeriodSeconds"] >= 5 + 50


def test_services_and_budgets_are_of_the_pods_of_their_name() -> None:
    for kind in ("Service", "PodDisruptionBudget"):
        for one in of_kind(kind):
            selector = one["spec"]["selector"]
            assert selector.get("matchLabels", selector) == {"app.kubernetes.io/name": one["metadata"]["name"]}
            if kind == "PodDisruptionBudget":
                assert one["spec"].keys() == {"selector", "maxUnavailable"}, "a server takes one of the two"
    (monitor,) = of_kind("ServiceMonitor")
    assert [one["path"] for one in monitor["spec"]["endpoints"]] == ["/metrics"]
