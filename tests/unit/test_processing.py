"""What the worker makes of a record that it can't use."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from partitions import CODEC, PARTITIONS, Uncounted, Worker, decoded

from streams.engine.seam import Output, PlainRecord
from streams.modelfile import read_model
from streams.partitioning import partition_of
from streams.processing import LeadLogic
from streams.qualification.lead import Lead
from streams.qualification.state import Alias, pack, unpack
from streams.wire.validation import MAX_AGE_MS

NOW = 1_790_000_000_000


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


def record_of(topic: str, key: str, partition: int | None = None, **fields: Any) -> PlainRecord:
    event = {"event_id": f"{topic}-{fields}", "lead_id": key, "occurred_at": NOW, **fields}
    where = partition_of(key.encode(), PARTITIONS) if partition is None else partition
    return PlainRecord(topic, where, 7, NOW, key.encode(), CODEC.encode(topic, event))


def view(key: str, partition: int | None = None, **fields: Any) -> PlainRecord:
    return record_of("page-views", key, partition, url="https://example.com/pricing", **fields)


def link_of(alias: str, to: str) -> PlainRecord:
    return record_of("identity-links", alias, anonymous_id=alias, revoked=False)._replace(
        value=CODEC.encode(
            "identity-links",
            {"event_id": "l", "lead_id": to, "occurred_at": NOW, "anonymous_id": alias, "revoked": False},
        )
    )


def elsewhere(key: str) -> int:
    return (partition_of(key.encode(), PARTITIONS) + 1) % PARTITIONS


def test_a_first_seen_lead_on_a_wrong_partition_is_forwarded_once_and_then_handled() -> None:
    worker, record = Worker(), view("anna", elsewhere("anna"))
    (stray,) = worker.take(record)
    assert (stray["lead_id"], stray["occurred_at"], stray["app"]) == ("anna", NOW, "app")
    assert stray["forwarded"] == {
        "topic": "page-views",
        "partition": record.partition,
        "offset": 7,
        "timestamp": NOW,
        "key": b"anna",
        "value": record.value,
        "hops": 1,
        "passed": [],
    }
    assert worker.batches[elsewhere("anna")].states == {}
    assert worker.states[b"anna"].groups == {"web": (10.0, NOW)}
    same = Worker()
    same.take(view("anna"))
    assert same.states == worker.states


@pytest.mark.parametrize("topic", ["erasures", "identity-links"])
def test_links_and_erasures_stray_as_any_event(topic: str) -> None:
    worker = Worker()
    worker.take(view("anna"))
    record = link_of("anna", "bert") if topic == "identity-links" else record_of(topic, "anna", requested_by=None)
    worker.take(record._replace(partition=elsewhere("anna")))
    left = worker.states[b"anna"]
    assert left.is_mark if topic == "erasures" else left == Alias("bert", NOW)


def test_a_state_travels_as_a_record_and_arrives_as_it_was() -> None:
    worker = Worker()
    worker.take(view("anna"))
    before = worker.states[b"anna"].copy()
    (stray,) = worker.take(link_of("anna", "bert"))
    assert (stray["lead_id"], stray["merged"]["passed"], stray["arrival"]) == ("bert", ["anna"], NOW)
    assert unpack(stray["merged"]["state"]).groups == before.groups
    assert worker.states[b"bert"].groups == before.groups
    (stray,) = worker.take(view("anna", event_id="later"))
    assert (stray["lead_id"], stray["forwarded"]["passed"]) == ("bert", ["anna"])


def test_a_state_travels_in_a_form_that_the_release_before_reads() -> None:
    """Or, in the midst of a rolling upgrade, what a lead did would be a dead letter."""
    worker = Worker()
    worker.take(view("anna"))
    (stray,) = worker.take(link_of("anna", "bert"))
    assert msgspec.msgpack.decode(stray["merged"]["state"], type=Lead | Alias).groups == worker.states[b"bert"].groups


def test_what_is_forgotten_with_a_lead_hears_of_it_by_a_record() -> None:
    worker = Worker()
    worker.take(view("bert"))
    worker.take(link_of("anna", "bert"))
    where = partition_of(b"anna", PARTITIONS)
    (stray,) = worker.take(record_of("erasures", "bert", requested_by=None))
    assert (stray["lead_id"], stray["forgotten"]) == ("anna", {"target": "bert", "until": NOW, "erased": True})
    assert {key: state.is_mark for key, state in worker.states.items()} == {b"anna": True, b"bert": True}
    assert {worker.logic.label(state) for state in worker.states.values()} == {"erased"}
    worker = Worker()
    worker.take(link_of("anna", "bert"))
    before = {**stray, "forgotten": {"target": "bert", "until": None, "erased": True}, "occurred_at": NOW - 1}
    worker.take(PlainRecord("strays", where, 0, NOW, b"anna", CODEC.encode("strays", before)))
    assert worker.states[b"anna"] == Alias("bert", NOW), "one that says no time means its own"


def test_a_stray_of_other_workers_is_passed_over() -> None:
    worker, others = Worker(), Worker("others")
    (stray,) = others.take(view("anna", elsewhere("anna")))
    where = partition_of(b"anna", PARTITIONS)
    assert worker.take(PlainRecord("strays", where, 0, NOW, b"anna", CODEC.encode("strays", stray))) == []
    assert worker.states == {}
    assert worker.batches[where].outputs == []


BAD_STRAYS: dict[str, dict[str, Any]] = {
    "nothing in it": {},
    "a state that nobody wrote": {"merged": {"passed": ["x"], "state": b"\xff"}},
    "a text that is none": {"merged": {"passed": ["x"], "state": pack(Lead("y", 1)).replace(b"y", b"\xff")}},
    "an alias for a state": {"merged": {"passed": ["x"], "state": pack(Alias("y", 1))}},
    "nobody's state": {"merged": {"passed": [], "state": b""}},
    "a topic that is no input": {"forwarded": {"topic": "mql-events"}},
    "an event that can't be read": {"forwarded": {"value": b"nonsense"}},
}


@pytest.mark.parametrize("what", BAD_STRAYS.values(), ids=BAD_STRAYS.keys())
def test_a_stray_that_makes_no_sense_is_a_dead_letter(what: dict[str, Any]) -> None:
    stray = dict.fromkeys(("forwarded", "merged", "linked", "forgotten", "arrival", "app"))
    stray |= {"event_id": "s", "lead_id": "anna", "occurred_at": NOW, **what}
    if "forwarded" in what:
        whole = {"topic": "page-views", "partition": 1, "offset": 2, "timestamp": NOW, "key": b"anna", "value": b"v"}
        stray["forwarded"] = {**whole, "hops": 1, "passed": [], **what["forwarded"]}
    worker = Worker()
    where = partition_of(b"anna", PARTITIONS)
    worker.take(PlainRecord("strays", where, 3, NOW, b"anna", CODEC.encode("strays", stray)))
    (output,) = worker.batches[where].outputs
    letter = decoded(output.topic, output.value)
    assert output.topic == "dead-letters"
    assert (letter["lead_id"], letter["error"]) in {("anna", "INVALID"), ("anna", "UNDECODABLE"), (None, "UNDECODABLE")}
    assert letter["topic"] == ("page-views" if what.get("forwarded", {}).get("value") else "strays")


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
