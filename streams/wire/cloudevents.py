"""CloudEvents attributes of our output events, in the binary mode of the Kafka protocol binding.

Source: CloudEvents specification 1.0 and "Kafka Protocol Binding for CloudEvents", section 3.2: attributes are headers
with the prefix `ce_`, the body is the event itself.
"""

from __future__ import annotations

from typing import Literal

from streams.wire.times import rfc3339

Kind = Literal["mql", "sql", "lifecycle", "score"]

_SPEC = ("ce_specversion", b"1.0")
_SOURCE = ("ce_source", b"/leadstream/worker")
_CONTENT_TYPE = ("content-type", b"application/avro")
_TYPES = {kind: ("ce_type", f"leadstream.{kind}.v1".encode()) for kind in ("mql", "sql", "lifecycle", "score")}


def headers_of(event_id: str, kind: Kind, occurred_at: int, lead_id: str) -> list[tuple[str, bytes]]:
    """The headers of an output event. `occurred_at` in ms."""
    return [
        ("ce_id", event_id.encode()),
        _TYPES[kind],
        _SOURCE,
        _SPEC,
        ("ce_time", rfc3339(occurred_at).encode()),
        ("ce_partitionkey", lead_id.encode()),
        _CONTENT_TYPE,
    ]
