"""Writes the parts of the Kubernetes files that are said elsewhere: topics and rights in `streams`, alert rules in
`deploy/prometheus`.

    python deploy/kubernetes/generate.py

A test holds that what is committed is what this writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from streams.access import Right, roles
from streams.kafka import DEFAULT_APP
from streams.topics import (
    DEFAULT_PARTITIONS,
    TOPICS,
    Topic,
    changelog_topic,
    relay_memory_topic,
    relay_retries_topic,
)

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "alerts.yaml"
CLUSTER = "leads"
_KINDS = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}


def generated() -> dict[Path, str]:
    """The text of each file."""
    own = (changelog_topic(DEFAULT_APP), relay_memory_topic(DEFAULT_APP), relay_retries_topic(DEFAULT_APP))
    return {
        HERE / "kafka" / "topics.yaml": _yaml(_topic(topic) for topic in (*TOPICS.values(), *own)),
        HERE / "kafka" / "users.yaml": _yaml(_user(role.user, role.rights) for role in roles(DEFAULT_APP)),
        HERE / "base" / "rules.yaml": _yaml([_rules()]),
    }


def _topic(topic: Topic) -> dict[str, Any]:
    config = {**topic.config, "min.insync.replicas": "2"}
    return _resource("KafkaTopic", topic.name, {"partitions": DEFAULT_PARTITIONS, "replicas": 3, "config": config})


def _user(name: str, rights: Iterable[Right]) -> dict[str, Any]:
    acls = [
        {
            "resource": {
                "type": _KINDS[right.kind],
                "name": right.name,
                "patternType": "prefix" if right.prefix else "literal",
            },
            "operations": list(right.operations),
        }
        for right in rights
    ]
    authorization = {"type": "simple", "acls": acls}
    return _resource("KafkaUser", name, {"authentication": {"type": "scram-sha-512"}, "authorization": authorization})


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": spec,
    }


def _rules() -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "leadstream"},
        "spec": {"groups": yaml.safe_load(RULES.read_text())["groups"]},
    }


def _yaml(documents: Iterable[dict[str, Any]]) -> str:
    text = yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by deploy/kubernetes/generate.py; change what it reads, and run it.\n{text}"


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
        print(path.relative_to(HERE))
