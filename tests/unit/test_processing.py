"""What the worker makes of a record that it can't use."""

from __future__ import annotations

from typing import Any

import pytest

from streams.engine.seam import Output, PlainRecord
from streams.modelfile import read_model
from streams.processing import LeadLogic
from streams.qualification.events import Transition
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from streams.wire.validation import MAX_AGE_MS

NOW = 1_790_000_000_000
CODEC = Codec()


class Uncounted:
    def consumed(self, topic: str) -> None: ...

    def happened(self, one: Transition) -> None: ...

    def refused(self, topic: str, bad: BadRecord) -> None: ...

    def strayed(self, topic: str) -> None: ...


class Emitted:
    """A batch that a bad record may only write to."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def emit(self, output: Output) -> None:
        self.outputs.append(output)


def letter_of(key: bytes | None, value: bytes | None, topic: str = "erasures") -> tuple[Output, dict[str, Any]]:
    """The one thing that is written for a bad record, and the letter in it."""
    logic = LeadLogic(CODEC, read_model(None), 12, lambda: NOW, Uncounted(), "app")
    record = PlainRecord(topic, 0, 0, NOW, key, value)
    batch: Any = Emitted()
    logic.handle(record, logic.decode(record), batch)
    (output,) = batch.outputs
    assert output.topic == "dead-letters"
    letter = CODEC.decode("dead-letters", output.value)
    assert isinstance(letter, dict)
    return output, letter


def erasure(lead_id: str, occurred_at: int = NOW) -> bytes:
    event = {"event_id": "e-1", "lead_id": lead_id, "occurred_at": occurred_at, "requested_by": None}
    return CODEC.encode("erasures", event)


@pytest.mark.parametrize(("key_size", "value_size"), [(5_000_000, 3), (500_000, 600_000), (1_000, 5_000_000)])
def test_the_letter_of_a_record_of_any_size_can_be_written(key_size: int, value_size: int) -> None:
    output, letter = letter_of(b"k" * key_size, b"\x00" * value_size)
    assert output.value is not None
    assert len(output.key or b"") + len(output.value) < 1_000_000
    assert letter["key"] == b"k" * min(key_size, 65_536)
    assert letter["size"] == value_size


def test_the_letter_of_an_event_that_could_be_decoded_says_whose_it_is() -> None:
    output, letter = letter_of(b"anna", erasure("anna", NOW - MAX_AGE_MS - 1))
    assert (output.key, letter["error"], letter["lead_id"]) == (b"anna", "TOO_OLD", "anna")
    _, letter = letter_of(b"bert", erasure("anna"))
    assert (letter["error"], letter["lead_id"]) == ("INVALID", "anna")
    _, letter = letter_of(None, erasure("anna"))
    assert (letter["error"], letter["lead_id"]) == ("EMPTY_KEY", "anna")


@pytest.mark.parametrize("value", [erasure(""), erasure("x" * 1001), erasure("anna")[:-1], b"nonsense", None])
def test_the_letter_of_a_record_that_names_no_lead_names_none(value: bytes | None) -> None:
    _, letter = letter_of(b"anna", value)
    assert letter["lead_id"] is None
