"""Salesforce's own description of its REST API: what is wrong with a request or an answer by it.

It is the OpenAPI 3.0 document that Salesforce makes of an org ("sObjects REST API", version 59.0). Salesforce has none
to download; the npm package @opensdks/sdk-salesforce (MIT) carries one. Described are objects with their standard
fields, what saving one answers, and errors. An org's own fields are held to the package in deploy/relay/salesforce,
which makes them. External ids, collections, queries and tokens are not in the document: those are held to jsforce, see
`salesforce_client`.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.npm import Package, unpacked

_OPENSDKS = Package(
    "@opensdks/sdk-salesforce",
    "0.0.2",
    "gjHwKwfAwtqMgCFrFlWkYfYWlwRm0mYx2Wv3efhgryvpaKGboVZ3519vQlkC1cPGUD1g+WqAzbhb0crlhPSMow==",
)
_OBJECTS = Path(__file__).parents[1] / "deploy" / "relay" / "salesforce" / "objects"
_METADATA = "{http://soap.sforce.com/2006/04/metadata}"
#: Fields that the metadata calls by a type have these in JSON.
_OF_METADATA = {
    "Text": {"type": "string"},
    "LongTextArea": {"type": "string"},
    "Number": {"type": "number"},
    "DateTime": {"type": "string", "format": "date-time"},
}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}
#: Of an upsert's answer, from version 46.0 on: beyond the document, which knows of no upsert.
_CREATED = {"created": {"type": "boolean"}}


@cache
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((unpacked(_OPENSDKS) / "salesforce.oas.json").read_bytes())
    return found


def record_faults(kind: str, record: Any) -> list[str]:
    """What is wrong with a record that is sent, or answered to a query: fields, their types, how long a text may be."""
    fields = {**_schema(f"{kind}SObject")["properties"], **_own_fields(kind)}
    return _faults({"type": "object", "properties": fields}, record, kind)


def answer_faults(method: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer about one Lead (for DELETE by its id)."""
    answers = description()["paths"]["/sobjects/Lead/{id}"][method.lower()]["responses"]
    if str(status) in answers and status != 204:
        return _faults(answers[str(status)]["content"]["application/json"]["schema"], body, f"HTTP {status}")
    if status == 204:
        return [] if body is None else ["HTTP 204: has no body"]
    return result_faults(body) if status in (200, 201) else [f"HTTP {status} is not described"]


def result_faults(result: Any) -> list[str]:
    """What is wrong with what saving a record answers."""
    saved = _schema("SaveResult")
    return _faults({**saved, "properties": {**saved["properties"], **_CREATED}}, result, "SaveResult")


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = description()["components"]["schemas"][name]
    return found


@cache
def _own_fields(kind: str) -> dict[str, Any]:
    """The custom fields of an object. Those of a Task are an Activity's."""
    root = ElementTree.parse(_OBJECTS / f"{'Activity' if kind == 'Task' else kind}.object").getroot()
    fields: dict[str, Any] = {}
    for node in root:
        said = {child.tag.removeprefix(_METADATA): str(child.text) for child in node}
        longest = {"maxLength": int(said["length"])} if "length" in said else {}
        fields[said["fullName"]] = {**_OF_METADATA[said["type"]], **longest}
    return fields


def _faults(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    if "$ref" in schema:
        return _faults(_schema(schema["$ref"].rpartition("/")[2]), value, at)
    if value is None:  # any field of a record may be cleared
        return []
    expected = _TYPES[schema["type"]]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        return [f"{at}: expected {schema['type']}, got {value!r}"]
    if isinstance(value, list):
        return [fault for number, one in enumerate(value) for fault in _faults(schema["items"], one, f"{at}[{number}]")]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        unknown = [f"{at}.{name}: unknown" for name in value if name not in known]
        return unknown + [
            fault for name, one in value.items() if name in known for fault in _faults(known[name], one, f"{at}.{name}")
        ]
    return [f"{at}: {fault}" for fault in _text_faults(schema, value)] if isinstance(value, str) else []


def _text_faults(schema: dict[str, Any], text: str) -> list[str]:
    said = re.search(r"up to (\d+) characters|[Ll]imit: (\d+) characters", schema.get("description", ""))
    longest = schema.get("maxLength") or (int(said[1] or said[2]) if said else len(text))
    if len(text) > longest:
        return [f"has {len(text)} characters, more than {longest}"]
    try:
        if schema.get("format") == "date" and date.fromisoformat(text).isoformat() != text:
            return [f"{text!r} is no date"]
        if schema.get("format") == "date-time" and datetime.fromisoformat(text).tzinfo is None:
            return [f"{text!r} has no zone"]
    except ValueError:
        return [f"{text!r} is no {schema['format']}"]
    return []
