"""From a model file's text to a Model, or to everything that is wrong with it.

Strict: unknown keys, duplicate keys, names that don't exist, rules that nothing can reach and numbers that
can't work are all refused, each with its line, its key, what was found and what is allowed.
"""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from typing import cast

from streams.qualification.model.conditions import Condition
from streams.qualification.model.nodes import ModelError, Node, Problems, Wrong, parse
from streams.qualification.model.rule_loading import facts_of, fit_of, personas_of, rules_of
from streams.qualification.model.sections import (
    Section,
    choice,
    duration,
    entries,
    flag,
    items,
    longer_than_nothing,
    number,
    positive,
    text_of,
)
from streams.qualification.model.stage_loading import DEFAULT_REST_MS, mql_of, rest_of, sla_of, sql_of
from streams.qualification.model.units import UNITS
from streams.qualification.model.values import (
    LOWEST_BAND,
    Fact,
    Group,
    Inactivity,
    Matrix,
    Model,
    MqlRule,
    Noise,
    Rest,
    Route,
    Rule,
    SqlPath,
)

__all__ = ["ModelError", "load_model"]

KEYS = (
    "model",
    "groups",
    "interest",
    "inactivity",
    "facts",
    "fit",
    "fit_bands",
    "negative_personas",
    "matrix",
    "mql",
    "sql",
    "sla",
    "rest",
    "visitor_ttl",
    "grace",
    "noise",
)
ROUTES = ("SALES", "NURTURE", "LOW_TOUCH", "NONE")
BANDS = ("A", "B", "C")
DAY = UNITS["d"]
#: A receipt has lines for each group of a lead.
MOST_GROUPS = 50


def load_model(text: str, source: str = "model") -> Model:
    """The model that `text` (YAML) describes; `source` names it in messages. Raises ModelError."""
    problems = Problems(source)
    top = Section(parse(text, problems), KEYS, problems)
    groups: dict[str, Group] = top.require("groups", lambda node: _groups(node, problems), {})
    rules: dict[str, tuple[Rule, ...]] = top.require("interest", lambda node: rules_of(node, groups, problems), {})
    facts: dict[str, Fact] = top.read("facts", lambda node: facts_of(node, problems), {})
    nothing: tuple[tuple[SqlPath, ...], Condition | None] = ((), None)
    sql_paths, sql_blocked_by = top.require("sql", lambda node: sql_of(node, list(facts), problems), nothing)
    model = Model(
        version=top.require("model", text_of, ""),
        groups=groups,
        rules=rules,
        inactivity=top.read("inactivity", lambda node: _inactivity(node, groups, problems), None),
        facts=facts,
        facts_on={
            kind: tuple(fact for fact in facts.values() if fact.on == kind)
            for kind in dict.fromkeys(fact.on for fact in facts.values())
        },
        fit=top.read("fit", lambda node: fit_of(node, problems), ()),
        fit_bands=top.read("fit_bands", lambda node: _bands(node, problems), _BANDS),
        negative_personas=top.read("negative_personas", lambda node: personas_of(node, problems), ()),
        matrix=top.require("matrix", lambda node: _matrix(node, problems), _NO_MATRIX),
        mql=top.require("mql", lambda node: mql_of(node, problems), _NO_MQL),
        sql_paths=sql_paths,
        sql_blocked_by=sql_blocked_by,
        sla=top.read("sla", lambda node: sla_of(node, problems), None),
        rest=top.read("rest", lambda node: rest_of(node, problems), Rest(DEFAULT_REST_MS, {})),
        visitor_ttl_ms=top.read("visitor_ttl", longer_than_nothing, 180 * DAY),
        grace_ms=top.read("grace", duration, 2 * UNITS["m"]),
        noise=top.read("noise", lambda node: _noise(node, problems), Noise(10 * UNITS["s"], (), True)),
        digest=blake2b(text.encode(), digest_size=4).hexdigest(),
    )
    problems.raise_if_any()
    return model


# Stand-ins for sections that are missing or wrong: never part of a model that is returned.
_NO_MATRIX = Matrix(0.0, 1.0, 2.0, ("NONE", "NONE", "NONE"), ("NONE", "NONE", "NONE"))
_NO_MQL = MqlRule(1.0, 0.0, 0.0)

_BANDS = (("A", 60.0), ("B", 40.0), ("C", 20.0))


