"""Regular expressions in time that grows with the text alone, whoever wrote the text (RE2).

Python's own engine goes back and forth, for hours on an address made for it. What it alone can do, looking around and
back, is refused. Letters, digits and white space are Unicode's, as in Python: RE2's own are ASCII's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import re2  # type: ignore[import-untyped]

_TOKEN = re.compile(r"\\u(?P<code>[0-9a-fA-F]{4})|\\(?P<escaped>.)|(?P<plain>.)", re.DOTALL)
_OUTSIDE = {
    "w": r"[\p{L}\p{N}_]",
    "W": r"[^\p{L}\p{N}_]",
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "s": r"[\s\p{Z}]",
    "S": r"[^\s\p{Z}]",
    "Z": r"\z",
}
_WITHIN = {"w": r"\p{L}\p{N}_", "d": r"\p{Nd}", "D": r"\P{Nd}", "s": r"\s\p{Z}"}


def compile_expression(pattern: str) -> Callable[[str], bool]:
    """A test that holds for texts in which `pattern` is found, whatever the case. Raises ValueError."""
    try:
        re.compile(pattern)
    except re.error as bad:
        at = "" if bad.pos is None else f" at character {bad.pos + 1}"
        raise ValueError(f"{bad.msg}{at}") from None
    except (OverflowError, RecursionError) as bad:
        raise ValueError(str(bad)) from None
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.never_capture = True
    try:
        search = re2.compile("".join(_translated(pattern)).encode(), options).search
    except re2.error as bad:
        (what,) = bad.args
        raise ValueError(f"RE2 says {what.decode(errors='replace') if isinstance(what, bytes) else what}") from None
    # Bytes spare RE2's wrapper the counting of characters: a third of the time.
    return lambda text: search(text.encode()) is not None


def _translated(pattern: str) -> Iterator[str]:
    """The pieces of the pattern in RE2's words. Raises ValueError for what has none."""
    within = False
    for token in _TOKEN.finditer(pattern):
        code, escaped, plain = token["code"], token["escaped"], token["plain"]
        if plain is not None:
            within = plain != "]" if within else plain == "["
            yield plain
        elif code is not None:
            yield rf"\x{{{code}}}"
        elif within and escaped in "WS":
            raise ValueError(rf"\{escaped} within brackets is not known; turn the brackets round")
        elif escaped in "bB" and not within and not pattern.isascii():
            raise ValueError(rf"\{escaped} knows the letters of ASCII only; use has for whole words")
        else:
            yield (_WITHIN if within else _OUTSIDE).get(escaped, token[0])
