"""Tests of one value in a model's condition: what may be written for each type of field, and what it does.

A test is a text pattern, a number, true or false, a symbol of an enum, a list of those (any of), or a mapping
of named tests (all of): `at_least`, `at_most`, `between` for numbers; `has`, `lacks`, `matches` (a regular expression)
for texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from streams.qualification.model.expressions import compile_expression
from streams.qualification.model.fields import Field
from streams.qualification.model.nearest import one_of
from streams.qualification.model.patterns import compile_globs, compile_words

ValueTest = Callable[[Any], bool]

#: Of the numbers that events hold, either way; a larger one in a condition is a slip.
LARGEST_VALUE = 1e18


class Refused(Exception):
    """A test that can't be compiled; `path` leads from the test to the wrong value."""

    def __init__(self, problem: str, *path: str | int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path


@dataclass(frozen=True, slots=True)
class Compiled:
    """`test` of a known value, in words, and whether the test holds for an unknown one."""

    test: ValueTest
    text: str
    unknown: bool = False


def compile_test(spec: object, field: Field) -> Compiled:
    """The test of a record's field that `spec` describes. Raises Refused."""
    if field.type == "text":
        return _named(spec, _TEXT_TESTS, "text") if isinstance(spec, Mapping) else _globs(spec)
    if field.type == "number":
        return _named(spec, _NUMBER_TESTS, "numeric") if isinstance(spec, Mapping) else _numbers(spec)
    if field.type == "boolean":
        return _boolean(spec)
    if field.type == "symbol":
        return _symbols(spec, field.symbols)
    if not isinstance(spec, Mapping):
        raise Refused(f"found {shown(spec)}, expected has: KEY, lacks: KEY, or attributes.KEY with a test")
    return _named(spec, _KEY_TESTS, "map")


def compile_attribute(spec: object) -> Compiled:
    """The test of one attribute, a text. Raises Refused.

    A numeric test reads the text as a number; what is no number is unknown to it.
    """
    if isinstance(spec, Mapping):
        return _named(spec, _ATTRIBUTE_TESTS, "text")
    items = [item for _, item in _items(spec)]
    if all(isinstance(item, bool) for item in items):
        return _globs([shown(item) for item in items])
    if all(isinstance(item, (int, float)) for item in items):
        return _read(_numbers)(spec)
    return _globs(spec)


def shown(value: object) -> str:
    """`value` as the model file's author wrote it, shortly."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    text = str(value) if len(str(value)) <= 60 else f"{str(value)[:57]}..."
    return f'"{text}"' if isinstance(value, str) else text


# --- values ---------------------------------------------------------------------------------------------


def _globs(spec: object) -> Compiled:
    patterns = []
    for path, item in _items(spec):
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise Refused(f'found {shown(item)}, expected a text pattern such as "*pricing*"', *path)
        patterns.append(str(item))
        try:
            compile_globs(patterns[-1:])
        except ValueError as empty:
            raise Refused(f'found {empty}, expected a text pattern such as "*pricing*"', *path) from None
    alternatives = (part.strip() for pattern in patterns for part in pattern.split("|"))
    return Compiled(compile_globs(patterns), f"is {_or(alternatives)}")


def _numbers(spec: object) -> Compiled:
    numbers = [_number(item, *path) for path, item in _items(spec)]
    return Compiled(frozenset(numbers).__contains__, f"is {_or(map(figure, numbers))}")


def _boolean(spec: object) -> Compiled:
    if not isinstance(spec, bool):
        raise Refused(f"found {shown(spec)}, expected true or false")
    return Compiled(lambda value: value is spec, f"is {shown(spec)}")


def _symbols(spec: object, symbols: tuple[str, ...]) -> Compiled:
    wanted = []
    for path, item in _items(spec):
        if item == "UNKNOWN":
            raise Refused("UNKNOWN stands for what is not known, and that meets no test", *path)
        if not isinstance(item, str) or item not in symbols:
            raise Refused(f"found {shown(item)}; {one_of(item, symbols)}", *path)
        wanted.append(item)
    return Compiled(frozenset(wanted).__contains__, f"is {_or(wanted)}")


# --- named tests ----------------------------------------------------------------------------------------


def _named(spec: Mapping[Any, Any], known: Mapping[str, Callable[[object], Compiled]], kind: str) -> Compiled:
    if not spec:
        raise Refused(f"found no test; allowed: {', '.join(known)}")
    compiled: list[Compiled] = []
    for name, argument in spec.items():
        if name not in known:
            problem = f"no test of a {kind} field" if name in _ALL_TESTS else "no such test"
            raise Refused(f"{problem}; {one_of(name, list(known))}", str(name))
        try:
            compiled.append(known[name](argument))
        except Refused as refused:
            raise Refused(refused.problem, name, *refused.path) from None
    if len(compiled) == 1:
        return compiled[0]
    tests = [part.test for part in compiled]
    return Compiled(
        lambda value: all(test(value) for test in tests),
        " and ".join(part.text for part in compiled),
        all(part.unknown for part in compiled),
    )


def _at_least(spec: object) -> Compiled:
    bound = _number(spec)
    return Compiled(lambda value: bool(value >= bound), f"at least {figure(bound)}")


def _at_most(spec: object) -> Compiled:
    bound = _number(spec)
    return Compiled(lambda value: bool(value <= bound), f"at most {figure(bound)}")


def _between(spec: object) -> Compiled:
    if isinstance(spec, str) or not isinstance(spec, Sequence) or len(spec) != 2:
        raise Refused(f"found {shown(spec)}, expected two numbers such as [10, 50]")
    low, high = _number(spec[0], 0), _number(spec[1], 1)
    if low > high:
        raise Refused(f"found [{figure(low)}, {figure(high)}], expected the smaller number first")
    return Compiled(lambda value: bool(low <= value <= high), f"between {figure(low)} and {figure(high)}")


def _has(spec: object) -> Compiled:
    phrases = _texts(spec, "words")
    return Compiled(compile_words(phrases), f"has {_or(phrases)}")


def _lacks(spec: object) -> Compiled:
    phrases = _texts(spec, "words")
    has = compile_words(phrases)
    return Compiled(lambda value: not has(value), f"lacks {_or(phrases)}", unknown=True)


def _has_key(spec: object) -> Compiled:
    keys = frozenset(_texts(spec, "the key of an attribute"))
    return Compiled(lambda attributes: not keys.isdisjoint(attributes), f"has {_or(sorted(keys))}")


def _lacks_key(spec: object) -> Compiled:
    keys = frozenset(_texts(spec, "the key of an attribute"))
    return Compiled(keys.isdisjoint, f"lacks {_or(sorted(keys))}", unknown=True)


def _matches(spec: object) -> Compiled:
    if not isinstance(spec, str) or not spec:
        raise Refused(f"found {shown(spec)}, expected a regular expression")
    try:
        return Compiled(compile_expression(spec), f"matches {spec}")
    except ValueError as bad:
        raise Refused(f"found {shown(spec)}, not a regular expression: {bad}") from None


def _read(numeric: Callable[[object], Compiled]) -> Callable[[object], Compiled]:
    """A numeric test, of a text that may be a number."""

    def compiled(spec: object) -> Compiled:
        inner = numeric(spec)

        def holds(text: str) -> bool:
            try:
                number = float(text)
            except ValueError:
                return False
            return isfinite(number) and inner.test(number)

        return Compiled(holds, inner.text)

    return compiled


_TEXT_TESTS = {"has": _has, "lacks": _lacks, "matches": _matches}
_NUMBER_TESTS = {"at_least": _at_least, "at_most": _at_most, "between": _between}
_KEY_TESTS = {"has": _has_key, "lacks": _lacks_key}
_ATTRIBUTE_TESTS = {**{name: _read(test) for name, test in _NUMBER_TESTS.items()}, **_TEXT_TESTS}
_ALL_TESTS = frozenset(_ATTRIBUTE_TESTS)


# --- reading arguments ----------------------------------------------------------------------------------


def _items(spec: object) -> list[tuple[tuple[int, ...], object]]:
    """The alternatives of a scalar or a list, each with its path."""
    if spec is None or isinstance(spec, Mapping):
        raise Refused(f"found {shown(spec)}, expected a value or a list of values")
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        if not spec:
            raise Refused("found an empty list, expected at least one value")
        return [((index,), item) for index, item in enumerate(spec)]
    return [((), spec)]


def _number(spec: object, *path: int) -> float:
    if isinstance(spec, bool) or not isinstance(spec, (int, float)):
        raise Refused(f"found {shown(spec)}, expected a number", *path)
    if not abs(spec) <= LARGEST_VALUE:
        raise Refused(f"found {shown(spec)}, expected a number from {-LARGEST_VALUE:g} to {LARGEST_VALUE:g}", *path)
    return float(spec) if isinstance(spec, float) else int(spec)


def _texts(spec: object, what: str) -> list[str]:
    texts = []
    for path, item in _items(spec):
        if isinstance(item, bool) or not isinstance(item, (str, int)) or not str(item).strip():
            raise Refused(f"found {shown(item)}, expected {what}", *path)
        texts.append(str(item))
    return texts


def figure(number: float) -> str:
    """A number as a person writes it: without an idle fraction."""
    return f"{number:.15g}"


def _or(texts: Iterable[str]) -> str:
    return " or ".join(texts)
