"""Receipts add up by themselves, and one that has been tampered with does not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from handmade import DEFAULT, HOUR, activity, booking, buyer, days, download, page_view, pricing

from streams.qualification.events import Event, Qualified
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.receipt import verify_receipt
from streams.qualification.step import step
from streams.wire.times import rfc3339


def qualified(*events: Event, model: Model = DEFAULT) -> dict[str, Any]:
    """The last Qualification of the events, which are told as they happened."""
    lead: Lead | None = None
    records = []
    for event in events:
        lead, out = step(lead, event, max(event.occurred_at, lead.as_of if lead else 0), model)
        records += [one.record for one in out if isinstance(one, Qualified)]
    return records[-1]


@pytest.fixture
def receipt() -> dict[str, Any]:
    story = [page_view(days(day), utm_source="news", duration_ms=200_000) for day in range(6)]
    content = [download(days(6) + hour * HOUR, title=f"Paper {hour}") for hour in range(6)]
    return qualified(*story, *content, activity(days(7), "unsubscribe"), buyer(days(8)), booking(days(9)))


def test_a_receipt_adds_up(receipt: dict[str, Any]) -> None:
    assert verify_receipt(receipt) == []


@pytest.mark.parametrize("written", [rfc3339, lambda at: datetime.fromtimestamp(at / 1000, UTC)])
def test_a_receipt_is_verified_as_tail_prints_it_and_as_readers_of_avro_have_it(
    receipt: dict[str, Any], written: Callable[[int], Any]
) -> None:
    for one in (receipt, *receipt["evidence"]):
        one["occurred_at"] = written(one["occurred_at"])
    assert verify_receipt(receipt) == []
    receipt["evidence"][0]["occurred_at"] = written(days(-100))
    assert [one for one in verify_receipt(receipt) if one.startswith("decay of")]


def test_a_receipt_shows_the_strongest_and_sums_up_the_rest(receipt: dict[str, Any]) -> None:
    content = [line for line in receipt["evidence"] if line["group"] == "content"]
    assert [line["subject"] for line in content] == ["Paper 5", "Paper 4", "Paper 3", None]
    assert content[-1]["name"] == "other"
    assert {line["group"] for line in receipt["groups"]} == {"web", "content", "intent", "disengagement"}


def test_a_receipt_shows_what_a_cap_took(receipt: dict[str, Any]) -> None:
    (content,) = [line for line in receipt["groups"] if line["group"] == "content"]
    assert content["raw"] > content["cap"] == content["clamped"]


def test_a_receipt_tells_where_the_lead_came_from(receipt: dict[str, Any]) -> None:
    assert receipt["first_touch"]["source"] == "news"
    assert receipt["first_touch"]["occurred_at"] == days(0)
    assert receipt["last_touch"]["occurred_at"] == days(5)


def test_a_receipt_says_in_words_why(receipt: dict[str, Any]) -> None:
    assert receipt["reason"].startswith("Demo booked today; most of it from demo")
    mql = qualified(buyer(days(0)), pricing(days(1)), pricing(days(1)))
    assert mql["reason"] == ("Interest 20.0 reached 20 and fit 70 (A) reached 40; most of it from pricing page (2x).")


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def tamper(record: dict[str, Any]) -> None:
        inner: Any = record
        for step_ in path[:-1]:
            inner = inner[step_]
        assert inner[path[-1]] != to
        inner[path[-1]] = to

    return tamper


TAMPERED: dict[str, Callable[[dict[str, Any]], None]] = {
    "interest": _set("interest", to=99.0),
    "fit": _set("fit", to=99.0),
    "a raw value": _set("groups", 0, "raw", to=39.0),
    "a clamped value": _set("groups", 0, "clamped", to=39.0),
    "a half-life": _set("groups", 0, "half_life_s", to=86_400.0),
    "a cap": _set("groups", 0, "cap", to=1.0),
    "points given": _set("evidence", 0, "points", to=99.0),
    "points now": _set("evidence", 0, "points_now", to=99.0),
    "when points were given": _set("evidence", 0, "occurred_at", to=days(1) + 1),
    "points of all others": _set("evidence", -1, "points", to=99.0),
    "a time of all others": _set("evidence", -1, "occurred_at", to=days(1)),
    "the name of a contribution that has faded otherwise": lambda record: record["evidence"][0].update(
        name="other", occurred_at=days(1)
    ),
    "the group of a contribution": _set("evidence", 0, "group", to="content"),
    "fit points": _set("fit_evidence", 0, "points", to=99.0),
    "when it happened": _set("occurred_at", to=days(20)),
    "no half-life": _set("groups", 0, "half_life_s", to=0.0),
    "a group stated twice": lambda record: record["groups"].insert(0, dict(record["groups"][0])),
    "a threshold above its interest": _set("threshold", to=1_000.0),
    "what is no number": _set("interest", to=float("nan")),
    "a missing contribution": lambda record: record["evidence"].pop(0),
    "a missing group": lambda record: record["groups"].pop(0),
    "a missing fit line": lambda record: record["fit_evidence"].pop(),
}


def test_a_rule_may_be_called_as_all_others_are() -> None:
    rules = {
        **DEFAULT.rules,
        "download": tuple(replace(rule, name="other") for rule in DEFAULT.rules["download"][-1:]),
    }
    model = replace(DEFAULT, rules=rules)
    receipt = qualified(*(download(days(day)) for day in range(6)), buyer(days(6)), model=model)
    assert verify_receipt(receipt) == []
    assert receipt["reason"].endswith("most of it from other (3x).")


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_receipt_does_not_add_up(receipt: dict[str, Any], tamper: Callable[[dict[str, Any]], None]) -> None:
    changed = deepcopy(receipt)
    tamper(changed)
    assert verify_receipt(changed)
