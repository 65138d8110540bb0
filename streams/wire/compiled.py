"""A decoder for one schema, written out as straight-line Python and compiled.

Decoding is the largest cost of most records, and fastavro walks the schema anew for each: for a page view
it takes twice as long as this with all fields filled, three times as long with most of them null. fastavro
stays in charge of what isn't the plain case (another writer's schema, encoding), and is the twin that tests
hold this to.

The generated function takes the value and where its body starts, and returns the record and where the body
ended. It raises IndexError, ValueError (UnicodeDecodeError among them) or struct.error for bytes that are
not such a record, or returns an end other than the value's: a slice past the end is short without an error,
and the end tells.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.wire.limits import MAX_ATTRIBUTE_BYTES, Limit

Decode = Callable[[bytes, int], tuple[dict[str, Any], int]]


class BeyondLimits(ValueError):
    """The record is none of those that its limits allow; what exactly is wrong is for `validation` to say."""


_DOUBLE: Final = struct.Struct("<d")
#: Nine bytes of a number hold 63 bits: a tenth can add one more, and not go on.
_FULL_BYTES: Final = 9


def compile_decoder(declaration: dict[str, Any], limits: Mapping[str, Limit] | None = None) -> Decode:
    """The decoder of a record schema of ours: null-first unions of two, named types, no fixed, no float.

    With `limits` it takes only records whose fields keep to them, and raises BeyondLimits for others. That costs next
    to nothing here: a text's length is read anyway, and a short one needs no look.
    """
    source = _Source(limits or {})
    name = source.record(declaration)
    namespace: dict[str, Any] = {
        "varint": _varint,
        "int32": _int32,
        "boolean": _boolean,
        "double": _DOUBLE.unpack_from,
        "block": _block,
        "chosen": _chosen,
        "little": int.from_bytes,
        "BeyondLimits": BeyondLimits,
        **source.constants,
    }
    exec(compile("\n".join(source.functions), f"<decoder of {declaration['name']}>", "exec"), namespace)
    decode: Decode = namespace[name]
    return decode


class _Source:
    """The functions, one for each record type, and the constants they refer to."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = limits
        self.functions: list[str] = []
        self.constants: dict[str, Any] = {}
        self._named: dict[str, Any] = {}

    def record(self, avro: dict[str, Any]) -> str:
        """Write the function of a record; its name."""
        function = f"read_{avro['name']}"
        self._named[avro["name"]] = avro
        lines = [f"def {function}(raw, i):"]
        outermost = len(self._named) == 1
        for number, field in enumerate(avro["fields"]):
            limit = self._limits.get(field["name"]) if outermost else None
            lines += self._read(field["type"], f"v{number}", "    ", limit)
        items = ", ".join(f"{field['name']!r}: v{number}" for number, field in enumerate(avro["fields"]))
        self.functions += [*lines, f"    return {{{items}}}, i", ""]
        return function

    def _read(self, avro: Any, into: str, at: str, limit: Limit | None = None) -> list[str]:
        """Lines, indented by `at`, that read a value at `raw[i]` to the variable `into` and move `i` on."""
        if isinstance(avro, list):
            return [
                f"{at}if raw[i] == 0:",
                f"{at}    {into} = None; i += 1",
                f"{at}else:",
                f"{at}    if raw[i] != 2: raise ValueError('no such branch')",
                f"{at}    i += 1",
                *self._read(avro[1], into, f"{at}    ", limit),
            ]
        kind = avro if isinstance(avro, str) else avro["type"]
        if kind in ("int", "long"):
            beyond = [] if limit is None else [f"{at}if not 0 <= {into} <= {limit.most}: raise BeyondLimits"]
            if kind == "int":
                return [f"{at}{into}, i = int32(raw, i)", *beyond]
            is_time = not isinstance(avro, str) and avro.get("logicalType") == "timestamp-millis"
            return [*(_time if is_time else _small_number)(into, at), *beyond]
        if kind in ("string", "bytes"):
            return self._text(kind, into, at, limit)
        if kind == "boolean":
            return [f"{at}{into} = boolean(raw[i]); i += 1"]
        if kind == "double":
            beyond = (
                [] if limit is None else [f"{at}if not {-limit.most} <= {into} <= {limit.most}: raise BeyondLimits"]
            )
            return [f"{at}({into},) = double(raw, i); i += 8", *beyond]
        if kind == "enum":
            self._named[avro["name"]] = avro
            self.constants[f"symbols_{avro['name']}"] = tuple(avro["symbols"])
            return [f"{at}n, i = varint(raw, i); {into} = chosen(symbols_{avro['name']}, n)"]
        if kind == "record":
            return [f"{at}{into}, i = {self.record(avro)}(raw, i)"]
        if kind == "map":
            inner = f"{at}        "
            texts = None if limit is None else Limit("text", MAX_ATTRIBUTE_BYTES)
            item = self._text("string", f"{into}_key", inner, texts)
            item += self._read(avro["values"], f"{into}_one", inner, texts)
            beyond = [] if limit is None else [f"{at}if len({into}) > {limit.most}: raise BeyondLimits"]
            return self._blocks(into, "{}", [*item, f"{inner}{into}[{into}_key] = {into}_one"], at) + beyond
        if kind == "array":
            inner = f"{at}        "
            item = self._read(avro["items"], f"{into}_one", inner)
            return self._blocks(into, "[]", [*item, f"{inner}{into}.append({into}_one)"], at)
        named = self._named[kind]
        if named["type"] == "record":
            return [f"{at}{into}, i = read_{kind}(raw, i)"]
        return self._read(named, into, at)

    def _text(self, kind: str, into: str, at: str, limit: Limit | None = None) -> list[str]:
        # A length below 64 is one byte, twice the length: zigzag, and odd would be negative.
        return [
            f"{at}n = raw[i]",
            f"{at}if n & 129:",
            f"{at}    n, i = varint(raw, i)",
            f"{at}    if n < 0: raise ValueError('negative length')",
            *([] if limit is None else [f"{at}    if n > {limit.most}: raise BeyondLimits"]),
            f"{at}    j = i + n",
            f"{at}else:",
            f"{at}    i += 1; j = i + (n >> 1)",
            *([] if limit is None or limit.kind != "id" else [f"{at}if i == j: raise BeyondLimits"]),
            f"{at}{into} = raw[i:j]{'.decode()' if kind == 'string' else ''}; i = j",
        ]

    def _blocks(self, into: str, empty: str, item: list[str], at: str) -> list[str]:
        return [
            f"{at}{into} = {empty}",
            f"{at}{into}_count, i = block(raw, i)",
            f"{at}while {into}_count:",
            f"{at}    for _ in range({into}_count):",
            *item,
            f"{at}    {into}_count, i = block(raw, i)",
        ]