def _groups(node: Node, problems: Problems) -> dict[str, Group]:
    named = entries(node, MOST_GROUPS)
    groups = {name: _group(name, entry, problems) for name, entry in named.items()}
    heirs: dict[str, str] = {}
    for name, group in groups.items():
        if group.was in named:
            problems.add_wrong(Wrong(named[name], f"found was: {group.was}, which is a group of this model itself"))
        elif group.was in heirs:
            problems.add_wrong(Wrong(named[name], f"found was: {group.was}, as {heirs[group.was]} has already"))
        elif group.was is not None:
            heirs[group.was] = name
    if not groups:
        raise Wrong(node, "found no group, expected at least one such as web: {half_life: 30d, cap: 40}")
    return groups


def _group(name: str, node: Node, problems: Problems) -> Group:
    section = Section(node, ("half_life", "floor", "cap", "was"), problems)
    group = Group(
        name,
        section.require("half_life", longer_than_nothing, 1),
        section.read("floor", number, None),
        section.read("cap", number, None),
        section.read("was", text_of, None),
    )
    # Groups fade towards nothing, so a clamp must let nothing through: crossings would never end otherwise.
    if group.floor is not None and group.floor > 0:
        section.refuse_at("floor", f"found {group.floor:g}, expected 0 or less")
    if group.cap is not None and group.cap < 0:
        section.refuse_at("cap", f"found {group.cap:g}, expected 0 or more")
    return group


def _inactivity(node: Node, groups: dict[str, Group], problems: Problems) -> Inactivity:
    section = Section(node, ("after", "group", "points"), problems)
    inactivity = Inactivity(
        section.require("after", longer_than_nothing, 1),
        section.require("group", choice(list(groups)), ""),
        section.require("points", number, 0.0),
    )
    if not section.failed and inactivity.points >= 0:
        section.refuse_at("points", f"found {inactivity.points:g}, expected a number below 0: silence takes points")
    return inactivity


def _bands(node: Node, problems: Problems) -> tuple[tuple[str, float], ...]:
    section = Section(node, BANDS, problems)
    bands = tuple((name, section.require(name, number, 0.0)) for name in BANDS if name in section)
    if not section.failed and not bands:
        raise Wrong(node, f"found no band, expected some of {', '.join(BANDS)}; {LOWEST_BAND} is what is below them")
    for (higher, above), (lower, below) in pairwise(bands):
        if not section.failed and below >= above:
            section.refuse_at(lower, f"found {below:g}, expected less than {higher}, {above:g}")
    return bands


def _matrix(node: Node, problems: Problems) -> Matrix:
    section = Section(node, ("fit", "interest", "cells"), problems)
    high_fit = section.require("fit", lambda fit: Section(fit, ("high",), problems).require("high", number, 0.0), 0.0)
    warm, hot = section.require("interest", lambda interest: _columns(interest, problems), (1.0, 2.0))
    high, low = section.require("cells", lambda cells: _cells(cells, problems), (_NO_MATRIX.high, _NO_MATRIX.low))
    return Matrix(high_fit, warm, hot, high, low)


def _columns(node: Node, problems: Problems) -> tuple[float, float]:
    section = Section(node, ("warm", "hot"), problems)
    warm, hot = section.require("warm", positive, 1.0), section.require("hot", positive, 2.0)
    if not section.failed and warm >= hot:
        section.refuse_at("warm", f"found {warm:g}, expected less than hot, {hot:g}")
    return warm, hot


def _cells(node: Node, problems: Problems) -> tuple[tuple[Route, Route, Route], tuple[Route, Route, Route]]:
    section = Section(node, ("high", "low"), problems)

    def row(cells: Node) -> tuple[Route, Route, Route]:
        if len(items(cells)) != 3:
            raise Wrong(cells, f"found {len(items(cells))} routes, expected three: for cold, warm and hot interest")
        cold, warm, hot = (cast(Route, choice(ROUTES)(cell)) for cell in items(cells))
        return cold, warm, hot

    return section.require("high", row, _NO_MATRIX.high), section.require("low", row, _NO_MATRIX.low)


def _noise(node: Node, problems: Problems) -> Noise:
    section = Section(node, ("scanner_window", "internal", "bots"), problems)
    return Noise(
        section.read("scanner_window", duration, 10 * UNITS["s"]),
        section.read("internal", _networks, ()),
        section.read("bots", flag, True),
    )


def _networks(node: Node) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(_network(entry) for entry in items(node))


def _network(node: Node) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text_of(node))
    except ValueError as bad:
        raise Wrong(node, f"found {node.written}, expected a network such as 10.0.0.0/8 ({bad})") from None
