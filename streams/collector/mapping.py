"""The mapping file: what trackers call things, and what we make of it.

Read once and compiled, so that an event costs one look-up of its name and one of each property it may have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from streams.collector import values
from streams.collector.events import Unusable
from streams.collector.remembered import remembered
from streams.errors import UsageError
from streams.wire.schemas import shipped

_Convert = Callable[[Any], Any]
#: What is said of an event besides its own fields is the protocol's affair.
_NOT_MAPPED: Final = frozenset({"event_id", "lead_id", "occurred_at", "anonymous_id", "attributes"})
_TARGETS: Final = frozenset({"downloads", "demo-bookings", "email-opens", "activities", "lead-profiles"})
_SEPARATORS: Final = re.compile(r"[\s_-]+")


class BadMapping(UsageError):
    """The mapping file can't be read, or says what can't be done."""


class Take(NamedTuple):
    """How one field is found: `paths` in order, the first with a value that fits."""

    field: str
    paths: tuple[tuple[str, ...], ...]
    convert: _Convert


class Target(NamedTuple):
    """What becomes of an event: the record of `topic`, with `constants`, and what `takes` find."""

    topic: str
    constants: Mapping[str, Any]
    takes: tuple[Take, ...]
    required: tuple[str, ...]
    names: frozenset[str]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    names: list[str]
    topic: str
    set: dict[str, Any] = {}
    take: dict[str, list[str]] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    events: list[_Entry]
    otherwise: dict[str, list[str]]
    traits: dict[str, list[str]]
    group: dict[str, list[str]]
    profiles: list[str]
    page_ping_seconds: float


class TrackerMapping(NamedTuple):
    """A mapping file, compiled. `traits` and `group` make LeadProfiles; `profiles` are Snowplow's names of traits."""

    events: Mapping[str, tuple[Target, ...]]
    otherwise: Target
    traits: Target
    group: Target
    profiles: frozenset[str]
    page_ping_seconds: float

    def targets(self, *names: str) -> tuple[Target, ...]:
        """What becomes of an event of the first of `names` that is listed; empty for none."""
        for name in names:
            found = self.events.get(_folded(name))
            if found is not None:
                return found
        return ()


def default_mapping() -> str:
    """The text of the mapping that is used without another."""
    return (files(__package__) / "mapping.yaml").read_text(encoding="utf-8")


