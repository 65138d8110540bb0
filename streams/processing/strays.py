"""What workers tell each other on `strays`: messages between ids, and events for ids of another partition.

The key of a stray is the id that it is for, so it comes to the partition where that id lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from streams.engine.seam import Output, PlainRecord, Record
from streams.qualification.events import Event
from streams.qualification.lead import Lead
from streams.qualification.messages import Forget, Link, Merge, Message
from streams.qualification.state import in_full, unpack
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec

STRAYS = "strays"


class Passing(msgspec.Struct, frozen=True):
    """An event on its way: the record that it came in, how often that was forwarded, and the aliases it passed."""

    source: Record
    hops: int = 0
    passed: tuple[str, ...] = ()


class Strays:
    """Writes and reads strays of the workers `app`."""

    def __init__(self, codec: Codec, app: str) -> None:
        self._codec = codec
        self._app = app

    def forwarding(self, to: str, event: Event, way: Passing) -> Output:
        """The record in which `event` came, unchanged, for the id `to`."""
        source = way.source
        forwarded = {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "timestamp": source.timestamp,
            "key": source.key,
            "value": source.value,
            "hops": way.hops + 1,
            "passed": list(way.passed),
        }
        return self._output(to, event.event_id, event.occurred_at, None, forwarded=forwarded)

    def telling(self, one: Message) -> Output:
        """The stray that carries a message."""
        to, event_id, occurred_at = one.lead_id, one.event_id, one.occurred_at
        if isinstance(one, Merge):
            # In full: while a rolling upgrade goes on, the worker of the release before may have to read it.
            state = in_full(one.lead) if one.lead is not None else b""
            merged = {"passed": list(one.passed), "state": state, "half_lives": dict(one.half_lives)}
            return self._output(to, event_id, occurred_at, one.arrival, merged=merged)
        if isinstance(one, Link):
            return self._output(to, event_id, occurred_at, one.arrival, linked={"to": one.to})
        forgotten = {"target": one.target, "until": one.until, "erased": one.erased}
        return self._output(to, event_id, occurred_at, one.arrival, forgotten=forgotten)

    def is_foreign(self, fields: Mapping[str, Any]) -> bool:
        """Whether a decoded Stray is for workers of another application id, which read the same inputs."""
        return fields["app"] not in (None, self._app)

    def _output(self, to: str, event_id: str, occurred_at: int, arrival: int | None, **what: Any) -> Output:
        stray: dict[str, Any] = dict.fromkeys(("forwarded", "merged", "linked", "forgotten"))
        stray |= {"event_id": event_id, "lead_id": to, "occurred_at": occurred_at, "arrival": arrival}
        stray |= {"app": self._app, **what}
        return Output(STRAYS, to.encode(), self._codec.encode(STRAYS, stray))


def passing(forwarded: Mapping[str, Any]) -> Passing:
    """The forwarded record in a decoded Stray, as it was read first."""
    source = PlainRecord(
        forwarded["topic"],
        forwarded["partition"],
        forwarded["offset"],
        forwarded["timestamp"],
        forwarded["key"],
        forwarded["value"],
    )
    return Passing(source, forwarded["hops"], tuple(forwarded["passed"]))


def message_in(fields: Mapping[str, Any], arrival: int) -> Message | BadRecord:
    """The message in a decoded Stray that arrived at `arrival` (ms) and forwards nothing."""
    to, event_id, occurred_at = fields["lead_id"], fields["event_id"], fields["occurred_at"]
    merged, linked, forgotten = fields["merged"], fields["linked"], fields["forgotten"]
    began = arrival if fields["arrival"] is None else fields["arrival"]
    if merged is not None:
        lead = _lead_in(merged["state"])
        if isinstance(lead, BadRecord):
            return lead
        if not merged["passed"]:
            return BadRecord("INVALID", "the merged state names nobody whose it was")
        return Merge(to, event_id, occurred_at, began, tuple(merged["passed"]), lead, merged["half_lives"])
    if linked is not None:
        return Link(to, linked["to"], event_id, occurred_at, began, known=True)
    if forgotten is not None:
        until = occurred_at if forgotten["until"] is None else forgotten["until"]
        return Forget(to, event_id, occurred_at, forgotten["target"], until, forgotten["erased"], began)
    return BadRecord("INVALID", "the stray holds nothing")


def _lead_in(state: bytes) -> Lead | BadRecord | None:
    if not state:
        return None
    try:
        lead = unpack(state)
    except msgspec.MsgspecError as error:
        return BadRecord("UNDECODABLE", f"the merged state can't be read: {error}")
    return lead if isinstance(lead, Lead) else BadRecord("INVALID", "the merged state is not that of a lead")
