"""The sections of a model file that move leads between stages: mql, sql, sla and rest."""

from __future__ import annotations

from collections.abc import Sequence

from streams.qualification.model.conditions import Condition
from streams.qualification.model.fields import FIELDS
from streams.qualification.model.nodes import Node, Problems, Wrong
from streams.qualification.model.rule_loading import condition, refuse_repeated
from streams.qualification.model.sections import (
    Section,
    choice,
    duration,
    entries,
    items,
    longer_than_nothing,
    number,
    positive,
    text_of,
    whole,
)
from streams.qualification.model.units import UNITS
from streams.qualification.model.values import MqlRule, Rest, Sla, SqlPath, Visits

DEFAULT_REST_MS = 30 * UNITS["d"]


def mql_of(node: Node, problems: Problems) -> MqlRule:
    """Entry into the MQL stage."""
    section = Section(node, ("interest", "fit", "hysteresis", "requires", "blocked_by"), problems)
    profile_fields = [name for name in FIELDS["lead_profile"] if name != "attributes"]
    return MqlRule(
        section.require("interest", positive, 1.0),
        section.require("fit", number, 0.0),
        section.read("hysteresis", _share, 0.5),
        section.read("requires", lambda entry: tuple(map(choice(profile_fields), items(entry))), ()),
        section.read("blocked_by", _blocked_by, None),
    )


def _share(node: Node) -> float:
    share = number(node)
    if not 0 <= share < 1:
        raise Wrong(node, f"found {node.written}, expected a number from 0 to below 1")
    return share


def _blocked_by(node: Node) -> Condition:
    """Any one of these facts blocks."""
    return condition(node, "lead_profile", any_of=True)


def sql_of(node: Node, facts: Sequence[str], problems: Problems) -> tuple[tuple[SqlPath, ...], Condition | None]:
    """The ways to become an SQL, and what blocks them all."""
    section = Section(node, ("paths", "blocked_by"), problems)
    nodes: list[Node] = section.require("paths", items, [])
    paths = tuple(_path(entry, facts, problems) for entry in nodes)
    if not section.failed and not paths:
        example = "{name: hot, interest: 60, fit: 40}"
        section.refuse_at("paths", f"found no path, expected at least one such as {example}")
    refuse_repeated([(entry, path.name) for entry, path in zip(nodes, paths, strict=True)], problems)
    return paths, section.read("blocked_by", _blocked_by, None)


def _path(node: Node, facts: Sequence[str], problems: Problems) -> SqlPath:
    section = Section(node, ("name", "fact", "within", "visits", "interest", "fit", "bant"), problems)
    path = SqlPath(
        section.require("name", text_of, ""),
        section.read("fact", choice(facts), None),
        section.read("within", longer_than_nothing, None),
        section.read("visits", lambda visits: _visits(visits, problems), None),
        section.read("interest", positive, None),
        section.read("fit", number, None),
        section.read("bant", whole, None),
    )
    if path.name == "sales":
        section.refuse_at("name", "sales is the path of leads that sales took by itself; choose another name")
    if path.bant is not None and path.bant > 4:
        section.refuse_at("bant", f"found {path.bant}, expected 1 to 4 of budget, authority, need and timeline")
    if "within" in section and "fact" not in section:
        section.refuse_at("within", "expected only beside fact: it is the age of a fact")
    if not section.failed and (path.fact, path.visits, path.interest, path.fit, path.bant) == (None,) * 5:
        section.refuse(Wrong(node, "asks nothing, expected some of fact, visits, interest, fit, bant"))
    return path


def _visits(node: Node, problems: Problems) -> Visits:
    section = Section(node, ("at_least", "within"), problems)
    return Visits(section.require("at_least", whole, 1), section.require("within", longer_than_nothing, 1))


def sla_of(node: Node, problems: Problems) -> Sla:
    """How soon sales must answer."""
    section = Section(node, ("respond_within", "give_up"), problems)
    sla = Sla(
        section.require("respond_within", _a_second_at_least, 1),
        section.require("give_up", _a_second_at_least, 2),
    )
    if not section.failed and sla.respond_within_ms >= sla.give_up_ms:
        section.refuse_at("respond_within", "expected less than give_up")
    return sla


def rest_of(node: Node, problems: Problems) -> Rest:
    """How long rejected and lost leads rest."""
    section = Section(node, ("default", "reasons"), problems)

    def reasons(entry: Node) -> dict[str, int | None]:
        return {name: _or_never(lasts) for name, lasts in entries(entry).items()}

    return Rest(section.read("default", _or_never, DEFAULT_REST_MS), section.read("reasons", reasons, {}))


def _or_never(node: Node) -> int | None:
    return None if node.value == "never" else _a_second_at_least(node, " or never")


def _a_second_at_least(node: Node, otherwise: str = "") -> int:
    """Milliseconds. A lead that stays hot goes round from SQL to rest: in less, the worker would do nothing else."""
    length = duration(node, otherwise)
    if length < UNITS["s"]:
        raise Wrong(node, f"found {node.written}, expected 1s or longer{otherwise}")
    return length
