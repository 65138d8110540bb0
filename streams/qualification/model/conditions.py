"""Conditions: `when:` of the model file, compiled to one predicate over an event's or a profile's fields.

A condition is a mapping of fields to tests (`value_tests`). What is unknown (None, or missing) meets no test
but `lacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.errors import UsageError
from streams.qualification.model.fields import ATTRIBUTE_PREFIX, Field
from streams.qualification.model.nearest import one_of
from streams.qualification.model.value_tests import Refused, ValueTest, compile_attribute, compile_test, shown

Fields = Mapping[str, Any]
Predicate = Callable[[Fields], bool]


class ConditionError(UsageError):
    """A condition that can't be compiled. `path` leads from the condition to the wrong value."""

    def __init__(self, where: str, path: tuple[str | int, ...], problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{where}{dotted(path)}: {problem}")


def dotted(path: Sequence[str | int]) -> str:
    """`path` as it is written behind a place: `.when.url`, `[2].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition: `matches(fields)` tells whether it holds, `text` says it in words.

    Two are equal when they ask the same, by `asks`: words leave out where one alternative ends and the next begins.
    """

    text: str = field(compare=False)
    fields: frozenset[str]
    matches: Predicate = field(compare=False, repr=False)
    asks: Hashable = field(repr=False)
    #: what it asks of each field
    parts: tuple[tuple[str, Predicate], ...] = field(default=(), compare=False, repr=False)
    any_of: bool = field(default=False, compare=False, repr=False)

    @property
    def always(self) -> bool:
        """Whether it asks nothing, and so always holds."""
        return not self.fields

    def undecided(self, fields: Fields) -> tuple[str, ...]:
        """The unknown fields on which it depends whether it holds; none where what is known settles it."""
        still_open = {name for name, predicate in self.parts if _is_open(name, predicate, fields)}
        if any(predicate(fields) == self.any_of for name, predicate in self.parts if name not in still_open):
            return ()
        return tuple(name for name, _ in self.parts if name in still_open)


def compile_condition(
    spec: object, allowed: Mapping[str, Field], where: str = "when", *, any_of: bool = False
) -> Condition:
    """Compile `spec`, a mapping of the fields in `allowed` to tests; all must hold, or one with `any_of`.

    `where` begins the message of the ConditionError that a wrong condition raises.
    """
    if not isinstance(spec, Mapping):
        problem = f'found {shown(spec)}, expected fields with tests, such as {{url: "*/pricing*"}}'
        raise ConditionError(where, (), problem)
    parts: list[tuple[str, Predicate]] = []
    words: list[str] = []
    for name, test in spec.items():
        try:
            predicate, text = _compile_field(name, test, allowed)
        except Refused as refused:
            raise ConditionError(where, (name, *refused.path), refused.problem) from None
        parts.append((name, predicate))
        words.append(text)
    joined = (" or " if any_of else " and ").join(words) or "always"
    asks = any_of and len(spec) > 1, _hashable(spec)
    holds = (_any if any_of else _all)([predicate for _, predicate in parts])
    return Condition(joined, frozenset(spec), holds, asks, tuple(parts), any_of)


def _is_open(name: str, predicate: Predicate, fields: Fields) -> bool:
    """Whether more may become known of the field: also of attributes that are known, as they may always get another
    key.
    """
    if name == "attributes":
        return predicate(fields) == predicate({})
    key = name.removeprefix(ATTRIBUTE_PREFIX)
    known = fields if key == name else fields.get("attributes") or {}
    return known.get(key) is None


def _hashable(spec: object) -> Hashable:
    """`spec` as a value to compare. The order of a mapping says nothing, and a list of one is that one."""
    if isinstance(spec, Mapping):
        return frozenset((name, _hashable(test)) for name, test in spec.items())
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return _hashable(spec[0]) if len(spec) == 1 else tuple(_hashable(one) for one in spec)
    assert isinstance(spec, Hashable)
    return spec


def _compile_field(name: object, spec: object, allowed: Mapping[str, Field]) -> tuple[Predicate, str]:
    if not isinstance(name, str):
        raise Refused(f"found {shown(name)}, expected the name of a field")
    key = name.removeprefix(ATTRIBUTE_PREFIX)
    if "attributes" in allowed and key and key != name:
        compiled = compile_attribute(spec)
        return _of_attribute(key, compiled.test, compiled.unknown), f"{name} {compiled.text}"
    if name not in allowed:
        choices = [*allowed, f"{ATTRIBUTE_PREFIX}KEY"] if "attributes" in allowed else list(allowed)
        raise Refused(f"no such field; {one_of(name, choices)}")
    compiled = compile_test(spec, allowed[name])
    return _of_field(name, compiled.test, compiled.unknown), f"{name} {compiled.text}"


def _of_field(name: str, test: ValueTest, unknown: bool) -> Predicate:
    def holds(fields: Fields) -> bool:
        value = fields.get(name)
        return unknown if value is None else test(value)

    return holds


def _of_attribute(key: str, test: ValueTest, unknown: bool) -> Predicate:
    def holds(fields: Fields) -> bool:
        attributes = fields.get("attributes")
        value = None if attributes is None else attributes.get(key)
        return unknown if value is None else test(value)

    return holds


def _all(predicates: list[Predicate]) -> Predicate:
    if not predicates:
        return lambda fields: True
    if len(predicates) == 1:
        return predicates[0]
    if len(predicates) == 2:
        first, second = predicates
        return lambda fields: first(fields) and second(fields)
    return lambda fields: all(predicate(fields) for predicate in predicates)


def _any(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda fields: any(predicate(fields) for predicate in predicates)
