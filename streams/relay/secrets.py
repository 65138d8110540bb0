"""Secrets: named in the targets file by where they are, never by what they are; never shown."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from streams.errors import UsageError
from streams.monitoring.logs import traceback_of


class SecretMissing(UsageError):
    """A secret that the targets file points to is not there, or none that can be sent."""


class Secret:
    """A text that `repr`, `str` and formatting don't give away, and `redacted` takes out of other texts."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _ALL.update(one for one in _ways_to_write(text) if len(one) >= _SHORTEST)

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


_ALL: set[str] = set()
_SHORTEST: Final = 6
_LONGEST_TOLD: Final = 400


def redacted(text: str) -> str:
    """`text` without the process's secrets: a target may say in its errors what it was sent."""
    # The longest first: one secret may be a part of another.
    for secret in sorted(_ALL, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def told(text: str) -> str:
    """What a target says, as it may be repeated: in one line, bounded, and without secrets before it is cut, since
    nobody knows a half one again.
    """
    line = "".join(one if one.isprintable() else " " for one in redacted(text)[: 2 * _LONGEST_TOLD])
    return " ".join(line.split())[:_LONGEST_TOLD]


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redacted(traceback_of(record.exc_info[1]))
            record.exc_info = None
        return True


def redact_logs() -> None:
    """Take the process's secrets out of all that is logged from now on, also by libraries: HTTP servers log the first
    line of what is no request, and Salesforce's answers have their secret there.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Redacting())


def _ways_to_write(secret: str) -> Iterator[str]:
    """A secret as it stands in headers, forms and JSON, the mark of Standard Webhooks' before it or not."""
    for text in (secret, secret.removeprefix("whsec_")):
        yield from (text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1])


def read_secret(where: str, environment: str | None, file: str | None) -> Secret:
    """The secret in an environment variable or a file, whichever is given; a file's surrounding blanks are not of it.

    `where` names its place in the targets file. Raises SecretMissing, which repeats what was given only when that can't
    be the secret itself.
    """
    if environment is not None:
        text = os.environ.get(environment, "").strip()
        name = environment if _is_name(environment) else "that it names"
        if not text:
            raise SecretMissing(f"{where}: the environment variable {name} is empty or not set")
        return _in_one_line(text, f"{where}: the environment variable {name}")
    assert file is not None, "one of the two is checked when the targets file is loaded"
    path = file if _is_path(file) else "that it names"
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SecretMissing(f"{where}: the file {path} can't be read: {problem}") from None
    if not text:
        raise SecretMissing(f"{where}: the file {path} is empty")
    return _in_one_line(text, f"{where}: the file {path}")


def _in_one_line(text: str, place: str) -> Secret:
    """No header can carry a line's end or a control character."""
    if not text.isprintable():
        raise SecretMissing(f"{place} has more than one line, or control characters; expected the secret alone")
    return Secret(text)


def _is_name(given: str) -> bool:
    """Whether it is surely a variable's name: words, as in HUBSPOT_TOKEN, or one that is set."""
    return given in os.environ or re.fullmatch(r"[A-Z]{1,20}(_[A-Z]{1,20})+[0-9]?", given) is not None


def _is_path(given: str) -> bool:
    """Whether it is surely a path: it is there, begins in a directory that is there, or begins as only paths do."""
    if given.startswith(("./", "../", "~/")):
        return True
    directory = re.match(r"/?[^/]+/", given)
    try:
        return os.path.lexists(given) or (directory is not None and os.path.isdir(directory[0]))
    except ValueError:  # a null character
        return False
