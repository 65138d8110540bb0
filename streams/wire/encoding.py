"""An encoder for one input record's schema, written out as straight-line Python and compiled.

fastavro walks the schema anew for each record and takes four times as long. It stays in charge wherever that does not
matter, and is the twin that tests hold this to: both write the same bytes.

The generated function takes the record with all of its fields, each of its right type, and returns the body. It raises
KeyError, TypeError, AttributeError, ValueError or struct.error for one that isn't such a record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

Encode = Callable[[Mapping[str, Any]], bytes]

_DOUBLE: Final = struct.Struct("<d").pack
#: The varints of 0 to 8191: lengths and small counts, which are most numbers.
_SMALL: Final = tuple(bytes([2 * n]) if n < 64 else bytes([2 * n & 127 | 128, 2 * n >> 7]) for n in range(8192))
#: The same of a value that may be null and isn't.
_SOME: Final = tuple(b"\x02" + small for small in _SMALL)


def compile_encoder(declaration: Mapping[str, Any]) -> Encode:
    """The encoder of a flat record of ours: strings, numbers, booleans, enums, a map of strings, null-first unions."""
    lines = ["def encode(record):"]
    names: dict[str, Any] = {"varint": _varint, "lengths": _SMALL, "some": _SOME, "double": _DOUBLE, "texts": _texts}
    enums: dict[str, str] = {}
    parts = []
    for number, field in enumerate(declaration["fields"]):
        value = f"v{number}"
        nullable = isinstance(field["type"], list)
        avro = field["type"][1] if nullable else field["type"]
        written = _written(avro, value, names, enums)
        lines.append(f"    {value} = record[{field['name']!r}]")
        if written is None:
            lines += _written_text(value, nullable)
            written = value
        elif nullable:
            written = f"(b'\\x00' if {value} is None else b'\\x02' + {written})"
        parts.append(written)
    lines.append(f"    return b''.join(({', '.join(parts)},))")
    exec(compile("\n".join(lines), f"<encoder of {declaration['name']}>", "exec"), names)
    encode: Encode = names["encode"]
    return encode


def _written_text(value: str, nullable: bool) -> list[str]:
    """Statements that put a text's bytes in its place: most fields are texts, and a call for each takes long."""
    indent = "    "
    found = []
    if nullable:
        found = [f"    if {value} is None:", f"        {value} = b'\\x00'", "    else:"]
        indent = "        "
    short, long = ("some[n]", "b'\\x02' + varint(n)") if nullable else ("lengths[n]", "varint(n)")
    return [
        *found,
        f"{indent}{value} = {value}.encode()",
        f"{indent}n = len({value})",
        f"{indent}{value} = ({short} if n < 8192 else {long}) + {value}",
    ]


def _written(avro: Any, value: str, names: dict[str, Any], enums: dict[str, str]) -> str | None:
    """An expression for the bytes of a value; None for a text, which takes statements."""
    if isinstance(avro, dict):
        if avro["type"] == "enum":
            enums[avro["name"]] = f"symbols_{avro['name']}"
            names[enums[avro["name"]]] = {symbol: _varint(n) for n, symbol in enumerate(avro["symbols"])}
            avro = avro["name"]
        elif avro["type"] == "map":
            return f"texts({value})"
        else:
            avro = avro["type"]
    if avro in enums:
        return f"{enums[avro]}[{value}]"
    if avro == "boolean":
        return f"(b'\\x01' if {value} else b'\\x00')"
    if avro == "string":
        return None
    return f"double({value})" if avro == "double" else f"varint({value})"


def _varint(number: int) -> bytes:
    """Zigzag: the sign in the lowest bit, seven bits a byte."""
    if 0 <= number < 8192:
        return _SMALL[number]
    left = number << 1 ^ number >> 63
    if not 0 <= left < 1 << 64:
        raise ValueError("a number of more than 64 bits")
    found = bytearray()
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    found.append(left)
    return bytes(found)


def _text(value: str) -> bytes:
    raw = value.encode()
    return _varint(len(raw)) + raw


def _texts(values: Mapping[str, str]) -> bytes:
    if not values:
        return b"\x00"
    items = [_varint(len(values))]
    for key, value in values.items():
        items += (_text(key), _text(value))
    items.append(b"\x00")
    return b"".join(items)
