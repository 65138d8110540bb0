"""HubSpot's own description of its API, as its official client (Apache-2.0, generated from its OpenAPI) carries it.

Requests are held to that: path and method must be an operation's, the body must have exactly the described fields with
the described types, and those that the client insists on.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from types import ModuleType
from typing import Any

from hubspot.crm import contacts, properties
from hubspot.crm.associations import v4 as associations
from hubspot.crm.objects import tasks

_MODULES = (contacts, tasks, associations, properties)


@cache
def operations() -> dict[tuple[str, str], tuple[ModuleType, str | None]]:
    """(method, path template) -> the module, and the name of the body's type; None where there is no body."""
    found: dict[tuple[str, str], tuple[ModuleType, str | None]] = {}
    for module in _MODULES:
        for name in dir(module):
            api = getattr(module, name)
            if not (inspect.isclass(api) and name.endswith("Api")):
                continue
            for _, method in inspect.getmembers(api, inspect.isfunction):
                source = inspect.getsource(method)
                call = re.search(r'call_api\(\s*"([^"]+)",\s*"([A-Z]+)"', source)
                if call is None:
                    continue
                body = re.search(r":param (\w+): *\(?required\)?\n\s*:type \1: ([A-Z]\w+)", source)
                found[call[2], call[1]] = (module, body[2] if body else None)
    return found


def check_request(method: str, path: str, body: Any) -> list[str]:
    """What is wrong with a request by HubSpot's description; nothing if empty."""
    for (verb, template), (module, kind) in operations().items():
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(template))
        if verb == method and re.fullmatch(pattern, path) and ("batch" in path) == ("batch" in template):
            if kind is None:
                return [] if body is None else [f"{method} {path} takes no body"]
            return list(_faults(module, kind, body, kind))
    return [f"HubSpot describes no {method} {path}"]


def _faults(module: ModuleType, kind: str, value: Any, at: str) -> list[str]:
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{at}: expected a list"]
        return [
            fault for number, one in enumerate(value) for fault in _faults(module, found[1], one, f"{at}[{number}]")
        ]
    if found := re.fullmatch(r"dict\[str, (.+)\]", kind):
        if not isinstance(value, dict):
            return [f"{at}: expected an object"]
        return [fault for name, one in value.items() for fault in _faults(module, found[1], one, f"{at}.{name}")]
    plain = {"str": str, "bool": bool, "int": int, "float": float}
    if kind in plain:
        return [] if type(value) is plain[kind] else [f"{at}: expected {kind}, got {value!r}"]
    return _model_faults(module, getattr(module, kind), value, at)


def _model_faults(module: ModuleType, model: Any, value: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: expected an object"]
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    faults = [f"{at}.{name}: unknown" for name in value if name not in names]
    for json_name, name in names.items():
        if json_name in value:
            faults += _faults(module, model.openapi_types[name], value[json_name], f"{at}.{json_name}")
        elif f"`{name}`, must not be `None`" in inspect.getsource(getattr(model, name).fset):
            faults.append(f"{at}.{json_name}: is missing")
    return faults


def problem(category: str, message: str) -> dict[str, Any]:
    """An error as HubSpot answers it."""
    return {"status": "error", "category": category, "message": message, "correlationId": "0-0-0"}
