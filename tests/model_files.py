"""Model files from dice: every section, every kind of condition, ordinary values and the oddest that are allowed."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from streams.qualification.model.fields import BEHAVIOUR, FIELDS, Field

SECONDS = ("1ms", "5ms", "1s", "90s")
DURATIONS = ("2m", "1h", "12h", "1d", "7d", "30d", "45d", "400d", "36500d")
#: Texts that events of `model_events` have, and some that they have not.
TEXTS = ("a", "b b", "/pricing", "Größe", "x" * 60, "İstanbul", "", "never")
GLOBS = ("*a*", "a*", "*ing", "b  B", "*p*i*g*|x*", "*", "größe", "a|b b|never", "*ß*")
EXPRESSIONS = ("^a", "[a-z]+$", "(?:a|b) b?", ".", r"\d", "(a)?x")


class Number(float):
    """Written so that the model file's grammar takes it for a number."""


class _Pen(json.JSONEncoder):
    def iterencode(self, o: Any, _one_shot: bool = False) -> Any:
        yield self._write(o)

    def _write(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)}: {self._write(one)}" for key, one in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self._write, value)) + "]"
        if isinstance(value, float):
            return f"{value:.17e}" if abs(value) >= 1e15 or 0 < abs(value) < 1e-4 else f"{value:.9f}"
        return json.dumps(value)


def written(sections: dict[str, Any]) -> str:
    """The file, a section a line."""
    pen = _Pen()
    return "".join(f"{name}: {pen.encode(value)}\n" for name, value in sections.items())


def model_file(dice: Random, *, odd: bool, views: bool = False) -> dict[str, Any]:
    """The sections of a file that is right, but for cells that may contradict the thresholds.

    `odd`: with the largest and smallest values, and times of milliseconds. `views`: most rules are about page views,
    and no fact is.
    """
    return _File(dice, odd, views).sections()


