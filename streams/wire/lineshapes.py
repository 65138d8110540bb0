"""What a record looks like in a JSON line: a msgspec type made of its Avro schema, and the conversions of its
times.

Types are built once a record; msgspec then checks and converts a line in one pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Union

import msgspec

from streams.wire.schemas import Schema
from streams.wire.times import EARLIEST, LATEST, milliseconds, rfc3339

_Convert = Callable[[Any], Any]

_LONG: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_INT: Final = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_TIME: Final = Union[_LONG, Annotated[datetime, msgspec.Meta(tz=True)]]  # noqa: UP007 - built at run time
_PRIMITIVES: Final[dict[str, Any]] = {
    "string": str,
    "bytes": bytes,
    "boolean": bool,
    "int": _INT,
    "long": _LONG,
    "double": float,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One record in JSON. `symbols` are the allowed symbols of each enum, by the field's path as msgspec
    writes it.
    """

    decoder: msgspec.json.Decoder[Any]
    to_event: Callable[[Any], dict[str, Any]]
    to_line: Callable[[Mapping[str, Any]], dict[str, Any]]
    symbols: Mapping[str, tuple[str, ...]]
    makes_event_id: bool


def shape_of(schema: Schema, makes_event_id: bool) -> Shape:
    """The shape of a record; `makes_event_id`: a missing event_id is None, for the caller to fill."""
    building = _Building(makes_event_id)
    kind = building.record(schema.declaration, "")
    return Shape(
        decoder=msgspec.json.Decoder(kind.type),
        to_event=kind.to_event or msgspec.structs.asdict,
        to_line=kind.to_line or dict,
        symbols=building.symbols,
        makes_event_id=makes_event_id,
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    """An Avro type: what msgspec checks it with, and its conversions, None where the value stays as it is."""

    type: Any
    to_event: _Convert | None = None
    to_line: _Convert | None = None
    symbols: tuple[str, ...] = ()


@dataclass(slots=True)
class _Building:
    makes_event_id: bool
    named: dict[str, Any] = field(default_factory=dict)
    symbols: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def kind(self, avro: Any, path: str) -> _Kind:
        if isinstance(avro, list):
            return self._nullable(avro, path)
        if isinstance(avro, str):
            return _Kind(_PRIMITIVES[avro]) if avro in _PRIMITIVES else self.kind(self.named[avro], path)
        if avro.get("logicalType") == "timestamp-millis":
            return _Kind(_TIME, _time_to_event, _time_to_line)
        if avro["type"] == "record":
            return self.record(avro, path)
        if avro["type"] == "enum":
            self.named[avro["name"]] = avro
            self.symbols[path] = symbols = tuple(avro["symbols"])
            return _Kind(Literal[symbols], symbols=symbols)
        if avro["type"] == "map":
            return _Kind(dict[str, self.kind(avro["values"], path).type])  # type: ignore[misc]
        if avro["type"] == "array":
            item = self.kind(avro["items"], f"{path}[...]")
            items = list[item.type]  # type: ignore[name-defined]
            return _Kind(items, _each(item.to_event), _each(item.to_line))
        return self.kind(avro["type"], path)

    def record(self, avro: dict[str, Any], path: str) -> _Kind:
        self.named[avro["name"]] = avro
        inside = f"{path}." if path else ""
        kinds = {one["name"]: self.kind(one["type"], inside + one["name"]) for one in avro["fields"]}
        fields = [self._field(one, kinds[one["name"]], path) for one in avro["fields"]]
        struct = msgspec.defstruct(avro["name"], fields, kw_only=True, forbid_unknown_fields=True)
        return _Kind(
            struct,
            _record_to_event([(name, kind.to_event) for name, kind in kinds.items() if kind.to_event]),
            _record_to_line([(name, kind.to_line) for name, kind in kinds.items() if kind.to_line]),
        )

    def _field(self, declared: dict[str, Any], kind: _Kind, path: str) -> tuple[Any, ...]:
        name = declared["name"]
        if not path and name == "event_id" and self.makes_event_id:
            return name, _optional(str), None
        if "default" in declared:
            default = declared["default"]
            if isinstance(default, (dict, list)):
                default = msgspec.field(default_factory=_copies(default))
            return name, kind.type, default
        return (name, kind.type, "UNKNOWN") if kind.symbols else (name, kind.type)

    def _nullable(self, union: list[Any], path: str) -> _Kind:
        (other,) = (self.kind(one, path) for one in union if one != "null")
        return _Kind(_optional(other.type), _unless_null(other.to_event), _unless_null(other.to_line))


def _optional(kind: Any) -> Any:
    return Union[kind, None]  # noqa: UP007 - the operator would look at the type of `kind`


def _time_to_event(value: int | datetime) -> int:
    return value if isinstance(value, int) else milliseconds(value)


def _time_to_line(value: int) -> str | int:
    # What RFC 3339 can't say stays a number, which a line may hold as well.
    return rfc3339(value) if EARLIEST <= value <= LATEST else value


def _copies(default: Any) -> Callable[[], Any]:
    return lambda: copy.deepcopy(default)


def _unless_null(convert: _Convert | None) -> _Convert | None:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _each(convert: _Convert | None) -> _Convert | None:
    return None if convert is None else lambda values: [convert(value) for value in values]


def _record_to_event(converts: list[tuple[str, _Convert]]) -> _Convert:
    def to_event(struct: Any) -> dict[str, Any]:
        event = msgspec.structs.asdict(struct)
        for name, convert in converts:
            event[name] = convert(event[name])
        return event

    return to_event


def _record_to_line(converts: list[tuple[str, _Convert]]) -> _Convert:
    def to_line(event: Mapping[str, Any]) -> dict[str, Any]:
        line = dict(event)
        for name, convert in converts:
            if name in line:
                line[name] = convert(line[name])
        return line

    return to_line
