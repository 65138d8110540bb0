"""The lists of a model file that ask something of events and profiles: rules, facts, fit and personas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.qualification.model.conditions import Condition, ConditionError, compile_condition
from streams.qualification.model.fields import BEHAVIOUR, FIELDS
from streams.qualification.model.nodes import Node, Problems, Wrong
from streams.qualification.model.sections import (
    LONGEST_NAME,
    Section,
    choice,
    entries,
    flag,
    items,
    number,
    per_day,
    positive,
    text_of,
    whole,
)
from streams.qualification.model.value_tests import LARGEST_VALUE
from streams.qualification.model.values import Fact, FitRule, Group, Persona, PointsPer, Rule

_ALWAYS = compile_condition({}, {})
_RULE_KEYS = ("name", "on", "when", "group", "points", "points_per", "at_most", "also")


def condition(node: Node, kind: str, *, any_of: bool = False) -> Condition:
    """The condition in `node` on the fields of `kind`; it must ask something. Raises Wrong."""
    compiled = _condition(node, kind, any_of=any_of)
    if compiled.always:
        raise Wrong(node, "asks nothing, expected fields with tests")
    return compiled


def _condition(node: Node, kind: str, *, any_of: bool = False) -> Condition:
    try:
        return compile_condition(node.plain(), FIELDS[kind], any_of=any_of)
    except ConditionError as refused:
        raise Wrong(node.deepest(refused.path), refused.problem, (*node.path, *refused.path)) from None


def rules_of(node: Node, groups: Mapping[str, Group], problems: Problems) -> dict[str, tuple[Rule, ...]]:
    """The interest rules by kind of event, in file order."""
    read = [(entry, _rule(entry, groups, problems)) for entry in items(node)]
    if not read:
        raise Wrong(node, "found no rule, expected at least one")
    # Frequency limits and evidence go by the name alone, so it must be one rule's.
    refuse_repeated([(entry, rule.name) for entry, rule in read], problems)
    for kind in BEHAVIOUR:
        _refuse_unreachable([(entry, rule) for entry, rule in read if rule.on == kind], problems)
    by_kind = {kind: tuple(rule for _, rule in read if rule.on == kind) for kind in BEHAVIOUR}
    return {kind: rules for kind, rules in by_kind.items() if rules}


def _rule(node: Node, groups: Mapping[str, Group], problems: Problems) -> Rule:
    section = Section(node, _RULE_KEYS, problems)
    kind = section.require("on", choice(BEHAVIOUR), "")
    rule = Rule(
        name=section.require("name", text_of, ""),
        on=kind,
        when=section.read("when", lambda when: _condition(when, kind), _ALWAYS) if kind else _ALWAYS,
        group=section.require("group", choice(list(groups)), "") if groups else "",
        points=section.read("points", number, None),
        points_per=section.read("points_per", lambda per: _points_per(per, kind, problems), None) if kind else None,
        at_most=section.read("at_most", per_day, None),
        also=section.read("also", flag, False),
    )
    if ("points" in section) == ("points_per" in section):
        found = "both points and points_per" if "points" in section else "neither points nor points_per"
        section.refuse(Wrong(node, f"found {found}, expected one of them"))
    return rule


def _points_per(node: Node, kind: str, problems: Problems) -> PointsPer:
    section = Section(node, ("field", "each", "points", "at_most"), problems)
    measured = [name for name, field in FIELDS[kind].items() if field.type == "number"]
    if not measured:
        raise Wrong(node, f"{kind} has no number to give points for")
    return PointsPer(
        section.require("field", choice(measured), ""),
        section.require("each", lambda each: positive(each, LARGEST_VALUE), 1.0),
        section.require("points", number, 0.0),
        section.read("at_most", whole, None),
    )


def _refuse_unreachable(rules: Sequence[tuple[Node, Rule]], problems: Problems) -> None:
    before: list[tuple[Node, Rule]] = []
    for node, rule in rules:
        if rule.also:
            continue
        for earlier_node, earlier in before:
            if earlier.when.always or earlier.when == rule.when:
                takes = f"{'every' if earlier.when.always else 'the same'} {rule.on} before it"
                problem = f"never reached: {earlier.name} (line {earlier_node.line}) takes {takes}"
                problems.add(node.line, node.path, f"{problem}; move this rule up, or mark it also: true")
                break
        else:
            before.append((node, rule))


def facts_of(node: Node, problems: Problems) -> dict[str, Fact]:
    """The remembered facts by name."""
    return {name: _fact(name, entry, problems) for name, entry in entries(node).items()}


def _fact(name: str, node: Node, problems: Problems) -> Fact:
    section = Section(node, ("on", "when", "until"), problems)
    kind = section.require("on", choice(BEHAVIOUR), "")
    if not kind:
        return Fact(name, kind, _ALWAYS)
    return Fact(
        name,
        kind,
        section.read("when", lambda when: _condition(when, kind), _ALWAYS),
        section.read("until", lambda until: condition(until, kind), None),
    )


def fit_of(node: Node, problems: Problems) -> tuple[FitRule, ...]:
    """The fit rules in file order; one without a name is called by its condition."""
    return tuple(_fit_rule(entry, problems) for entry in items(node))


def _fit_rule(node: Node, problems: Problems) -> FitRule:
    section = Section(node, ("name", "when", "points"), problems)
    when = section.require("when", lambda entry: condition(entry, "lead_profile"), _ALWAYS)
    words = when.text if len(when.text) <= LONGEST_NAME else f"{when.text[: LONGEST_NAME - 1]}…"
    return FitRule(section.read("name", text_of, words), when, section.require("points", number, 0.0))


def personas_of(node: Node, problems: Problems) -> tuple[Persona, ...]:
    """The negative personas in file order."""
    personas = tuple(_persona(entry, problems) for entry in items(node))
    refuse_repeated([(entry, one.name) for entry, one in zip(items(node), personas, strict=True)], problems)
    return personas


def _persona(node: Node, problems: Problems) -> Persona:
    section = Section(node, ("name", "when"), problems)
    name = section.require("name", text_of, "")
    return Persona(name, section.require("when", lambda entry: condition(entry, "lead_profile"), _ALWAYS))


def refuse_repeated(named: Sequence[tuple[Node, str]], problems: Problems) -> None:
    """Every name must be one entry's."""
    first: dict[str, Node] = {}
    for node, name in named:
        if name and first.setdefault(name, node) is not node:
            problems.add(node.line, (*node.path, "name"), f"{name} is taken in line {first[name].line}; choose another")