class _File:
    def __init__(self, dice: Random, odd: bool, views: bool) -> None:
        self._dice = dice
        self._odd = odd
        self._kinds = (*BEHAVIOUR, *["page_view"] * 10) if views else BEHAVIOUR
        self._remembered = BEHAVIOUR[1:] if views else BEHAVIOUR

    def sections(self) -> dict[str, Any]:
        dice = self._dice
        groups = {f"g{n}": self._group() for n in range(dice.randint(1, 4))}
        warm = self._threshold()
        hot = warm * dice.choice([1.5, 3.0])
        high = float(dice.choice([-20, 0, 20, 40]))
        facts = {f"fact{n}": self._fact() for n in range(dice.randint(0, 3))}
        found: dict[str, Any] = {
            "model": f"drawn-{dice.randint(0, 99)}",
            "groups": groups,
            "interest": self._rules(list(groups)),
            "matrix": {
                "fit": {"high": high},
                "interest": {"warm": warm, "hot": hot},
                "cells": {
                    "high": ["NONE", "NURTURE", "SALES"],
                    "low": ["NONE", dice.choice(["NONE", "LOW_TOUCH"]), "LOW_TOUCH"],
                },
            },
            "mql": {
                "interest": warm,
                "fit": high,
                "hysteresis": dice.choice([0.0, 0.25, 0.5, 0.999999999]),
                "requires": dice.sample(["email", "company", "budget"], dice.randint(0, 2)),
            },
            "sql": {"paths": [{"name": "hot", "interest": hot, "fit": high}, *self._paths(list(facts), high)]},
        }
        if dice.random() < 0.5:
            found["mql"]["blocked_by"] = self._when("lead_profile", 2)
        if dice.random() < 0.5:
            found["sql"]["blocked_by"] = self._when("lead_profile", 1)
        optional: dict[str, Any] = {
            "facts": facts,
            "fit": [
                {"when": self._when("lead_profile", 1), "points": self._points()} for _ in range(dice.randint(0, 5))
            ],
            "fit_bands": dict(zip("ABC", [high + 30.0, high + 10.0, high], strict=True)),
            "negative_personas": [{"name": "nobody", "when": self._when("lead_profile", 2)}],
            "inactivity": {
                "after": self._time(),
                "group": dice.choice(list(groups)),
                "points": -abs(self._points()) or -1.0,
            },
            "sla": dice.choice([{"respond_within": "1h", "give_up": "2h"}, {"respond_within": "1d", "give_up": "14d"}]),
            "rest": {
                "default": dice.choice(["5d", "30d", "never"]),
                "reasons": {"no_budget": self._long(), "a": "never"},
            },
            "visitor_ttl": self._long(),
            "grace": dice.choice(["0s", "2m", "1h"]),
            "noise": {
                "scanner_window": dice.choice(["0s", "10s", "30d"]),
                "internal": ["10.0.0.0/8", "::/0"][: dice.randint(0, 2)],
                "bots": dice.random() < 0.5,
            },
        }
        return found | {name: one for name, one in optional.items() if one and (name == "facts" or dice.random() < 0.7)}

    # --- values ---------------------------------------------------------------------------------------------

    def _time(self) -> str:
        return self._dice.choice(SECONDS if self._odd and self._dice.random() < 0.4 else DURATIONS)

    def _long(self) -> str:
        return self._dice.choice(DURATIONS[2:])

    def _points(self) -> float:
        ordinary = [float(self._dice.choice([-60, -25, -1, 1, 2, 10, 20, 40])), round(self._dice.uniform(-9, 30), 3)]
        return self._dice.choice(ordinary + ([1e9, -1e9, 1e-9, -1e-9, 0.0] if self._odd else []))

    def _threshold(self) -> float:
        return self._dice.choice([10.0, 20.0, 12.345, *([1e-9, 1e8] if self._odd else [])])

    # --- sections -------------------------------------------------------------------------------------------

    def _group(self) -> dict[str, Any]:
        half_life = self._time() if self._odd else self._dice.choice(DURATIONS[4:8])
        group: dict[str, Any] = {"half_life": half_life}
        if self._dice.random() < 0.4:
            group["cap"] = self._dice.choice([40.0, 100.0, 0.0, *([1e-9, 1e9] if self._odd else [])])
        if self._dice.random() < 0.4:
            group["floor"] = self._dice.choice([-30.0, 0.0, *([-1e-9, -1e9] if self._odd else [])])
        return group

    def _rules(self, groups: list[str]) -> list[dict[str, Any]]:
        dice = self._dice
        rules = [self._rule(n, dice.choice(self._kinds), groups) for n in range(dice.randint(1, 10))]
        asked: set[str] = set()
        kept = []
        for rule in rules:  # what nothing can reach is refused
            asks = rule["on"] + json.dumps(rule.get("when", {}))
            if rule.get("also") or not {asks, rule["on"] + "{}"} & asked:
                kept.append(rule)
                if not rule.get("also"):
                    asked.add(asks)
        return kept

    def _rule(self, number: int, kind: str, groups: list[str]) -> dict[str, Any]:
        dice = self._dice
        rule: dict[str, Any] = {"name": f"rule {number}", "on": kind, "group": dice.choice(groups)}
        if dice.random() < 0.8:
            rule["when"] = self._when(kind, dice.choice([1, 1, 2]))
        measured = [name for name, field in FIELDS[kind].items() if field.type == "number"]
        if measured and dice.random() < 0.5:
            per: dict[str, Any] = {
                "field": dice.choice(measured),
                "each": dice.choice([1.0, 60_000.0, 0.1, *([1e-9, 1e18] if self._odd else [])]),
            }
            rule["points_per"] = per | {"points": self._points()}
            if dice.random() < 0.5:
                per["at_most"] = dice.choice([1, 5, 10**9])
        else:
            rule["points"] = self._points()
        if dice.random() < 0.4:
            rule["at_most"] = f"{dice.choice([1, 2, 999999999])} per day"
        if dice.random() < 0.3:
            rule["also"] = True
        return rule

    def _fact(self) -> dict[str, Any]:
        kind = self._dice.choice(self._remembered)
        fact: dict[str, Any] = {"on": kind, "when": self._when(kind, 1)}
        if self._dice.random() < 0.6:
            fact["until"] = self._when(kind, 1)
        return fact

    def _paths(self, facts: list[str], high: float) -> list[dict[str, Any]]:
        dice = self._dice
        paths = []
        for number in range(dice.randint(0, 3)):
            path: dict[str, Any] = {"name": f"path {number}", "bant": dice.randint(1, 4)}
            if facts and dice.random() < 0.6:
                path |= {"fact": dice.choice(facts)} | ({"within": self._time()} if dice.random() < 0.5 else {})
            if dice.random() < 0.4:
                path["visits"] = {"at_least": dice.choice([1, 2, 3, 10**9]), "within": self._time()}
            if dice.random() < 0.4:
                path["interest"] = self._threshold()
            if dice.random() < 0.4:
                path["fit"] = high
            if dice.random() < 0.7 and len(path) > 2:
                del path["bant"]
            paths.append(path)
        return paths

    def _when(self, kind: str, most: int) -> dict[str, Any]:
        dice = self._dice
        chosen = dice.sample(list(FIELDS[kind].items()), dice.randint(1, most))
        return {self._name(name, field): self._test(field) for name, field in chosen}

    def _name(self, name: str, field: Field) -> str:
        return "attributes.plan" if field.type == "attributes" else name

    def _test(self, field: Field) -> Any:
        dice = self._dice
        if field.type == "number":
            low, high = sorted((self._value(), self._value()))
            return dice.choice([low, [low, high], {"at_least": low}, {"at_most": high}, {"between": [low, high]}])
        if field.type == "boolean":
            return dice.random() < 0.5
        if field.type == "symbol":
            return dice.choice([dice.choice(field.symbols), list(dice.sample(field.symbols, 2))])
        tests = [dice.choice(GLOBS), dice.sample(GLOBS, 2), {"has": dice.choice(["a", "b b", "größe"])}]
        tests += [{"lacks": ["a", "never"]}, {"matches": dice.choice(EXPRESSIONS)}]
        if field.type == "attributes":
            tests += [{"at_least": self._value()}, self._value(), {"lacks": "a", "matches": "."}]
        return dice.choice(tests)

    def _value(self) -> float:
        return self._dice.choice([0.0, 1.0, 5.0, 200.0, 60_000.0, *([1e18, -1e18, 1e-9] if self._odd else [])])
