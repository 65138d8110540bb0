"""The deployment's files: valid by their own schemas, pinned, and true to the code they deploy."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import __version__
from streams.access import roles
from streams.cli import command
from streams.engine.config import EngineConfig
from streams.kafka import DEFAULT_APP
from streams.topics import DEFAULT_PARTITIONS
from tests.deployment import (
    COMPOSE,
    DEPLOY,
    KUBERNETES,
    PROBES,
    ROOT,
    compose,
    documents,
    of_kind,
    ours,
    pods,
    shared_settings,
)
from tests.resources import faults

BIN = Path(sys.executable).parent


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / words[0], *words[1:]], capture_output=True, text=True, timeout=120, check=False)


def test_the_compose_file_is_valid() -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_is_clean_and_its_image_runs_as_nobody_special() -> None:
    dockerfile = DEPLOY / "Dockerfile"
    done = run("hadolint", str(dockerfile))
    assert done.returncode == 0, done.stdout
    text = dockerfile.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]


def test_what_the_image_installs_is_what_was_tested_with_hashes_and_no_registry() -> None:
    pin = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?: ;.*)? \\?$", re.MULTILINE)

    def pins(text: str) -> dict[str, str]:
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pin.findall(text + " ")}

    text = (DEPLOY / "requirements.txt").read_text()
    installed = pins(text)
    tested = pins((ROOT / "constraints.txt").read_text().replace("\n", " \n"))
    assert installed.items() <= tested.items(), "make deploy/requirements.txt anew (deploy/operations.md, Upgrades)"
    assert "://" not in text
    assert len(re.findall(r"\\\n    --hash=sha256:[0-9a-f]{64}", text)) >= len(installed)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", one)[0]).lower() for one in wanted} <= set(installed)  # type: ignore[index]


def test_topics_users_and_alert_rules_are_what_the_code_says() -> None:
    for path, text in runpy.run_path(str(KUBERNETES / "generate.py"))["generated"]().items():
        assert path.read_text() == text, f"{path.name} is old: run deploy/kubernetes/generate.py"


@pytest.mark.parametrize("resource", [pytest.param(one, id=where) for where, one in documents()])
def test_a_resource_is_valid(resource: dict[str, Any]) -> None:
    assert faults(resource, (one for _, one in documents())) == []


def test_every_file_is_part_of_a_kustomization_and_every_patch_finds_its_target() -> None:
    kinds = {(one["kind"], one["metadata"]["name"]) for _, one in documents()}
    for folder in ("base", "kafka", "overlays/dev", "overlays/production"):
        said = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())
        for name in said["resources"]:
            assert (KUBERNETES / folder / name).exists()
        here = {path.name for path in (KUBERNETES / folder).glob("*.yaml")} - {"kustomization.yaml"}
        generated = {
            file
            for key in ("configMapGenerator", "secretGenerator")
            for one in said.get(key, ())
            for file in one.get("files", ())
        }
        assert here <= {*said["resources"], *generated}
        for patch in said.get("patches", ()):
            target = patch["target"]
            named = {name for kind, name in kinds if kind == target["kind"]}
            assert named
            assert target.get("name", next(iter(named))) in named


def test_everything_is_pinned_and_of_this_version() -> None:
    for service in compose()["services"].values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert {one["image"] for one in ours().values()} == {f"leadstream:{__version__}"}
    for overlay in ("dev", "production"):
        (image,) = yaml.safe_load((KUBERNETES / "overlays" / overlay / "kustomization.yaml").read_text())["images"]
        assert image["newTag"] == __version__


def test_compose_listens_on_the_loopback_interface_alone() -> None:
    published = [port for one in compose()["services"].values() for port in one.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def options() -> dict[str, set[str]]:
    """The variables of each command's options."""
    return {
        name: {one.envvar for one in leaf.params if one.param_type_name == "option"}
        for name, leaf in command().commands.items()
        if not hasattr(leaf, "commands")
    }


def settings() -> Iterator[tuple[str, list[str], set[str]]]:
    """(where, words of the command line, variables) of everything that runs leadstream."""
    for name, service in ours().items():
        yield f"compose {name}", service["command"], set(service["environment"])
    shared = shared_settings()
    for name, pod in pods().items():
        (container,) = pod["containers"]
        yield name, container["args"], {*shared, *(one["name"] for one in container["env"])}


def test_what_is_set_is_understood_by_the_command_it_is_set_for() -> None:
    known = options()
    seen = set()
    for where, words, variables in settings():
        seen.add(words[0])
        flags = {word for word in words if word.startswith("--")}
        assert {f"LEADSTREAM_{flag[2:].replace('-', '_').upper()}" for flag in flags} <= known[words[0]], where
        # --log-format and the like are of some commands only, so others would pass over them: that is a mistake here.
        assert variables <= known[words[0]], (where, variables - known[words[0]])
    assert seen == {"topics", "collector", "worker", "relay"}


def test_every_pod_and_service_is_held_as_tightly_as_it_can_be() -> None:
    for name, pod in pods().items():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name
        assert pod["enableServiceLinks"] is False, f"{name}: variables of Services would pass for options"
        paths = [container[probe]["httpGet"]["path"] for probe in PROBES]
        assert paths == ["/health/live", "/health/ready", "/health/live"], name
    for name, service in ours().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


