"""Conditions: `when:` of the model file, compiled to one predicate over an event's or a profile's fields.

A condition is a mapping of fields to tests. A test is a text pattern, a number, true or false, a list of those (any of),
or a mapping of named tests (all of). What is unknown (None, or missing) meets no test but `lacks`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.errors import UsageError
from streams.qualification.fields import ATTRIBUTE_PREFIX, Field
from streams.qualification.nearest import one_of
from streams.qualification.patterns import compile_globs, compile_words

Fields = Mapping[str, Any]
Predicate = Callable[[Fields], bool]
ValueTest = Callable[[Any], bool]

NAMED_TESTS = ("at_least", "at_most", "between", "has", "lacks", "matches")
_NUMERIC_TESTS = frozenset({"at_least", "at_most", "between"})


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
    """A compiled condition: `matches(fields)` tells whether it holds, `text` says it in words."""

    text: str
    fields: frozenset[str]
    matches: Predicate = field(compare=False, repr=False)

    @property
    def always(self) -> bool:
        """Whether it asks nothing, and so always holds."""
        return not self.fields


def compile_condition(
    spec: object, allowed: Mapping[str, Field], where: str = "when", *, any_of: bool = False
) -> Condition:
    """Compile `spec`, a mapping of the fields in `allowed` to tests; all must hold, or one with `any_of`.

    `where` begins the message of the ConditionError that a wrong condition raises.
    """
    if not isinstance(spec, Mapping):
        raise ConditionError(
            where, (), f'found {shown(spec)}, expected fields with tests, such as {{url: "*/pricing*"}}'
        )
    predicates: list[Predicate] = []
    words: list[str] = []
    for name, test in spec.items():
        try:
            predicate, text = _compile_field(name, test, allowed)
        except _Refused as refused:
            raise ConditionError(where, (name, *refused.path), refused.problem) from None
        predicates.append(predicate)
        words.append(text)
    joined = (" or " if any_of else " and ").join(words) or "always"
    return Condition(joined, frozenset(spec), (_any if any_of else _all)(predicates))


class _Refused(Exception):
    def __init__(self, problem: str, *path: str | int) -> None:
        self.problem = problem
        self.path = path


def shown(value: object) -> str:
    """`value` as the model file's author wrote it, roughly and shortly."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + '..."'


# --- predicates over fields ------------------------------------------------------------------------------------------


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


def _compile_field(name: object, test: object, allowed: Mapping[str, Field]) -> tuple[Predicate, str]:
    if not isinstance(name, str):
        raise _Refused(f"found {shown(name)}, expected the name of a field")
    if name.startswith(ATTRIBUTE_PREFIX) and "attributes" in allowed and len(name) > len(ATTRIBUTE_PREFIX):
        key = name.removeprefix(ATTRIBUTE_PREFIX)
        test_value, text, unknown = _compile_attribute(test)
        return _of_attribute(key, test_value, unknown), f"{name} {text}"
    if name not in allowed:
        choices = [*allowed, "attributes.KEY"] if "attributes" in allowed else list(allowed)
        raise _Refused(f"no such field; {one_of(name, choices)}")
    known = allowed[name]
    if known.type == "text":
        test_value, text, unknown = _compile_text(test)
    elif known.type == "number":
        test_value, text, unknown = _compile_number(test)
    elif known.type == "boolean":
        test_value, text, unknown = _compile_boolean(test)
    elif known.type == "symbol":
        test_value, text, unknown = _compile_symbol(test, known.symbols)
    else:
        test_value, text, unknown = _compile_keys(test)
    return _of_field(name, test_value, unknown), f"{name} {text}"


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


# --- tests of one value: (test of a known value, in words, whether it holds for an unknown one) ----------------------

_Compiled = tuple[ValueTest, str, bool]


def _compile_text(spec: object) -> _Compiled:
    if isinstance(spec, Mapping):
        return _compile_named(spec, {"has": _has, "lacks": _lacks, "matches": _matches}, "text")
    return _globs(spec)


