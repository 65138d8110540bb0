"""What a cluster would say of a Kubernetes resource, and what it would drop without a word.

Built-in ones are held to Kubernetes' schemas, strictly. Custom ones are held to the schemas of their operators
(`tests/crds`) as an API server holds them, but for one thing: a field that no schema knows, which the server prunes
silently, is a fault here. Rules in CEL are written in Python below; one that is not, and is reached, is a fault. What
KEDA's triggers take, maps of strings to the API server, is held to what KEDA says of its scalers, and the version of
Kafka to those that Strimzi runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate

CRDS: Final = Path(__file__).with_name("crds")
KUBERNETES: Final = "1.37"
_BUILT_IN: Final = ("apps/v1", "v1", "policy/v1", "networking.k8s.io/v1")

#: Keywords that hold a resource, of which JSON Schema (draft 4, as Kubernetes has it) checks all.
_CHECKED = {"type", "properties", "items", "additionalProperties", "required", "minimum", "maximum", "enum", "pattern"}
_CHECKED |= {"format", "oneOf", "anyOf", "allOf", "not", "minLength", "maxLength", "minItems", "maxItems"}
#: Those that are looked at here, and those that don't restrict anything.
_OURS = {"x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
_OURS |= {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}
_HARMLESS = {"default", "example", "x-kubernetes-map-type"}

#: CEL rules, word for word, as Python.
_RULES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "!has(self.minReplicaCount) || self.minReplicaCount <= (has(self.maxReplicaCount) ? self.maxReplicaCount : 100)": (
        lambda self: "minReplicaCount" not in self or self["minReplicaCount"] <= self.get("maxReplicaCount", 100)
    ),
    "self.type == 'tls' || (!has(self.validityDays) && !has(self.renewalDays))": (
        lambda self: self["type"] == "tls" or ("validityDays" not in self and "renewalDays" not in self)
    ),
    "self.type != 'tls' || (has(self.renewalDays) == has(self.validityDays))": (
        lambda self: self["type"] != "tls" or ("renewalDays" in self) == ("validityDays" in self)
    ),
    "self.type != 'tls' || !has(self.renewalDays) || !has(self.validityDays) || self.renewalDays < self.validityDays": (
        lambda self: self["type"] != "tls" or self.get("renewalDays", 0) < self.get("validityDays", 1)
    ),
}

#: Any text to the schema of a ScaledObject; the autoscaler that KEDA makes of it would be refused.
_METRIC_TYPES = ("AverageValue", "Utilization", "Value")

_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("int32")
def _int32(value: object) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@_FORMATS.checks("int64")
def _int64(value: object) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@_FORMATS.checks("date-time", raises=ValueError)
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def faults(resource: dict[str, Any], others: Iterable[dict[str, Any]] = ()) -> list[str]:
    """What is wrong with a resource, each with its place; nothing if empty.

    `others` are what it is deployed with: a ScaledObject names the TriggerAuthentications that it logs in with.
    """
    kind, version = resource["kind"], resource["apiVersion"]
    if version in _BUILT_IN:
        return _built_in(resource)
    schema = _schema(version, kind)
    if schema is None:
        return [f"there is no schema of {version} {kind}"]
    validator = jsonschema.Draft4Validator(schema, format_checker=_FORMATS)
    if found := [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]:
        return found
    found += _beyond_json_schema(schema, resource, "$")
    # The server holds what all kinds have to a schema of its own.
    found += _built_in({"apiVersion": "v1", "kind": "ConfigMap", "metadata": resource["metadata"]})
    if kind == "ScaledObject":
        found += _triggers(resource, others)
    if kind == "Kafka":
        found += _version(resource["spec"]["kafka"].get("version"))
    return found


def _built_in(resource: dict[str, Any]) -> list[str]:
    try:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return []


@cache
def _schema(version: str, kind: str) -> dict[str, Any] | None:
    path = CRDS / f"{kind}.json"
    if not path.exists() or (file := json.loads(path.read_text()))["apiVersion"] != version:
        return None
    schema = _strict(file["schema"])
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with what it does not name forbidden where the server would prune it.

    Only along the structure: below `oneOf` and the like names are repeated just to say something more of them.
    """
    assert schema.keys() <= _CHECKED | _OURS | _HARMLESS, f"nobody here knows {schema.keys()}"
    assert schema.get("format", "int32") in _FORMATS.checkers, schema["format"]
    made = dict(schema)
    if "properties" in schema:
        made["properties"] = {name: _strict(one) for name, one in schema["properties"].items()}
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    elif schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    return made