def _time(into: str, at: str) -> list[str]:
    """Six bytes hold every instant of 1987 to 2039: read at once, for a third of what the loop takes."""
    return [
        f"{at}n = little(raw[i:i + 6], 'little')",
        f"{at}if n & 0x808080808080 == 0x8080808080 and not n & 1:",
        f"{at}    {into} = (n & 0x7f | n >> 1 & 0x3f80 | n >> 2 & 0x1fc000 | n >> 3 & 0xfe00000"
        " | n >> 4 & 0x7f0000000 | n >> 5 & 0x3f800000000) >> 1; i += 6",
        f"{at}else:",
        f"{at}    {into}, i = varint(raw, i)",
    ]


def _small_number(into: str, at: str) -> list[str]:
    """What one byte holds is read here: a call takes longer than all the rest."""
    return [
        f"{at}n = raw[i]",
        f"{at}if n & 129:",
        f"{at}    {into}, i = varint(raw, i)",
        f"{at}else:",
        f"{at}    {into} = n >> 1; i += 1",
    ]


def _varint(raw: bytes, i: int) -> tuple[int, int]:
    """The zigzag number at `i`, and where it ends."""
    byte = raw[i]
    number, shift, end = byte & 127, 7, i + 1
    while byte > 127:
        byte = raw[end]
        if byte > 1 and end - i == _FULL_BYTES:
            raise ValueError("a number of more than 64 bits")
        number |= (byte & 127) << shift
        shift += 7
        end += 1
    return (number >> 1) ^ -(number & 1), end


def _int32(raw: bytes, i: int) -> tuple[int, int]:
    number, end = _varint(raw, i)
    if not -(2**31) <= number < 2**31:
        raise ValueError("an int of more than 32 bits")
    return number, end


def _block(raw: bytes, i: int) -> tuple[int, int]:
    """How many items follow, 0 for the end; a negative count is followed by the block's size in bytes."""
    count, i = _varint(raw, i)
    if count < 0:
        _, i = _varint(raw, i)
        count = -count
    if i > len(raw):
        raise IndexError("past the end")
    return count, i


def _boolean(byte: int) -> bool:
    if byte > 1:
        raise ValueError("neither true nor false")
    return byte == 1


def _chosen(symbols: tuple[str, ...], number: int) -> str:
    if not 0 <= number < len(symbols):
        raise ValueError("no such symbol")
    return symbols[number]
