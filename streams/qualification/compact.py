"""A lead as it is kept: what repeats in it is written once, and distances stand for times.

MessagePack takes nine bytes for a time or a number, and a lead names the same rules and pages up to eight times. So a
`Compact` begins with two lists: `names`, of groups, rules, kinds and the like, and `subjects`, of addresses and of what
events were about, each as (how many bytes of UTF-8 it shares with the one before, the rest). Elsewhere their places
stand for them. Both are in the order in which they are first needed. Times that lie near the lead's `as_of` are
distances to it (`as_of - time`, ms), and points without a fraction are integers. The other fields are those of `Lead`,
in its order, and are added to as it is.
"""

from __future__ import annotations

from itertools import takewhile
from math import copysign
from typing import Annotated, Any, TypeAlias

import msgspec

from streams.qualification.lead import Contribution, Lead, Touch

#: Doubles hold integers up to here exactly.
_EXACT = 2**53

_Place = Annotated[int, msgspec.Meta(ge=0)]  # in Python, one below 0 would be a place too
_Name: TypeAlias = _Place
_Subject: TypeAlias = _Place
_Shared = Annotated[int, msgspec.Meta(ge=0)]
_Age: TypeAlias = int
_Contribution = tuple[_Name, _Name, _Subject | None, float, _Age, _Name | None]
_Touch = tuple[_Name | None, _Name | None, _Name | None, _Subject | None, _Subject | None, _Age]
_TYPES: dict[str, Any] = {
    "stage_since": _Age,
    "groups": tuple[tuple[_Name, float, _Age], ...],
    "strongest": tuple[tuple[_Name, tuple[_Contribution, ...]], ...],
    "limits": tuple[tuple[_Name, dict[int, int]], ...],
    "first_touch": _Touch | None,
    "last_touch": _Touch | None,
    "last_scored": _Age,
    "last_event": _Age,
}


def compact_type(lead: type[Lead]) -> type[msgspec.Struct]:
    """The type of the compact form of leads of this type."""
    fields: list[Any] = [("names", tuple[str, ...]), ("subjects", tuple[tuple[_Shared, str], ...])]
    for one in msgspec.structs.fields(lead):
        type_ = _TYPES.get(one.name, one.type)
        if one.required:
            fields.append((one.name, type_))
        elif one.default_factory is not msgspec.NODEFAULT:
            default = one.default_factory if one.name not in _TYPES else tuple
            fields.append((one.name, type_, msgspec.field(default_factory=default)))
        else:
            fields.append((one.name, type_, one.default))
    return msgspec.defstruct("Compact", fields, array_like=True, frozen=True, tag=2)


#: The compact form of a `Lead`.
Compact: Any = compact_type(Lead)


class _Listed:
    """Texts by their places, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))

    def place_of(self, text: str | None) -> int | None:
        return None if text is None else self.place(text)


def compacted(lead: Lead) -> msgspec.Struct:
    """The lead in its compact form."""
    as_of = lead.as_of
    names, subjects = _Listed(), _Listed()
    changed = {
        "stage_since": as_of - lead.stage_since,
        "groups": tuple((names.place(name), _number(value), as_of - at) for name, (value, at) in lead.groups.items()),
        "strongest": tuple(
            (names.place(group), tuple(_contribution(one, as_of, names, subjects) for one in given))
            for group, given in lead.strongest.items()
        ),
        "limits": tuple((names.place(rule), days) for rule, days in lead.limits.items()),
        "first_touch": _touch(lead.first_touch, as_of, names, subjects),
        "last_touch": _touch(lead.last_touch, as_of, names, subjects),
        "last_scored": as_of - lead.last_scored,
        "last_event": as_of - lead.last_event,
        "fit": _number(lead.fit),
    }
    fields = {name: changed.get(name, getattr(lead, name)) for name in Lead.__struct_fields__}
    compact: msgspec.Struct = Compact(tuple(names.places), _front_coded(subjects.places), **fields)
    return compact


def _contribution(one: Contribution, as_of: int, names: _Listed, subjects: _Listed) -> tuple[Any, ...]:
    return (
        names.place(one.name),
        names.place(one.kind),
        subjects.place_of(one.subject),
        _number(one.points),
        as_of - one.occurred_at,
        names.place_of(one.booking_id),
    )


def _touch(touch: Touch | None, as_of: int, names: _Listed, subjects: _Listed) -> tuple[Any, ...] | None:
    if touch is None:
        return None
    return (
        names.place_of(touch.source),
        names.place_of(touch.medium),
        names.place_of(touch.campaign),
        subjects.place_of(touch.referrer),
        subjects.place_of(touch.url),
        as_of - touch.occurred_at,
    )


def _number(value: float) -> float:
    """As an integer where that is the same number: -0.0 is not 0."""
    whole = abs(value) <= _EXACT and value == int(value) and (value != 0 or copysign(1.0, value) > 0)
    return int(value) if whole else value


def _front_coded(texts: dict[str, int]) -> tuple[tuple[int, str], ...]:
    coded, before = [], ""
    for text in texts:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, text, strict=False)))
        coded.append((len(text[:shared].encode()), text[shared:]))
        before = text
    return tuple(coded)


def expanded(compact: Any) -> Lead:
    """The inverse. Raises `msgspec.ValidationError` for a form that no lead has."""
    as_of, names = compact.as_of, compact.names
    try:
        subjects = _read_front_coded(compact.subjects)
        changed = {
            "stage_since": as_of - compact.stage_since,
            "groups": {names[name]: (value, as_of - age) for name, value, age in compact.groups},
            "strongest": {
                names[group]: tuple(_read_contribution(one, as_of, names, subjects) for one in given)
                for group, given in compact.strongest
            },
            "limits": {names[rule]: days for rule, days in compact.limits},
            "first_touch": _read_touch(compact.first_touch, as_of, names, subjects),
            "last_touch": _read_touch(compact.last_touch, as_of, names, subjects),
            "last_scored": as_of - compact.last_scored,
            "last_event": as_of - compact.last_event,
        }
    except (IndexError, UnicodeDecodeError) as error:
        raise msgspec.ValidationError(f"a lead's compact form points to a text that is not there: {error}") from None
    return Lead(**{name: changed.get(name, getattr(compact, name)) for name in Lead.__struct_fields__})


def _read_contribution(
    one: _Contribution, as_of: int, names: tuple[str, ...], subjects: tuple[str, ...]
) -> Contribution:
    name, kind, subject, points, age, booking = one
    return Contribution(names[name], names[kind], _at(subjects, subject), points, as_of - age, _at(names, booking))


def _read_touch(touch: _Touch | None, as_of: int, names: tuple[str, ...], subjects: tuple[str, ...]) -> Touch | None:
    if touch is None:
        return None
    source, medium, campaign, referrer, url, age = touch
    return Touch(
        _at(names, source),
        _at(names, medium),
        _at(names, campaign),
        _at(subjects, referrer),
        _at(subjects, url),
        as_of - age,
    )


def _at(texts: tuple[str, ...], place: int | None) -> str | None:
    return None if place is None else texts[place]


def _read_front_coded(coded: tuple[tuple[int, str], ...]) -> tuple[str, ...]:
    texts, before = [], ""
    for shared, rest in coded:
        raw = before.encode()
        if shared > len(raw):
            raise IndexError(f"{shared} bytes of the {len(raw)} before it")
        before = raw[:shared].decode() + rest
        texts.append(before)
    return tuple(texts)
