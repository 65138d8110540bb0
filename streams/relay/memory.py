"""What the relay remembers of each lead and target: the newest that the CRM has been told.

It lives in a compacted topic of the relay's own, beside the leads' partitions. The CRM's own `leadstream_sequence`
would do for one CRM that can be read in batches by any key; the topic serves all targets alike, costs no request,
tells an erased lead from a new one when the CRM no longer can, and moves with its partition: whoever is given a
partition reads it to its end first. A record is written, and acknowledged, after a delivery and before the lead's next
one, so a relay that was killed knows of all but the last delivery of each lead; that one is made again, with the same
key. Keys are hashes: after an erasure nothing here tells whose it was.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from streams.relay.facts import is_qualification, is_score, stage_of, time_of


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """`sequence` and `at` (ms) of the newest state written, `qualification` the sequence of the newest Qualification
    written, `erased_at` (ms) the newest erasure, `crm_id` the CRM's own id of the lead,
    `stage` the lead's, of the newest event written that tells of one.
    """

    sequence: int = 0
    at: int = -1
    qualification: int = 0
    erased_at: int = -1
    crm_id: str | None = None
    stage: str | None = None


NOTHING = Remembered()


class News(msgspec.Struct, frozen=True):
    """What of a record the CRM doesn't know yet; `remember` is what to remember once it does."""

    state: bool
    qualification: bool
    remember: Remembered


def news_of(record: dict[str, Any], known: Remembered) -> News | str:
    """What is new in a record, or why nothing is: `erased`, `superseded`."""
    at, sequence = time_of(record), record["sequence"]
    if at <= known.erased_at:
        return "erased"
    state = (sequence, at) > (known.sequence, known.at)
    qualification = is_qualification(record) and sequence > known.qualification
    if not state and not qualification:
        return "superseded"
    return News(state, qualification, _after(record, known, state, qualification))


def _after(record: dict[str, Any], known: Remembered, state: bool, qualification: bool) -> Remembered:
    at, sequence = time_of(record), record["sequence"]
    cause = record.get("cause")
    if cause == "ERASED":
        return Remembered(erased_at=at)
    if cause == "EXPIRED":  # forgotten like an erasure: the lead's count begins anew, but it may stay in the CRM
        return Remembered(erased_at=at, crm_id=known.crm_id)
    return Remembered(
        sequence if state else known.sequence,
        at if state else known.at,
        sequence if qualification else known.qualification,
        known.erased_at,
        known.crm_id,
        stage_of(record) if state and not is_score(record) else known.stage,
    )


def memory_key(target: str, lead_id: str) -> bytes:
    """The key of a lead's memory on the memory topic."""
    return _prefix(target) + hashlib.sha256(f"{target}\0{lead_id}".encode()).hexdigest().encode()


def _prefix(target: str) -> bytes:
    return f"{target}:".encode()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Remembered)


class Memory:
    """The memory of one target's leads, by partition."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._known: dict[int, dict[bytes, Remembered]] = {}

    def take_over(self, partition: int, values: dict[bytes, bytes]) -> None:
        """A partition is assigned, and this is what its memory holds: keys and newest values, of all targets."""
        own = _prefix(self._target)
        self._known[partition] = {key: _DECODER.decode(value) for key, value in values.items() if key.startswith(own)}

    def give_away(self, partition: int) -> None:
        self._known.pop(partition, None)

    def of(self, partition: int, lead_id: str) -> Remembered:
        return self._known.get(partition, {}).get(memory_key(self._target, lead_id), NOTHING)

    def keep(self, partition: int, lead_id: str, remembered: Remembered) -> tuple[bytes, bytes]:
        """Remember, and give the record to write to the memory topic."""
        key = memory_key(self._target, lead_id)
        if partition in self._known:
            self._known[partition][key] = remembered
        return key, _ENCODER.encode(remembered)