def test_a_worker_has_a_name_that_stays_and_time_to_drain() -> None:
    worker = pods()["leadstream-worker"]
    (container,) = worker["containers"]
    assert {"name": "LEADSTREAM_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container[
        "env"
    ]
    drain = EngineConfig.__dataclass_fields__["drain_s"].default
    assert worker["terminationGracePeriodSeconds"] > drain + 5 + 15
    named = [one["environment"]["LEADSTREAM_INSTANCE"] for name, one in ours().items() if name.startswith("worker")]
    assert len(set(named)) == len(named) == 2
    budgets = {one["metadata"]["name"]: one["spec"] for _, one in documents() if one["kind"] == "PodDisruptionBudget"}
    assert {name: spec["maxUnavailable"] for name, spec in budgets.items()} == dict.fromkeys(pods(), 1)


def listening(pod: dict[str, Any]) -> set[int]:
    """The ports that the command of a pod is told to listen on."""
    shared = shared_settings()
    (container,) = pod["containers"]
    words = container["args"]
    own = {int(words[words.index("--port") + 1])} if "--port" in words else set()
    return {int(shared["LEADSTREAM_METRICS_PORT"]), *own}


def test_ports_are_those_that_the_programs_listen_on_for_all_who_connect_to_them() -> None:
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in of_kind("Service")}
    policies = [one["spec"] for one in of_kind("NetworkPolicy")]
    (monitor,) = of_kind("ServiceMonitor")
    for name, pod in pods().items():
        (container,) = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert set(ports.values()) == listening(pod), name
        assert {port["targetPort"] for port in services[name]} == set(ports), name
        assert {one["port"] for one in monitor["spec"]["endpoints"]} <= {port["name"] for port in services[name]}
        for probe in PROBES:
            assert container[probe]["httpGet"]["port"] in ports, name
        # All pods are part of leadstream; a policy for one names it.
        selectors = ({"app.kubernetes.io/part-of": "leadstream"}, {"app.kubernetes.io/name": name})
        opened = [
            way
            for policy in policies
            if policy["podSelector"]["matchLabels"] in selectors
            for way in policy.get("ingress", ())
        ]
        assert {port["port"] for way in opened for port in way["ports"]} == set(ports.values()), name


def test_pods_may_go_where_kafka_listens() -> None:
    shared = shared_settings()
    (kafka,) = of_kind("Kafka")
    cluster, port = kafka["metadata"]["name"], kafka["spec"]["kafka"]["listeners"][0]["port"]
    assert shared["LEADSTREAM_BOOTSTRAP"] == f"{cluster}-kafka-bootstrap:{port}"
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    egress = policies["leadstream-default"]["egress"]
    brokers = {"podSelector": {"matchLabels": {"strimzi.io/cluster": cluster}}}
    (way,) = [one for one in egress if brokers in one["to"]]
    assert way["ports"] == [{"port": port}]


def test_relays_scale_by_the_lag_of_a_target_that_there_is_and_never_beyond_partitions() -> None:
    shared = shared_settings()
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in of_kind("ScaledObject")}
    assert set(scaled) == {one["metadata"]["name"] for one in of_kind("Deployment")}
    (trigger,) = [one for one in scaled["leadstream-relay"]["triggers"] if one["type"] == "kafka"]
    assert trigger["metadata"]["bootstrapServers"] == shared["LEADSTREAM_BOOTSTRAP"]
    assert scaled["leadstream-relay"]["maxReplicaCount"] <= DEFAULT_PARTITIONS
    for overlay in ("dev", "production"):
        targets = yaml.safe_load((KUBERNETES / "overlays" / overlay / "targets.yaml").read_text())["targets"]
        assert trigger["metadata"]["consumerGroup"] in {f"{DEFAULT_APP}-relay-{name}" for name in targets}
    (autoscaler,) = [role for role in roles(DEFAULT_APP) if role.user == "leadstream-autoscaler"]
    (groups,) = [right for right in autoscaler.rights if right.kind == "group"]
    assert trigger["metadata"]["consumerGroup"].startswith(groups.name)


def test_the_autoscaler_logs_in_as_itself_as_kafka_wants_it() -> None:
    (relay,) = [one["spec"] for one in of_kind("ScaledObject") if one["metadata"]["name"] == "leadstream-relay"]
    (trigger,) = relay["triggers"]
    mechanism = shared_settings()["LEADSTREAM_SASL_MECHANISM"].lower().replace("-sha-", "_sha")
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == (mechanism, "enable")
    # From the end, a group that has never committed would have no lag, whatever waits for it.
    assert trigger["metadata"]["offsetResetPolicy"] == "earliest"
    (login,) = of_kind("TriggerAuthentication")
    assert trigger["authenticationRef"] == {"name": login["metadata"]["name"]}
    (named,) = of_kind("Secret")
    assert {(one["parameter"], one["name"], one["key"]) for one in login["spec"]["secretTargetRef"]} == {
        ("username", named["metadata"]["name"], "username"),
        ("password", named["stringData"]["username"], "password"),
        ("ca", "leads-cluster-ca-cert", "ca.crt"),
    }
    assert named["stringData"]["username"] in {one["metadata"]["name"] for one in of_kind("KafkaUser")}


def test_a_role_logs_in_as_itself() -> None:
    users = {one["metadata"]["name"] for _, one in documents() if one["kind"] == "KafkaUser"}
    for name, pod in pods().items():
        (container,) = pod["containers"]
        said = {one["name"]: one.get("value") for one in container["env"]}
        assert said["LEADSTREAM_SASL_USERNAME"] == name
        assert name in users
        (secret,) = [one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == "user"]
        assert secret == name
