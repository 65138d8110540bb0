"""Hypothesis strategies for the records of every topic, made of their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from streams.topics import TOPICS
from streams.wire.schemas import shipped

TOPIC_NAMES = list(TOPICS)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_LONG = st.integers(-(2**63), 2**63 - 1)
_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "string": _TEXT,
    "bytes": st.binary(max_size=40),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": _LONG,
    "double": st.floats(allow_nan=False, allow_infinity=False),
}


def records(topic: str) -> st.SearchStrategy[dict[str, Any]]:
    """Every field of the topic's record, with anything that its type can hold."""
    return of_schema(shipped().of_topic(topic).declaration)


def of_schema(declaration: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _of(declaration, {})


def _of(avro: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    if isinstance(avro, list):
        return st.one_of([_of(one, named) for one in avro])
    if isinstance(avro, str):
        return _PRIMITIVES[avro] if avro in _PRIMITIVES else _of(named[avro], named)
    if avro["type"] == "record":
        named[avro["name"]] = avro
        return st.fixed_dictionaries({field["name"]: _of(field["type"], named) for field in avro["fields"]})
    if avro["type"] == "enum":
        named[avro["name"]] = avro
        return st.sampled_from(avro["symbols"])
    if avro["type"] == "map":
        return st.dictionaries(_TEXT, _of(avro["values"], named), max_size=4)
    if avro["type"] == "array":
        return st.lists(_of(avro["items"], named), max_size=3)
    return _of(avro["type"], named)


def page_view(**fields: Any) -> dict[str, Any]:
    """A page view with all fields, mostly null."""
    names = [field["name"] for field in shipped().of_topic("page-views").declaration["fields"]]
    known = {
        "event_id": "e-1",
        "lead_id": "l-1",
        "occurred_at": 1_790_000_000_000,
        "url": "https://example.com/",
    }
    return {**dict.fromkeys(names), **known, **fields}
