"""Text patterns: a glob on a whole value, and whole words in it. Both ignore case and runs of white space.

In a glob `*` stands for any run of characters and `|` separates alternatives; everything else is literal.
Each glob becomes the cheapest test that decides it: equality, a substring, a prefix, a suffix, or one regular
expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

TextTest = Callable[[str], bool]


def normalised(text: str) -> str:
    """`text` as patterns see it: case folded, white space trimmed and single."""
    return " ".join(text.casefold().split())


def compile_globs(patterns: Sequence[str]) -> TextTest:
    """A test that holds for texts which any alternative of any of `patterns` describes entirely.

    Raises ValueError for a pattern with an empty alternative.
    """
    exact: set[str] = set()
    within: list[str] = []
    starts: list[str] = []
    ends: list[str] = []
    others: list[str] = []
    for alternative in _alternatives(patterns):
        pieces = alternative.split("*")
        first, middle, last = pieces[0], [piece for piece in pieces[1:-1] if piece], pieces[-1]
        if len(pieces) == 1:
            exact.add(alternative)
        elif not first and not last and len(middle) <= 1:
            within.append(middle[0] if middle else "")
        elif not middle and not last:
            starts.append(first)
        elif not middle and not first:
            ends.append(last)
        else:
            others.append(_ordered_pieces(first, middle, last))
    return _cheapest(frozenset(exact), within, tuple(starts), tuple(ends), others)


def compile_words(phrases: Sequence[str]) -> TextTest:
    """A test that holds for texts which contain any of `phrases` as whole words, one after the other.

    Words are separated by anything that is neither letter nor digit. Raises ValueError for an empty phrase.
    """
    searched = []
    first_words = []
    for phrase in phrases:
        words = normalised(phrase).split()
        if not words:
            raise ValueError("an empty text")
        first_words.append(words[0])
        searched.append(r"[\W_]+".join(re.escape(word) for word in words))
    search = re.compile(rf"(?<![^\W_])(?:{'|'.join(searched)})(?![^\W_])").search

    def holds(text: str) -> bool:
        folded = text.casefold()
        # Most texts lack the words, which a substring search finds out ten times faster.
        return _any_within(first_words, folded) and search(folded) is not None

    return holds


def _alternatives(patterns: Sequence[str]) -> list[str]:
    alternatives = [normalised(part) for pattern in patterns for part in pattern.split("|")]
    if not all(alternatives):
        raise ValueError("an empty text" if len(alternatives) == 1 else "an empty alternative")
    return alternatives


def _ordered_pieces(first: str, middle: Sequence[str], last: str) -> str:
    """Atomic groups keep the search linear: the leftmost place of a piece leaves most room for the next."""
    found = "".join(f"(?>.*?{re.escape(piece)})" for piece in middle)
    return f"{re.escape(first)}{found}.*{re.escape(last)}"


def _cheapest(
    exact: frozenset[str],
    within: list[str],
    starts: tuple[str, ...],
    ends: tuple[str, ...],
    others: list[str],
) -> TextTest:
    if "" in within:  # a bare star
        return lambda text: True
    if exact and not (within or starts or ends or others):
        return lambda text: normalised(text) in exact
    if within and not (exact or starts or ends or others):
        return _contains(within)
    if starts and not (exact or within or ends or others):
        return _starts(starts)
    if ends and not (exact or within or starts or others):
        return _ends(ends)
    full = [re.escape(text) for text in exact]
    full += [f".*{re.escape(text)}.*" for text in within]
    full += [f"{re.escape(text)}.*" for text in starts]
    full += [f".*{re.escape(text)}" for text in ends]
    match = re.compile("|".join(full + others), re.DOTALL).fullmatch
    return lambda text: match(normalised(text)) is not None


# Where no piece has white space within, the text's own matters at its ends only.


def _starts(pieces: tuple[str, ...]) -> TextTest:
    if any(" " in piece for piece in pieces):
        return lambda text: normalised(text).startswith(pieces)
    return lambda text: text.casefold().lstrip().startswith(pieces)


def _ends(pieces: tuple[str, ...]) -> TextTest:
    if any(" " in piece for piece in pieces):
        return lambda text: normalised(text).endswith(pieces)
    return lambda text: text.casefold().rstrip().endswith(pieces)


def _contains(needles: list[str]) -> TextTest:
    if any(" " in needle for needle in needles):
        if len(needles) == 1:
            needle = needles[0]
            return lambda text: needle in normalised(text)
        return lambda text: _any_within(needles, normalised(text))
    if len(needles) == 1:
        needle = needles[0]
        return lambda text: needle in text.casefold()
    return lambda text: _any_within(needles, text.casefold())


def _any_within(needles: list[str], text: str) -> bool:
    for needle in needles:  # noqa: SIM110 -- a generator costs three times as much on short lists
        if needle in text:
            return True
    return False