def _beyond_json_schema(schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    """What Kubernetes' own keywords say of a value that JSON Schema has nothing against."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if (holds := _RULES.get(rule["rule"])) is None:
            yield f"{at}: a rule that nobody here evaluates: {rule['rule']}"
        elif not holds(value):
            yield f"{at}: {rule['message']}"
    if isinstance(value, dict):
        named, rest = schema.get("properties", {}), schema.get("additionalProperties")
        for name, one in value.items():
            below = named.get(name, rest)
            if isinstance(below, dict):
                yield from _beyond_json_schema(below, one, f"{at}.{name}")
    elif isinstance(value, list):
        keys = schema.get("x-kubernetes-list-map-keys")
        if keys or schema.get("x-kubernetes-list-type") == "set":
            seen = [json.dumps([one.get(key) for key in keys] if keys else one) for one in value]
            if len(set(seen)) < len(seen):
                yield f"{at}: two of {keys or 'the same'}"
        for number, one in enumerate(value):
            yield from _beyond_json_schema(schema["items"], one, f"{at}[{number}]")


def _version(said: str | None) -> Iterator[str]:
    supported = json.loads((CRDS / "versions.json").read_text())["supported"]
    if said is not None and said not in supported:
        yield f"$.spec.kafka.version: {said}, which is none of {supported}"


def _kind_of(said: str) -> str:
    """What KEDA reads from a text; its table says so by its defaults alone. Nothing for a word, which may be any."""
    if said in ("true", "false"):
        return "truth value"
    return "number" if said.isdecimal() else ""


def _triggers(scaled: dict[str, Any], others: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What KEDA's scalers say of a ScaledObject's triggers."""
    scalers = json.loads((CRDS / "scalers.json").read_text())["scalers"]
    logins = {one["metadata"]["name"]: one["spec"] for one in others if one["kind"] == "TriggerAuthentication"}
    for number, trigger in enumerate(scaled["spec"]["triggers"]):
        at = f"$.spec.triggers[{number}]"
        if trigger["type"] not in scalers:
            yield f"{at}: nobody here knows the scaler {trigger['type']}"
            continue
        if trigger.get("metricType", "AverageValue") not in _METRIC_TYPES:
            yield f"{at}: metricType is {trigger['metricType']}, which is none of {_METRIC_TYPES}"
        logged_in: list[str] = []
        if name := trigger.get("authenticationRef", {}).get("name"):
            if name not in logins:
                yield f"{at}: there is no TriggerAuthentication {name}"
                continue
            logged_in = [one["parameter"] for one in logins[name]["secretTargetRef"]]
        said: dict[str, str] = trigger["metadata"]
        parameters = {one["name"]: one for one in scalers[trigger["type"]]}
        for readable, names in (("metadata", said), ("triggerAuthentication", logged_in)):
            for name in names:
                if not parameters.get(name, {}).get(f"{readable}VariableReadable"):
                    yield f"{at}: {trigger['type']} takes no {name} there"
        for name, one in parameters.items():
            if name in said and said[name] not in one.get("allowedValue", [said[name]]):
                yield f"{at}: {name} is {said[name]}, which is none of {one['allowedValue']}"
            if name in said and (kind := _kind_of(one.get("default", ""))) != _kind_of(said[name]) and kind:
                yield f"{at}: {name} is {said[name]}, which is no {kind}"
            if name in said and "deprecated" in one:
                yield f"{at}: {one['deprecated']}"
            if not one.get("optional") and "default" not in one and name not in {*said, *logged_in}:
                yield f"{at}: {trigger['type']} needs {name}"
