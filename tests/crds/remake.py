"""Writes the schemas of the custom resources that we deploy, out of clones of the projects that define them.

    git clone --depth 1 --branch 1.2.0 https://github.com/strimzi/strimzi-kafka-operator
    git clone --depth 1 --branch v2.20.2 https://github.com/kedacore/keda
    git clone --depth 1 --branch v0.93.0 https://github.com/prometheus-operator/prometheus-operator
    python tests/crds/remake.py strimzi-kafka-operator keda prometheus-operator

For another release change its tag here and above. A schema is kept whole but for the descriptions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

HERE = Path(__file__).parent


class Project(NamedTuple):
    """Where a project defines resources: `resources` has the file of each."""

    address: str
    tag: str
    version: str
    resources: dict[str, str]


_STRIMZI, _PROMETHEUS = "install/cluster-operator/", "example/prometheus-operator-crd/monitoring.coreos.com_"
#: In the order of the command line.
PROJECTS = (
    Project(
        "https://github.com/strimzi/strimzi-kafka-operator",
        "1.2.0",
        "v1",
        {
            "Kafka": f"{_STRIMZI}040-Crd-kafka.yaml",
            "KafkaTopic": f"{_STRIMZI}043-Crd-kafkatopic.yaml",
            "KafkaUser": f"{_STRIMZI}044-Crd-kafkauser.yaml",
            "KafkaNodePool": f"{_STRIMZI}045-Crd-kafkanodepool.yaml",
        },
    ),
    Project(
        "https://github.com/kedacore/keda",
        "v2.20.2",
        "v1alpha1",
        {
            "ScaledObject": "config/crd/bases/keda.sh_scaledobjects.yaml",
            "TriggerAuthentication": "config/crd/bases/keda.sh_triggerauthentications.yaml",
        },
    ),
    Project(
        "https://github.com/prometheus-operator/prometheus-operator",
        "v0.93.0",
        "v1",
        {
            "PrometheusRule": f"{_PROMETHEUS}prometheusrules.yaml",
            "ServiceMonitor": f"{_PROMETHEUS}servicemonitors.yaml",
        },
    ),
)
#: What the triggers of a ScaledObject take is not in its schema, where they are maps of strings.
SCALERS = "schema/generated/scalers-schema.json"
SCALERS_USED = {"cpu", "kafka"}
#: Nor are the versions of Kafka that Strimzi runs, which are any string to the schema.
VERSIONS = "kafka-versions.yaml"


def main(clones: list[str]) -> int:
    if len(clones) != len(PROJECTS):
        print(__doc__, file=sys.stderr)
        return 2
    for project, clone in zip(PROJECTS, map(Path, clones), strict=True):
        for kind, path in project.resources.items():
            crd = yaml.load(_shown(clone, project.tag, path), yaml.CSafeLoader)["spec"]
            assert crd["names"]["kind"] == kind
            (version,) = [one for one in crd["versions"] if one["name"] == project.version]
            assert version["served"]
            schema = without_descriptions(version["schema"]["openAPIV3Schema"])
            api = f"{crd['group']}/{project.version}"
            _write(kind, _source(project, clone, path) | {"apiVersion": api, "kind": kind, "schema": schema})
        if "ScaledObject" in project.resources:
            known = json.loads(_shown(clone, project.tag, SCALERS))["scalers"]
            used = {one["type"]: one["parameters"] for one in known if one["type"] in SCALERS_USED}
            _write("scalers", _source(project, clone, SCALERS) | {"scalers": used})
        if "Kafka" in project.resources:
            all_ = yaml.load(_shown(clone, project.tag, VERSIONS), yaml.CSafeLoader)
            supported = [one["version"] for one in all_ if one["supported"]]
            _write("versions", _source(project, clone, VERSIONS) | {"supported": supported})
    return 0


def without_descriptions(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without its descriptions, and not without properties of that name."""
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "properties":
            made[keyword] = {name: without_descriptions(one) for name, one in value.items()}
        elif isinstance(value, dict) and keyword in ("items", "additionalProperties", "not"):
            made[keyword] = without_descriptions(value)
        elif keyword in ("allOf", "anyOf", "oneOf"):
            made[keyword] = [without_descriptions(one) for one in value]
        elif keyword != "description":
            made[keyword] = value
    return made


def _source(project: Project, clone: Path, path: str) -> dict[str, Any]:
    commit = _git(clone, "rev-parse", f"{project.tag}^{{commit}}").strip()
    source = {"project": project.address, "release": project.tag, "commit": commit, "path": path}
    return {"source": {**source, "licence": "Apache-2.0"}}


def _shown(clone: Path, tag: str, path: str) -> str:
    return _git(clone, "show", f"{tag}:{path}")


def _git(clone: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", clone, *words], capture_output=True, text=True, check=True).stdout


def _write(name: str, content: dict[str, Any]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