def _globs(spec: object) -> _Compiled:
    items = _items(spec)
    patterns = []
    for index, item in items:
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise _Refused(f'found {shown(item)}, expected a text pattern such as "*pricing*"', *index)
        patterns.append(str(item))
        try:
            compile_globs([str(item)])
        except ValueError as empty:
            raise _Refused(f'found {empty}, expected a text pattern such as "*pricing*"', *index) from None
    return (
        compile_globs(patterns),
        f"is {_or(part.strip() for text in patterns for part in text.split('|'))}",
        False,
    )


def _compile_number(spec: object) -> _Compiled:
    if isinstance(spec, Mapping):
        return _compile_named(
            spec, {"at_least": _at_least, "at_most": _at_most, "between": _between}, "numeric"
        )
    numbers = [_number(item, *index) for index, item in _items(spec)]
    wanted = frozenset(numbers)
    return wanted.__contains__, f"is {_or(_figure(number) for number in numbers)}", False


def _compile_boolean(spec: object) -> _Compiled:
    if not isinstance(spec, bool):
        raise _Refused(f"found {shown(spec)}, expected true or false")
    return (lambda value: value is spec), f"is {shown(spec)}", False


def _compile_symbol(spec: object, symbols: tuple[str, ...]) -> _Compiled:
    wanted = []
    for index, item in _items(spec):
        if not isinstance(item, str) or item not in symbols:
            raise _Refused(f"found {shown(item)}; {one_of(item, symbols)}", *index)
        wanted.append(item)
    if len(wanted) == 1:
        return wanted[0].__eq__, f"is {wanted[0]}", False
    return frozenset(wanted).__contains__, f"is {_or(wanted)}", False


def _compile_attribute(spec: object) -> _Compiled:
    """Attributes are texts; a numeric test reads them as numbers, and what is no number is unknown to it."""
    if isinstance(spec, Mapping):
        if not spec or not _NUMERIC_TESTS.issuperset(spec):
            named = {"has": _has, "lacks": _lacks, "matches": _matches}
            numeric = {"at_least": _at_least, "at_most": _at_most, "between": _between}
            return _compile_named(
                spec, {**{n: _read_number(t) for n, t in numeric.items()}, **named}, "attribute"
            )
        test, text, _ = _compile_number(spec)
        return _on_number(test), text, False
    items = _items(spec)
    if all(isinstance(item, bool) for _, item in items):
        return _globs([shown(item) for _, item in items])
    if all(isinstance(item, (int, float)) and not isinstance(item, bool) for _, item in items):
        test, text, _ = _compile_number(spec)
        return _on_number(test), text, False
    return _globs(spec)


def _compile_keys(spec: object) -> _Compiled:
    if not isinstance(spec, Mapping):
        raise _Refused("expected has: KEY, lacks: KEY, or a test of one attribute as attributes.KEY")
    return _compile_named(spec, {"has": _has_key, "lacks": _lacks_key}, "attributes")


# --- named tests -----------------------------------------------------------------------------------------------------


def _compile_named(
    spec: Mapping[Any, Any], known: Mapping[str, Callable[[object], _Compiled]], field_type: str
) -> _Compiled:
    if not spec:
        raise _Refused(f"found no test; expected one of {', '.join(known)}")
    compiled: list[_Compiled] = []
    for name, argument in spec.items():
        if name not in known:
            if name in NAMED_TESTS:
                raise _Refused(
                    f"not a test of a {field_type} field; expected one of {', '.join(known)}", name
                )
            raise _Refused(f"no such test; {one_of(name, list(known))}", str(name))
        try:
            compiled.append(known[name](argument))
        except _Refused as refused:
            raise _Refused(refused.problem, name, *refused.path) from None
    text = " and ".join(text for _, text, _ in compiled)
    unknown = all(unknown for _, _, unknown in compiled)
    tests = [test for test, _, _ in compiled]
    if len(tests) == 1:
        return tests[0], text, unknown
    return (lambda value: all(test(value) for test in tests)), text, unknown


