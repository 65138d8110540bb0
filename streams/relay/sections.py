"""One section of the targets file, from the file's nodes to its type; what is wrong is said with its line."""

from __future__ import annotations

import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from streams.qualification.model.nearest import one_of
from streams.qualification.model.nodes import Node, Path, Problems
from streams.qualification.model.units import parse_duration
from streams.relay.settings import Duration, SecretAt, Url


def convert(node: Node, wanted: Any, problems: Problems) -> Any:
    """The section at `node` as a `wanted`; None when it is wrong, which is added to `problems`."""
    try:
        return msgspec.convert(node.plain(), wanted, dec_hook=_custom, strict=True)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `")
        at, is_key = at.removeprefix("key` in `"), at.startswith("key` in `")
        steps = _steps(node, at.rstrip("`").removeprefix("$"), wanted, is_key)
        place = node.deepest(steps)
        if what.startswith("Object contains unknown field"):
            unknown = what.split("`")[1]
            line = place.value[unknown].line if isinstance(place.value, dict) else place.line
            problems.add(line, (*place.path, unknown), f"unknown key; {one_of(unknown, _fields_at(wanted, steps))}")
        else:
            problems.add(place.line, place.path, _in_words(what, place, wanted, steps, is_key))
        return None


def _steps(node: Node, at: str, wanted: Any, is_key: bool) -> Path:
    """The way from `node` to what msgspec points at; where it says [...], the first entry that is wrong."""
    steps: Path = ()
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", at):
        if step != "[...]":
            steps = (*steps, int(step[1:-1]) if step.startswith("[") else step)
            continue
        entries = node.deepest(steps).value
        keys = entries if isinstance(entries, dict) else range(len(entries))
        wrong = (key for key in keys if not _fits(node.deepest((*steps, key)), _type_at(wanted, (*steps, key))))
        steps = (*steps, next(wrong))
    if is_key:
        (key_type, _) = get_args(_bare(_type_at(wanted, steps)))
        keys = node.deepest(steps).value
        steps = (*steps, next(key for key in keys if not _fits(Node(key, 0, ()), key_type)))
    return steps


def _fits(node: Node, wanted: Any) -> bool:
    try:
        msgspec.convert(node.plain(), wanted, dec_hook=_custom, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _custom(wanted: type, value: Any) -> Any:
    if wanted is Duration:
        try:
            return Duration(parse_duration(value) / 1000)
        except (ValueError, TypeError):
            raise ValueError("expected a duration such as 30s, 12h or 7d") from None
    if wanted is Url:
        return _url(value)
    raise NotImplementedError(wanted)


def _url(value: Any) -> Url:
    try:
        text = value if isinstance(value, str) and value.isprintable() and " " not in value else ""
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")  # as whoever looks it up will
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("expected an address such as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not carry a user or password; secrets are {env: NAME} or {file: PATH}")
    if parts.fragment:
        raise ValueError("an address must not have a #fragment")
    return Url(value.rstrip("/") if not parts.query else value)


def _in_words(what: str, place: Node, wanted: Any, steps: Path, is_key: bool) -> str:
    expected = _type_at(wanted, steps)
    if _bare(expected) is SecretAt and not isinstance(place.value, dict):
        return "expected {env: NAME} or {file: PATH}: a secret itself does not stand in this file"
    if expected == get_type_hints(SecretAt, include_extras=True)["env"]:
        return "expected the name of an environment variable, such as HUBSPOT_TOKEN, and not what is in it"
    if is_key:
        expected = get_args(_bare(_type_at(wanted, steps[:-1])))[0]
        allowed = get_args(_bare(expected))
        if not allowed:
            return "expected the CRM's own name of a field as its API has it: letters, digits and _"
        return f"unknown key; {one_of(steps[-1], allowed)}"
    # What may hold a secret is not shown.
    secret = _bare(_type_at(wanted, steps[:-1])) is SecretAt or _bare(expected) is Url
    found = "" if secret or isinstance(place.value, (dict, list)) else f"found {place.written!r}; "
    if get_origin(_bare(expected)) is Literal:
        return found + one_of(place.value, get_args(_bare(expected)))
    words = what.replace("`", "")
    return found + words[:1].lower() + words[1:]


def _type_at(wanted: Any, steps: Path) -> Any:
    """The declared type of what stands at `steps` under a value of type `wanted`."""
    for step in steps:
        bare = _bare(wanted)
        if isinstance(bare, type) and issubclass(bare, Struct):
            wanted = get_type_hints(bare, include_extras=True).get(str(step))
        else:
            arguments = get_args(bare)
            wanted = arguments[-1 if get_origin(bare) is not tuple else 0] if arguments else None
    return wanted if steps else _bare(wanted)


def _bare(wanted: Any) -> Any:
    if get_origin(wanted) in (Union, types.UnionType):
        wanted = next((one for one in get_args(wanted) if one is not type(None)), None)
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted


def _fields_at(wanted: Any, steps: Path) -> tuple[str, ...]:
    found = _bare(_type_at(wanted, steps))
    return found.__struct_fields__ if isinstance(found, type) and issubclass(found, Struct) else ()
