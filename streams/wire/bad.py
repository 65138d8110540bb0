"""A record that can't be used, as a value: the worker turns it into a dead letter and goes on."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Error = Literal[
    "UNDECODABLE",
    "UNKNOWN_SCHEMA",
    "INVALID",
    "TOO_OLD",
    "TOO_LARGE",
    "EMPTY_KEY",
    "LOOP",
    "DELIVERY_FAILED",
    "UNKNOWN",
]

ERRORS: tuple[Error, ...] = get_args(Error)


class BadRecord(NamedTuple):
    """`error` is a symbol of DeadLetterError, `detail` says in words what was wrong."""

    error: Error
    detail: str
