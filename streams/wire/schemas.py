"""The shipped Avro schemas, found by topic and by fingerprint.

Schemas are parsed without their logical types, so that fastavro gives times as plain integers (milliseconds
since the epoch): building a datetime for each costs more than the rest of a field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint as avro_fingerprint
from fastavro.schema import to_parsing_canonical_form

from streams.errors import LeadstreamError
from streams.topics import TOPICS


class SchemaMissing(LeadstreamError):
    """A topic's record has no schema file: the installation or the schema directory is incomplete."""


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One version of one record's schema.

    `record` is the unqualified name, `text` the JSON as published, `declaration` that JSON as objects,
    `parsed` what fastavro reads and writes with, `canonical` the Parsing Canonical Form, `fingerprint` its
    CRC-64-AVRO (8 bytes, little-endian).
    """

    record: str
    text: str
    declaration: dict[str, Any]
    parsed: dict[str, Any]
    canonical: str
    fingerprint: bytes

    @classmethod
    def parse(cls, text: str) -> Schema:
        """Raises fastavro's SchemaParseException and UnknownType, or ValueError, for other texts."""
        declaration = json.loads(text)
        if not isinstance(declaration, dict) or declaration.get("type") != "record":
            raise ValueError("not the schema of a record")
        parsed = fastavro.parse_schema(_plain(declaration))
        assert isinstance(parsed, dict)
        canonical = to_parsing_canonical_form(parsed)
        return cls(
            record=parsed["name"].rpartition(".")[2],
            text=text,
            declaration=declaration,
            parsed=parsed,
            canonical=canonical,
            fingerprint=bytes.fromhex(avro_fingerprint(canonical, "CRC-64-AVRO")),
        )


class Schemas:
    """The current schema of every topic, and every version that was ever current."""

    def __init__(self, current: list[Schema], earlier: list[Schema]) -> None:
        self._by_record = {schema.record: schema for schema in current}
        self._by_fingerprint = {schema.fingerprint: schema for schema in [*earlier, *current]}

    @classmethod
    def load(cls, directory: Path | Traversable | None = None) -> Schemas:
        """Read `*.avsc` and `history/*/*.avsc` of `directory`; default: the shipped ones."""
        root = directory if directory is not None else shipped_directory()
        current = [Schema.parse(file.read_text("utf-8")) for file in _avsc(root)]
        history = root / "history"
        versions = [d for d in history.iterdir() if d.is_dir()] if history.is_dir() else []
        earlier = [Schema.parse(file.read_text("utf-8")) for name in versions for file in _avsc(name)]
        return cls(current, earlier)

    def of_topic(self, topic: str) -> Schema:
        """The current schema of a topic's record."""
        record = TOPICS[topic].record
        try:
            return self._by_record[record]
        except KeyError:
            raise SchemaMissing(
                f"no schema of {record} (topic {topic}) among the schema files: reinstall leadstream, "
                "or put the file back"
            ) from None

    def by_fingerprint(self, fingerprint: bytes) -> Schema | None:
        """The schema, current or earlier, of a CRC-64-AVRO fingerprint."""
        return self._by_fingerprint.get(fingerprint)


@cache
def shipped() -> Schemas:
    """The schemas that leadstream ships with, read once."""
    return Schemas.load()


def shipped_directory() -> Traversable:
    """`streams/schemas` of an installed wheel, else `schemas/` of the checkout."""
    packaged = files("streams") / "schemas"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[2] / "schemas"


def _avsc(directory: Path | Traversable) -> Iterator[Path | Traversable]:
    for file in sorted(directory.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".avsc"):
            yield file


def _plain(declaration: Any) -> Any:
    """`declaration` without logical types and prose."""
    if isinstance(declaration, dict):
        return {
            key: value if key == "default" else _plain(value)
            for key, value in declaration.items()
            if key not in ("logicalType", "doc")
        }
    if isinstance(declaration, list):
        return [_plain(item) for item in declaration]
    return declaration