def _at_least(spec: object) -> _Compiled:
    bound = _number(spec)
    return (lambda value: bool(value >= bound)), f"at least {_figure(bound)}", False


def _at_most(spec: object) -> _Compiled:
    bound = _number(spec)
    return (lambda value: bool(value <= bound)), f"at most {_figure(bound)}", False


def _between(spec: object) -> _Compiled:
    if isinstance(spec, str) or not isinstance(spec, Sequence) or len(spec) != 2:
        raise _Refused(f"found {shown(spec)}, expected two numbers such as [10, 50]")
    low, high = _number(spec[0], 0), _number(spec[1], 1)
    if low > high:
        raise _Refused(f"found [{_figure(low)}, {_figure(high)}], expected the smaller number first")
    return (lambda value: bool(low <= value <= high)), f"between {_figure(low)} and {_figure(high)}", False


def _has(spec: object) -> _Compiled:
    phrases, test = _words(spec)
    return test, f"has {_or(phrases)}", False


def _lacks(spec: object) -> _Compiled:
    phrases, test = _words(spec)
    return (lambda value: not test(value)), f"lacks {_or(phrases)}", True


def _words(spec: object) -> tuple[list[str], ValueTest]:
    phrases = _texts(spec, "words")
    try:
        return phrases, compile_words(phrases)
    except ValueError as empty:
        raise _Refused(f"found {empty}, expected words") from None


def _has_key(spec: object) -> _Compiled:
    keys = _texts(spec, "the key of an attribute")
    return (lambda attributes: any(key in attributes for key in keys)), f"has {_or(keys)}", False


def _lacks_key(spec: object) -> _Compiled:
    keys = _texts(spec, "the key of an attribute")
    return (lambda attributes: not any(key in attributes for key in keys)), f"lacks {_or(keys)}", True


def _matches(spec: object) -> _Compiled:
    if not isinstance(spec, str) or not spec:
        raise _Refused(f"found {shown(spec)}, expected a regular expression")
    try:
        search = re.compile(spec, re.IGNORECASE).search
    except re.error as bad:
        at = "" if bad.pos is None else f" at character {bad.pos + 1}"
        raise _Refused(f"found {shown(spec)}, not a regular expression: {bad.msg}{at}") from None
    return (lambda value: search(value) is not None), f"matches {spec}", False


def _read_number(named: Callable[[object], _Compiled]) -> Callable[[object], _Compiled]:
    def compiled(spec: object) -> _Compiled:
        test, text, unknown = named(spec)
        return _on_number(test), text, unknown

    return compiled


def _on_number(test: ValueTest) -> ValueTest:
    def holds(text: str) -> bool:
        try:
            return test(float(text))
        except ValueError:
            return False

    return holds


# --- reading arguments -----------------------------------------------------------------------------------------------


def _items(spec: object) -> list[tuple[tuple[int, ...], object]]:
    """The alternatives of a scalar or a list, each with its path."""
    if isinstance(spec, Mapping):
        raise _Refused("found a mapping, expected a value or a list of values")
    if spec is None:
        raise _Refused("found nothing, expected a value to compare with")
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        if not spec:
            raise _Refused("found an empty list, expected at least one value")
        return [((index,), item) for index, item in enumerate(spec)]
    return [((), spec)]


def _number(spec: object, *path: int) -> float:
    if isinstance(spec, bool) or not isinstance(spec, (int, float)) or not math.isfinite(spec):
        raise _Refused(f"found {shown(spec)}, expected a number", *path)
    return spec


def _texts(spec: object, what: str) -> list[str]:
    texts = []
    for index, item in _items(spec):
        if isinstance(item, bool) or not isinstance(item, (str, int)) or not str(item).strip():
            raise _Refused(f"found {shown(item)}, expected {what}", *index)
        texts.append(str(item))
    return texts


def _figure(number: float) -> str:
    return f"{number:g}" if abs(number) < 1e6 else f"{number:.15g}"


def _or(texts: Any) -> str:
    return " or ".join(texts)
