"""The alert rules, and the same rules at a pace that a test can wait for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yaml"
RUNBOOK = RULES.parents[1] / "runbook.md"
#: Every window and offset of the rules, in seconds of a server that scrapes every second. Half an hour is what restarts
#: are counted in: a few of them must fit.
_WINDOWS = {
    "5m": 6, "10m": 8, "15m": 8, "30m": 60, "1h": 10, "6h": 12, "1d": 15, "3d": 15, "28d": 20, "1w": 10,
}  # fmt: skip
#: Limits: a record that is old, in seconds, and restarts that are too many.
_LIMITS = {"> 300": "> 5", "[30m]) > 3": "[30m]) > 1"}


def runbook_queries() -> list[str]:
    """What the runbook has people ask Prometheus."""
    spans = re.findall(r"`([^`]+)`", RUNBOOK.read_text())
    return [one for one in spans if re.search(r"\b(leads[_:]|up\{|process_)", one)]


def groups(text: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(text or RULES.read_text())["groups"]
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def recordings() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "record" in rule]


def quick(expr: str) -> str:
    """The expression with short windows. Fails for a window that has no short form yet."""
    for slow, fast in _LIMITS.items():
        expr = expr.replace(slow, fast)
    expr = re.sub(r"\[(\w+)\]", lambda found: f"[{_WINDOWS[found[1]]}s]", expr)
    return re.sub(r"offset (\w+)", lambda found: f"offset {_WINDOWS[found[1]]}s", expr)


def quick_rules() -> str:
    """The rules file with short windows, and alerts that fire at once."""
    read = groups()
    for group in read:
        for rule in group["rules"]:
            rule["expr"] = quick(rule["expr"])
            rule.pop("for", None)
    return yaml.safe_dump({"groups": read})


def unfiltered(expr: str) -> str:
    """The expression with comparisons that answer 0 or 1: it is empty only when something in it is."""
    return re.sub(r" (>|<|==) ", r" \1 bool ", expr).replace(" unless ", " and ")