def read_mapping(path: Path | None = None) -> TrackerMapping:
    """The mapping in a file, or the default one. Raises BadMapping."""
    where = str(path) if path is not None else "mapping.yaml"
    try:
        raw = path.read_bytes() if path is not None else default_mapping().encode()
        read = msgspec.yaml.decode(raw, type=_File)
    except OSError as error:
        raise BadMapping(f"Can't read {where}: {(error.strerror or str(error)).lower()}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMapping(f"{where}: {error}. The default mapping shows what may be there.") from None
    events: dict[str, tuple[Target, ...]] = {}
    for number, entry in enumerate(read.events):
        place = f"{where}: events[{number}]"
        target = _target(entry.topic, entry.set, entry.take, place)
        for name in entry.names:
            events[_folded(name)] = (*events.get(_folded(name), ()), target)
    return TrackerMapping(
        events,
        _target("activities", {}, read.otherwise, f"{where}: otherwise"),
        _target("lead-profiles", {}, read.traits, f"{where}: traits"),
        _target("lead-profiles", {}, read.group, f"{where}: group"),
        frozenset(read.profiles),
        read.page_ping_seconds,
    )


def found_in(target: Target, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the target's record that `properties` and the mapping give, attributes among them."""
    fields = dict(target.constants)
    for field, paths, convert in target.takes:
        for path in paths:
            value = properties.get(path[0])
            for step in path[1:]:
                value = value.get(step) if isinstance(value, dict) else None
            if value is not None and (converted := convert(value)) is not None:
                fields[field] = converted
                break
    if target.topic in ("activities", "lead-profiles"):
        fields["attributes"] = values.attributes(properties, target.names)
    return fields


def mapped_fields(target: Target, properties: Mapping[str, Any], name: str, event_id: str) -> dict[str, Any]:
    """The fields of a tracked event called `name`. Raises Unusable when one that must be there isn't.

    A booking without an id is a booking of its own; an activity that isn't mapped is called what the tracker calls it.
    """
    fields = found_in(target, properties)
    for field in target.required:
        if field not in fields:
            if field == "kind":
                fields[field] = values.snake_case(name)
            elif field == "booking_id":
                fields[field] = event_id
            else:
                take = next((one for one in target.takes if one.field == field), None)
                names = ", ".join(".".join(path) for path in take.paths) if take else "none"
                raise Unusable(f"{name[:100]!r} gives no {field} (looked for in {names})")
    return fields


def profile_fields(target: Target, found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a LeadProfile in traits; first and last name make a name where there is none."""
    fields = found_in(target, found)
    if "name" not in fields:
        first = values.text(found.get("firstName")) or values.text(found.get("first_name"))
        last = values.text(found.get("lastName")) or values.text(found.get("last_name"))
        fields["name"] = " ".join(part for part in (first, last) if part) or None
    if (domain := fields.get("company_domain")) is not None:
        fields["company_domain"] = values.domain_of(domain)
    return fields


@remembered(4096)
def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()


def _target(topic: str, constants: dict[str, Any], take: dict[str, list[str]], place: str) -> Target:
    if topic not in _TARGETS:
        raise BadMapping(f"{place}: topic {topic!r} can't be mapped to; use one of {', '.join(sorted(_TARGETS))}.")
    declared = {field["name"]: field for field in shipped().of_topic(topic).declaration["fields"]}
    allowed = [name for name in declared if name not in _NOT_MAPPED]
    for name in (*constants, *take):
        if name not in allowed:
            raise BadMapping(f"{place}: {topic} have no field {name!r} to fill; these are {', '.join(allowed)}.")
    named: dict[str, tuple[str, ...]] = _enums(declared)
    for name, value in constants.items():
        if _converter(declared[name]["type"], named)(value) != value:
            raise BadMapping(f"{place}: {value!r} is no value of {name}.")
    takes = tuple(
        Take(name, tuple(tuple(path.split(".")) for path in paths), _converter(declared[name]["type"], named))
        for name, paths in take.items()
    )
    # Properties of those names are in fields; only their first step is a property.
    names = frozenset(path[0] for one in takes for path in one.paths)
    required = tuple(name for name in allowed if declared[name]["type"] == "string")
    return Target(topic, constants, takes, required, names)


def _enums(declared: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    found = {}
    for field in declared.values():
        kind = field["type"][-1] if isinstance(field["type"], list) else field["type"]
        if isinstance(kind, dict) and kind["type"] == "enum":
            found[kind["name"]] = tuple(kind["symbols"])
    return found


def _converter(avro: Any, enums: Mapping[str, tuple[str, ...]]) -> _Convert:
    kind = avro[-1] if isinstance(avro, list) else avro
    if isinstance(kind, dict):
        if kind.get("logicalType") == "timestamp-millis":
            return values.instant
        kind = kind.get("name", kind["type"])
    if kind in enums:
        return _symbol(enums[kind])
    return {
        "string": values.text,
        "double": values.number,
        "int": _int32,
        "long": values.count,
        "boolean": values.boolean,
    }[kind]


def _int32(value: Any) -> int | None:
    found = values.count(value)
    return found if found is not None and found < 2**31 else None


def _symbol(symbols: tuple[str, ...]) -> _Convert:
    def convert(value: Any) -> str | None:
        named = value.strip().upper().replace(" ", "_").replace("-", "_") if isinstance(value, str) else None
        return named if named in symbols else None

    return convert
