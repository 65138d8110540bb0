"""Sections of a model file: mappings with known keys, and readers of what stands behind them.

What is wrong is collected, not raised, so that one run shows all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from streams.qualification.model.nearest import one_of
from streams.qualification.model.nodes import Node, Problems, Wrong
from streams.qualification.model.units import parse_duration, parse_per_day
from streams.qualification.model.value_tests import shown

T = TypeVar("T")
D = TypeVar("D")

#: Of points, caps, floors and thresholds, either way; but for 0, none is nearer to it than the smallest. So whatever
#: events say, and however long sums fade, a float holds it.
LARGEST_NUMBER = 1e9
SMALLEST_NUMBER = 1e-9
#: Of a name, in characters: names stand in every receipt, many times.
LONGEST_NAME = 100


class Section:
    """A mapping with known keys. What is wrong goes to `problems`; `failed` tells that something did."""

    def __init__(self, node: Node, keys: Sequence[str], problems: Problems) -> None:
        self.node = node
        self.failed = False
        self._problems = problems
        self._entries: dict[str, Node] = {}
        if not isinstance(node.value, dict):
            expected = f"expected a mapping of {', '.join(keys)}"
            self.refuse(Wrong(node, f"found {shown(node.plain())}, {expected}"))
            return
        for key, entry in node.value.items():
            if key in keys:
                self._entries[key] = entry
            else:
                self.refuse(Wrong(entry, f"no such key; {one_of(key, keys)}"))

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def get(self, key: str) -> Node | None:
        """The entry, or None when it is missing or nothing was written behind its key."""
        entry = self._entries.get(key)
        return None if entry is None or entry.value is None else entry

    def read(self, key: str, reader: Callable[[Node], T], default: D) -> T | D:
        """The entry through `reader`, or `default`."""
        entry = self.get(key)
        if entry is None:
            return default
        try:
            return reader(entry)
        except Wrong as wrong:
            self.refuse(wrong)
            return default

    def require(self, key: str, reader: Callable[[Node], T], stand_in: D) -> T | D:
        """The entry through `reader`; a missing one is a problem, and `stand_in` keeps the reading going."""
        if key not in self and isinstance(self.node.value, dict):
            self.refuse(Wrong(self._entries.get(key, self.node), "missing, and required", (*self.node.path, key)))
        return self.read(key, reader, stand_in)

    def refuse(self, wrong: Wrong) -> None:
        self.failed = True
        self._problems.add_wrong(wrong)

    def refuse_at(self, key: str, problem: str) -> None:
        """A problem of an entry that was read without one."""
        self.refuse(Wrong(self._entries.get(key, self.node), problem, (*self.node.path, key)))


# --- readers of scalars and lists -----------------------------------------------------------------------


def text_of(node: Node) -> str:
    """A name or another text, numbers as they are written."""
    if isinstance(node.value, (dict, list)) or node.value is None or not node.written.strip():
        raise Wrong(node, f"found {shown(node.plain())}, expected a text")
    return _name(node, node.written.strip())


def _name(node: Node, name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise Wrong(node, f"found {len(name)} characters, expected at most {LONGEST_NAME}")
    return name


def number(node: Node, largest: float = LARGEST_NUMBER) -> float:
    """0, or a number whose size a sum of points can bear."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong(node, f"found {shown(node.plain())}, expected a number")
    if value and not SMALLEST_NUMBER <= abs(value) <= largest:
        allowed = f"from {SMALLEST_NUMBER:g} to {largest:g}, or as much below 0"
        raise Wrong(node, f"found {node.written}, expected 0 or a number {allowed}")
    return float(value)


def positive(node: Node, largest: float = LARGEST_NUMBER) -> float:
    value = number(node, largest)
    if value <= 0:
        raise Wrong(node, f"found {node.written}, expected a number above 0")
    return value


def whole(node: Node) -> int:
    """A whole number from 1."""
    if isinstance(node.value, bool) or not isinstance(node.value, int) or not 1 <= node.value <= LARGEST_NUMBER:
        raise Wrong(node, f"found {shown(node.plain())}, expected a whole number from 1 to {LARGEST_NUMBER:.0f}")
    return node.value


def flag(node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise Wrong(node, f"found {shown(node.plain())}, expected true or false")
    return node.value


def choice(allowed: Sequence[str]) -> Callable[[Node], str]:
    """A reader of one of the texts in `allowed`."""

    def read(node: Node) -> str:
        if node.value not in allowed:
            raise Wrong(node, f"found {shown(node.plain())}; {one_of(node.written, allowed)}")
        return node.written

    return read


def items(node: Node, most: int = 500) -> list[Node]:
    if not isinstance(node.value, list):
        raise Wrong(node, f"found {shown(node.plain())}, expected a list")
    _no_more_than(most, node)
    found: list[Node] = node.value
    return found


def entries(node: Node, most: int = 100) -> dict[str, Node]:
    """A mapping by names of the author's choice."""
    if not isinstance(node.value, dict):
        raise Wrong(node, f"found {shown(node.plain())}, expected a mapping of names")
    for name, entry in node.value.items():
        if not name.strip():
            raise Wrong(entry, "found an entry without a name")
        _name(entry, name)
    _no_more_than(most, node)
    found: dict[str, Node] = node.value
    return found


def _no_more_than(most: int, node: Node) -> None:
    """A lead's record, and a receipt, have room for so much only."""
    if len(node.value) > most:
        raise Wrong(node, f"found {len(node.value)} entries, expected at most {most}")


def duration(node: Node, otherwise: str = "") -> int:
    """Milliseconds."""
    try:
        return parse_duration(node.written.strip())
    except ValueError:
        found = f"found {shown(node.plain())}"
        raise Wrong(node, f"{found}, expected a duration such as 30d, 12h, 45m, 90s{otherwise}") from None


def longer_than_nothing(node: Node, otherwise: str = "") -> int:
    """Milliseconds, at least one."""
    length = duration(node, otherwise)
    if length == 0:
        raise Wrong(node, f"found {node.written}, expected a duration longer than nothing{otherwise}")
    return length


def per_day(node: Node) -> int:
    """N of `N per day`."""
    try:
        return parse_per_day(node.written.strip())
    except ValueError:
        raise Wrong(node, f"found {shown(node.plain())}, expected a frequency such as 3 per day") from None
