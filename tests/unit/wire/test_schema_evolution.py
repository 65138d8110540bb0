"""Every schema reads what its earlier versions wrote, and they read what it writes (FULL_TRANSITIVE)."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_records import of_schema

from streams.wire.schemas import shipped_directory

ROOT = Path(str(shipped_directory()))
NAMES = sorted(file.stem for file in ROOT.glob("*.avsc"))


def versions(name: str) -> list[Path]:
    return sorted((ROOT / "history" / name).glob("*.avsc"), key=lambda file: int(file.stem))


def load(file: Path) -> dict[str, Any]:
    declaration = json.loads(file.read_text())
    assert isinstance(declaration, dict)
    return declaration


def breaks(old: Any, new: Any, path: str = "") -> list[str]:
    """Why not everything written with one of the two can be read with the other; empty when it can."""
    return _breaks(old, new, path, {}, {})


def _breaks(old: Any, new: Any, path: str, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    old, new = _declared(old, olds), _declared(new, news)
    if isinstance(old, list) or isinstance(new, list):
        return _union_breaks(old, new, path, olds, news)
    if isinstance(old, str) or isinstance(new, str):
        return [] if old == new else [f"{path}: {old} became {new}"]
    if old["type"] != new["type"] or old.get("logicalType") != new.get("logicalType"):
        return [f"{path}: its type changed"]
    if old.get("name") != new.get("name"):
        return [f"{path}: {old.get('name')} was renamed to {new.get('name')}"]
    if old["type"] == "record":
        return _record_breaks(old, new, path, olds, news)
    if old["type"] == "enum":
        lost = [symbol for symbol in old["symbols"] if symbol not in new["symbols"]]
        found = [f"{path}: {symbol} was taken away" for symbol in lost]
        return found if "default" in old and "default" in new else [*found, f"{path}: no default symbol"]
    inner = {"map": "values", "array": "items"}.get(old["type"])
    return _breaks(old[inner], new[inner], path, olds, news) if inner else []


def _declared(avro: Any, named: dict[str, Any]) -> Any:
    if isinstance(avro, dict) and "name" in avro:
        named[avro["name"]] = avro
    return named.get(avro, avro) if isinstance(avro, str) else avro


def _union_breaks(old: Any, new: Any, path: str, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    if not (isinstance(old, list) and isinstance(new, list) and len(old) == len(new)):
        return [f"{path}: its union changed"]
    return [fault for one, other in zip(old, new, strict=True) for fault in _breaks(one, other, path, olds, news)]


def _record_breaks(
    old: dict[str, Any], new: dict[str, Any], path: str, olds: dict[str, Any], news: dict[str, Any]
) -> list[str]:
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    found = []
    for name in before.keys() ^ after.keys():
        if "default" not in (before.get(name) or after[name]):
            found.append(f"{path}.{name}: added or taken away without a default")
    for name in before.keys() & after.keys():
        found += _breaks(before[name]["type"], after[name]["type"], f"{path}.{name}", olds, news)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_newest_version_kept_is_the_current_schema(name: str) -> None:
    kept = versions(name)
    assert [file.stem for file in kept] == [str(number) for number in range(1, len(kept) + 1)]
    assert load(kept[-1]) == load(ROOT / f"{name}.avsc"), f"copy {name}.avsc to history/{name}/{len(kept) + 1}.avsc"


def test_history_keeps_nothing_but_current_records() -> None:
    assert sorted(folder.name for folder in (ROOT / "history").iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_compatible_both_ways_with_all_its_versions(name: str) -> None:
    current = load(ROOT / f"{name}.avsc")
    for file in versions(name):
        assert breaks(load(file), current) == [], file


def changed(change: Callable[[dict[str, Any]], None]) -> tuple[dict[str, Any], dict[str, Any]]:
    old = load(ROOT / "downloads.avsc")
    new = copy.deepcopy(old)
    change(new)
    return old, new


def _retype(schema: dict[str, Any], name: str, avro: Any) -> None:
    next(field for field in schema["fields"] if field["name"] == name)["type"] = avro


FORBIDDEN: dict[str, Callable[[dict[str, Any]], None]] = {
    "a field without a default": lambda new: new["fields"].append({"name": "x", "type": "string"}),
    "a required field taken away": lambda new: new["fields"].pop(3),
    "a field renamed": lambda new: new["fields"][3].update(name="asset"),
    "a symbol taken away": lambda new: new["fields"][4]["type"]["symbols"].remove("TOP"),
    "an enum's default taken away": lambda new: new["fields"][4]["type"].pop("default"),
    "an enum renamed": lambda new: new["fields"][4]["type"].update(name="Stage"),
    "a type changed": lambda new: _retype(new, "asset_id", "long"),
    "a field made nullable": lambda new: _retype(new, "asset_id", ["null", "string"]),
    "a time in another unit": lambda new: new["fields"][2]["type"].update(logicalType="timestamp-micros"),
}
ALLOWED: dict[str, Callable[[dict[str, Any]], None]] = {
    "a field with a default": lambda new: new["fields"].append(
        {"name": "x", "type": ["null", "string"], "default": None}
    ),
    "a nullable field taken away": lambda new: new["fields"].pop(),
    "a new symbol": lambda new: new["fields"][4]["type"]["symbols"].append("FREE_TRIAL"),
    "other words": lambda new: new["fields"][0].update(doc="Other words."),
}


@pytest.mark.parametrize("change", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_the_check_finds_a_change_that_breaks_readers(change: Callable[[dict[str, Any]], None]) -> None:
    assert len(breaks(*changed(change))) >= 1


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED.keys())
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_the_check_allows_can_be_read_both_ways(
    change: Callable[[dict[str, Any]], None], data: st.DataObject
) -> None:
    old, new = changed(change)
    assert breaks(old, new) == []
    for written, read in ((old, new), (new, old)):
        record = data.draw(of_schema(written))
        body = io.BytesIO()
        schemaless_writer(body, parse_schema(copy.deepcopy(written)), _with_times(record))
        body.seek(0)
        result = schemaless_reader(body, parse_schema(copy.deepcopy(written)), parse_schema(copy.deepcopy(read)))
        assert isinstance(result, dict)
        assert set(result) == {field["name"] for field in read["fields"]}


def _with_times(record: dict[str, Any]) -> dict[str, Any]:
    # Read back as a datetime here, so it must be one that Python has.
    return {**record, "occurred_at": record["occurred_at"] % 4_000_000_000_000}
