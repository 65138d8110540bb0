"""Events from dice, of every kind and with every field: ordinary values, odd ones, and the largest that are taken."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from handmade import LEAD_ID
from lead_histories import Happening
from model_files import TEXTS

from streams.qualification.events import Event, event_of
from streams.topics import INPUT_TOPICS
from streams.wire.limits import limits_of
from streams.wire.schemas import shipped

DAY = 86_400_000
NUMBERS = (0, 1, 3, 59_999, 60_000, 200, 500)
_ODD_NUMBERS = (2**31 - 1, 10**18, -(10**18), -1, 1e-300, 1e17, 0.1)


def drawn_event(
    dice: Random, number: int, at: int, lead_id: str, others: tuple[str, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """`(topic, fields)` of an event that every check of the wire passes."""
    topic = dice.choices(INPUT_TOPICS, weights=_WEIGHTS)[0]
    limits = limits_of(topic.name)
    fields: dict[str, Any] = {}
    declared = shipped().of_topic(topic.name).declaration["fields"]
    types = [one for field in declared for one in _alternatives(field["type"]) if isinstance(one, dict)]
    named = {one["name"]: one for one in types if "name" in one}
    for field in declared:
        avro, name = field["type"], field["name"]
        nullable = isinstance(avro, list)
        if nullable and dice.random() < 0.4:
            fields[name] = None
            continue
        fields[name] = _value(dice, avro[-1] if nullable else avro, limits.get(name), at, named)
    repeated = dice.random() < 0.03
    fields |= {"event_id": f"e{number - repeated}", "lead_id": lead_id, "occurred_at": at}
    if topic.kind == "demo_booking":
        fields["booking_id"] = dice.choice("12345678")
    if topic.kind == "identity_link":
        fields["anonymous_id"] = dice.choice([lead_id, *others])
        fields["lead_id"] = dice.choice([lead_id, *others])
    if topic.kind == "sales_feedback" and dice.random() < 0.8:
        fields["qualification_id"] = None
    return topic.name, fields


_RARE = {"erasures": 1, "identity-links": 3, "sales-feedback": 8}
_WEIGHTS = [_RARE.get(topic.name, 20) for topic in INPUT_TOPICS]


def _alternatives(avro: Any) -> list[Any]:
    return avro if isinstance(avro, list) else [avro]


def _value(dice: Random, avro: Any, limit: Any, at: int, named: dict[str, Any]) -> Any:
    if isinstance(avro, str):
        avro = named.get(avro, avro)
    kind = avro if isinstance(avro, str) else avro["type"]
    if kind == "enum":
        return dice.choice(avro["symbols"])
    if kind == "boolean":
        return dice.random() < 0.2
    if kind == "map":
        return {
            key: dice.choice([*TEXTS, "7", "1e400", "nan"])
            for key in dice.sample(["plan", "a", "b", "c"], dice.randint(0, 3))
        }
    if isinstance(avro, dict) and avro.get("logicalType"):
        return at - dice.choice([0, 5_000, 60_000, DAY])
    if kind in ("int", "long"):
        return max(0, min(limit.most, int(dice.choice([*NUMBERS, *_ODD_NUMBERS, 2**53 - 1]))))
    if kind == "double":
        return float(dice.choice([*NUMBERS, *_ODD_NUMBERS]))
    text = dice.choice([*TEXTS, "https://example.com/pricing", "10.1.2.3", "no_budget"])
    return text or "t" if limit is not None and limit.kind == "id" else text


def as_event(topic: str, fields: dict[str, Any], arrival: int) -> Event:
    kind = next(one.kind for one in INPUT_TOPICS if one.name == topic)
    assert kind is not None
    return event_of(kind, fields, arrival)


def drawn_history(seed: int, length: int) -> list[Happening]:
    """A life of one lead, with answers that name its qualifications, but without links."""
    dice = Random(seed)
    gaps = [0, 0, 60_000, DAY, 10 * DAY, 30 * DAY, *(dice.randint(0, most * DAY) for most in (1, 3, 12))]
    lates = [0] * 8 + [60_000, dice.randint(0, 20 * DAY)]
    return [_happening(Random(f"{seed} {n}"), n, dice.choice(gaps), dice.choice(lates)) for n in range(length)]


def _happening(dice: Random, number: int, after_ms: int, late_ms: int) -> Happening:
    state = dice.getstate()

    def make(at: int, known: Sequence[str]) -> Event:
        dice.setstate(state)
        topic, fields = "identity-links", dict[str, Any]()
        while topic == "identity-links":
            topic, fields = drawn_event(dice, number, at, LEAD_ID)
        if topic == "sales-feedback" and known and dice.random() < 0.5:
            fields["qualification_id"] = dice.choice([known[0], known[-1]])
        return as_event(topic, fields, at)

    return Happening(make, f"event {number}", after_ms, late_ms)
