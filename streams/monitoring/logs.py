"""Logs of the programs that run for long: a line an incident on standard error, as text or as JSON."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

log = logging.getLogger("streams")

#: They narrate every step; what matters of it the engine says itself.
_NOISY = ("aiokafka", "faust", "mode")


class LogFormat(StrEnum):
    text = "text"
    json = "json"


def set_up_logging(program: str, format: LogFormat) -> None:
    """Log what is of `program` from now on, from INFO up.

    JSON: `time` (RFC 3339, UTC), `level`, `logger`, `message`, `program`, and `exc_info`, a defect's traceback.
    """
    handler = logging.StreamHandler()
    if format is LogFormat.json:
        handler.setFormatter(
            JsonFormatter(
                "{levelname}{name}{message}",
                style="{",
                rename_fields={"levelname": "level", "name": "logger"},
                timestamp="time",
                static_fields={"program": program},
            )
        )
        sys.excepthook = _log_uncaught
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


def logs_json() -> bool:
    """Whether this process was told to log JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("ending because of a defect: %s", kind.__name__, exc_info=(kind, error, trace))
