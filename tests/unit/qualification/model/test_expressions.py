"""Regular expressions: Python's answers, in time that grows with the text alone."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.qualification.model.expressions import compile_expression

PATTERNS = (
    r"/blog/\d{4}/",
    "^a",
    "[a-z]+$",
    r"(?:a|b) b?",
    ".",
    r"\w+@\w+\.de",
    r"[\w-]+ß",
    r"[^\d\s]x",
    r"\S+\s\S+",
    r"\Aa.*b\Z",
    r"größe|\u00e4",
    r"a{2,3}\]",
    r"[]a]b",
    r"(?P<name>chief|head) of",
    r"\bcto\b",
    r"\D\W",
)
TEXTS = st.text("aAbBzZ019_-@.]/ \t\u00a0\u00df\u00e4\u00c4\u00f6x\u0665", max_size=12)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=TEXTS)
def test_it_finds_what_python_finds(pattern: str, text: str) -> None:
    if r"\b" in pattern and not text.isascii():
        return  # said in its place: boundaries are ASCII's
    assert compile_expression(pattern)(text) == (re.search(pattern, text, re.IGNORECASE) is not None)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"^(.*?,){20}x", r".*a.*a.*a.*b$", r"(?:a?){30}a{30}$"])
def test_a_text_made_to_take_for_ever_takes_a_moment(pattern: str) -> None:
    holds, text = compile_expression(pattern), "a" * 8_000 + "!"
    began = time.process_time()
    assert not holds(text)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a(b", "missing ), unterminated subpattern at character 2"),
        ("(?=a)b", "RE2 says invalid perl operator"),
        (r"(a)\1", "RE2 says invalid escape sequence"),
        ("a{9999}", "RE2 says invalid repetition size"),
        ("a{99999999999}", "the repetition number is too large"),
        (r"\bärzt", "use has for whole words"),
        (r"[\W_]", "turn the brackets round"),
        ("(?L)a", "bad inline flags"),
    ],
)
def test_what_it_can_not_do_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        compile_expression(pattern)
