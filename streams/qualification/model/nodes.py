"""A model file's YAML as a tree of values that know their line and path.

YAML by its 1.2 rules as far as they matter here: `on`, `yes`, `NO` and `007` are texts.
Aliases, tags and duplicate keys are refused, and so is a file that is too large or too deep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from streams.errors import UsageError
from streams.qualification.model.conditions import dotted

LARGEST = 256 * 1024  # characters; the richest model we know has 12 thousand
DEEPEST = 12
MOST_SHOWN = 20

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,14})", re.ASCII)
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


class ModelError(UsageError):
    """A model file that is wrong; `problems` are all that was found, each with its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = len(problems) - MOST_SHOWN
        super().__init__("\n".join([*problems[:MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]))


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file: None, a bool, a number, a text, a list of nodes or a mapping of names to nodes.

    `written` is a scalar as it stands in the file; `path` leads to the value from the top.
    """

    value: Any
    line: int
    path: Path
    written: str = ""

    def plain(self) -> Any:
        """The value without lines: dicts, lists and scalars. A number says as text what stands in the file."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        if isinstance(self.value, (int, float)) and str(self.value) != self.written:
            return self.value if isinstance(self.value, bool) else _as_written(self.value, self.written)
        return self.value

    def deepest(self, path: Path) -> Node:
        """The node at `path` from here, or the last one on the way to it."""
        node = self
        for step in path:
            try:
                node = node.value[step]
            except (LookupError, TypeError):  # the path ends at a key that is not there, or in a scalar
                break
        return node


class _Whole(int):
    written = ""

    def __str__(self) -> str:
        return self.written


class _Broken(float):
    written = ""

    def __str__(self) -> str:
        return self.written


def _as_written(value: float, written: str) -> _Whole | _Broken:
    """A number that may turn out to be a text, such as a telephone's `+4930` or a version `1.10`."""
    number = _Whole(value) if isinstance(value, int) else _Broken(value)
    number.written = written
    return number


class Wrong(Exception):
    """A value that can't be used, and why."""

    def __init__(self, node: Node, problem: str, path: Path | None = None) -> None:
        super().__init__(problem)
        self.node = node
        self.problem = problem
        self.path = node.path if path is None else path


class Problems:
    """Everything that is wrong with one file."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, path: Path, problem: str) -> None:
        place = dotted(path).removeprefix(".")
        self._found.append((line, f"{self.source}:{line}: {place}{': ' if place else ''}{problem}"))

    def add_wrong(self, wrong: Wrong) -> None:
        self.add(wrong.node.line, wrong.path, wrong.problem)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_if_any(self) -> None:
        """Raise them all, by line, as one ModelError."""
        if self._found:
            raise ModelError([text for _, text in sorted(self._found, key=lambda found: found[0])])


# --- YAML to nodes --------------------------------------------------------------------------------------


def parse(text: str, problems: Problems) -> Node:
    """The tree of `text`. Raises ModelError for what is no YAML, or more of it than a model may be."""
    if len(text) > LARGEST:
        raise ModelError([f"{problems.source}: {len(text)} characters, expected a model of at most {LARGEST}"])
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as bad:
        mark = bad.problem_mark or bad.context_mark
        line = mark.line + 1 if mark else 1
        raise ModelError([f"{problems.source}:{line}: not YAML: {bad.problem or bad.context}"]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as bad:  # PyYAML takes escapes for characters, unseen
        raise ModelError([f"{problems.source}: not YAML: {' '.join(str(bad).split())}"]) from None
    if root is None:
        raise ModelError([f"{problems.source}: the file is empty, expected a model"])
    return _node(root, (), problems)


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to its node graph, without aliases, tags and bottomless nesting."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self._refuse("aliases (*name) are not allowed", event)
        if getattr(event, "tag", None) is not None:
            self._refuse(f"tags ({event.tag}) are not allowed", event)
        if self._depth >= DEEPEST:
            self._refuse(f"nested deeper than {DEEPEST} levels", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse(self, problem: str, event: Any) -> None:
        raise ComposerError(None, None, problem, event.start_mark)


def _node(node: Any, path: Path, problems: Problems) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        entries: dict[str, Node] = {}
        for key, value in node.value:
            key_line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.add(key_line, path, "found a list or mapping as a key, expected a name")
            elif _is_torn(key.value):
                problems.add(key_line, path, _TORN)
            elif key.value in entries:
                first = entries[key.value].line
                problems.add(key_line, (*path, key.value), f"given twice, first in line {first}; keep one")
            else:
                entries[key.value] = _node(value, (*path, key.value), problems)
        return Node(entries, line, path)
    if isinstance(node, yaml.SequenceNode):
        items = [_node(item, (*path, index), problems) for index, item in enumerate(node.value)]
        return Node(items, line, path)
    if _is_torn(node.value):
        problems.add(line, path, _TORN)
        return Node(None, line, path)
    plain = node.style is None
    return Node(_scalar(node.value) if plain else node.value, line, path, node.value)


_TORN = "found half a character (a lone surrogate), which no text can hold; write the character itself"


def _is_torn(text: str) -> bool:
    """Whether a text has an escape in it, such as "\\ud800", that is half of a UTF-16 pair."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _scalar(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
