"""The second half of a message about an unknown name: the nearest one that exists, and all of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def one_of(wrong: object, allowed: Sequence[str]) -> str:
    """`did you mean X? Allowed: ...`, or without the question when nothing is near."""
    text = str(wrong)
    by_folded = {name.casefold(): name for name in reversed(allowed)}
    near = difflib.get_close_matches(text.casefold(), by_folded, n=1)
    question = f"did you mean {by_folded[near[0]]}? " if near else ""
    return f"{question}allowed: {', '.join(allowed) or 'nothing'}"
