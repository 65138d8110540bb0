"""The deployment's files, read."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
KUBERNETES = DEPLOY / "kubernetes"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kMGTP]|[KMGTP]i)?")
_FACTORS = {"": 1.0, "m": 1e-3, "k": 1e3, "Ki": 1024.0}
_FACTORS |= {f"{name}i": 1024.0**power for power, name in enumerate("MGTP", 2)}
_FACTORS |= {name: 1000.0**power for power, name in enumerate("MGTP", 2)}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def ours() -> dict[str, dict[str, Any]]:
    """The compose services that run leadstream."""
    return {name: one for name, one in compose()["services"].items() if one["image"].startswith("leadstream:")}


@cache
def documents() -> list[tuple[str, dict[str, Any]]]:
    """All Kubernetes resources, as (file:name, resource)."""
    return [
        (f"{path.relative_to(KUBERNETES)}:{one['kind']}/{one['metadata']['name']}", one)
        for folder in ("base", "kafka")
        for path in sorted((KUBERNETES / folder).glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for one in yaml.safe_load_all(path.read_text())
    ]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for _, one in documents() if one["kind"] == kind]


def pods() -> dict[str, dict[str, Any]]:
    """Pod templates by the name of their controller."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for _, one in documents()
        if one["kind"] in ("Deployment", "StatefulSet")
    }


def shared_settings() -> dict[str, str]:
    """The variables that all pods get."""
    (shared,) = of_kind("ConfigMap")
    data: dict[str, str] = shared["data"]
    return data


def quantity(said: str | int) -> float:
    """What Kubernetes takes an amount of CPU, memory or disk for. Raises ValueError."""
    found = _QUANTITY.fullmatch(str(said))
    if found is None:
        raise ValueError(f"{said} is no quantity: 500m, 3Gi and the like are")
    return float(found[1]) * _FACTORS[found[2] or ""]
