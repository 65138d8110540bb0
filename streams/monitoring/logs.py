"""Logs of the programs that run for long: a line an incident on standard error, as text or as JSON."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from enum import StrEnum
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from streams.errors import LeadstreamError

log = logging.getLogger("streams")

#: They narrate every step; what matters of it the engine says itself.
_NOISY = ("aiokafka", "faust", "mode")
#: Errors whose words are of us or of the machine. Others quote what they failed on, which may be a lead's: a KeyError
#: its key, a UnicodeDecodeError all of the bytes.
_TELLABLE = (LeadstreamError, OSError, ImportError, MemoryError)


class LogFormat(StrEnum):
    text = "text"
    json = "json"


def traceback_of(error: BaseException) -> str:
    """Kind and place of an error and of what led to it, without words that may be of a lead."""
    return "".join(_told(error, set())).rstrip("\n")


def _told(error: BaseException, told: set[int]) -> Iterator[str]:
    told.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in told:
        yield from _told(before, told)
        yield "which led to\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    yield f"{name}: {error}\n" if isinstance(error, _TELLABLE) else f"{name}\n"
    for one in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield "among them\n"
        yield from _told(one, told)


class _Text(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return traceback_of(ei[1])


class _Json(JsonFormatter):
    def formatException(self, ei: Any) -> str:
        return traceback_of(ei[1])


def _without_reprs(record: logging.LogRecord) -> bool:
    """asyncio tells of a forgotten error with its words, in the lines after the first."""
    if record.exc_info:
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return True


def set_up_logging(program: str, format: LogFormat) -> None:
    """Log what is of `program` from now on, from INFO up.

    JSON: `time` (RFC 3339, UTC), `level`, `logger`, `message`, `program`, and `exc_info`, a defect's traceback
    as of `traceback_of`.
    """
    handler = logging.StreamHandler()
    if format is LogFormat.json:
        handler.setFormatter(
            _Json(
                "{levelname}{name}{message}",
                style="{",
                rename_fields={"levelname": "level", "name": "logger"},
                timestamp="time",
                static_fields={"program": program},
            )
        )
    else:
        handler.setFormatter(_Text("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda its: _log_uncaught(its.exc_type, its.exc_value or its.exc_type(), its.exc_traceback)
    logging.getLogger("asyncio").addFilter(_without_reprs)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


def logs_json() -> bool:
    """Whether this process was told to log JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    log.critical("ending because of a defect: %s", kind.__name__, exc_info=(kind, error, trace))
