"""`leadstream explain` beside a worker: what it says of a lead is what the worker has made of it and published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.engine.envelope import wrap
from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from streams.partitioning import partition_of
from streams.qualification.state import Alias, pack
from streams.topics import changelog_topic
from streams.wire.times import rfc3339
from tests.kafka_topics import produce_raw, records_of
from tests.processes import eventually, leadstream, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAY, MINUTE = 86_400_000, 60_000
#: 2026-11-01T09:00:00Z
START = 1_793_523_600_000
EARLIER = START - 100 * DAY
PARTITIONS = 4
VIEW = {"url": "https://example.com/"}
KNOWN = {"employees": 500, "job_title": "Director of Sales"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker with a worker on it, whose clock is its events' own."""
    with EmbeddedBroker(tmp_path_factory.mktemp("kafka")) as broker:
        at = ("--bootstrap", broker.bootstrap)
        assert leadstream("topics", *at, "--partitions", str(PARTITIONS)).returncode == 0
        with running_worker(broker.bootstrap, tmp_path_factory.mktemp("worker") / "log", "--clock", "stream"):
            yield broker.bootstrap


def publish(address: str, *events: tuple[str, str, int, dict[str, Any]]) -> None:
    lines = [
        json.dumps({"topic": topic, "event": {"lead_id": lead, "occurred_at": at, **fields}})
        for topic, lead, at, fields in events
    ]
    done = leadstream("publish", "--bootstrap", address, "-", input="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr


def explained(address: str, *arguments: str) -> dict[str, Any]:
    done = leadstream("explain", "--bootstrap", address, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(address: str, topic: str, lead: str, count: int = 1) -> list[dict[str, Any]]:
    """The records of the lead on a topic, once there are so many."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = records_of(address, topic, lead)
        return len(found) >= count

    eventually(there, f"{topic} has no {count} records of {lead}")
    return found


def bought(lead: str, at: int) -> list[tuple[str, str, int, dict[str, Any]]]:
    """Enough for an MQL."""
    return [
        ("lead-profiles", lead, at, {**KNOWN, "email": f"{lead}@example.com"}),
        ("page-views", lead, at + MINUTE, {"url": "https://example.com/pricing"}),
        ("downloads", lead, at + 2 * MINUTE, {"asset_id": "guide", "funnel_stage": "MIDDLE"}),
        ("activities", lead, at + 3 * MINUTE, {"kind": "email_reply"}),
    ]


def visitor_of(lead: str) -> str:
    """An id on another partition than the lead's."""
    ids = (f"visitor-{number}-of-{lead}" for number in range(100))
    return next(one for one in ids if place(one) != place(lead))


def place(id_: str) -> int:
    return partition_of(id_.encode(), PARTITIONS)


# The first of them: others move the clocks on to START.
def test_it_says_beforehand_when_the_worker_will_let_a_lead_cool(address: str) -> None:
    publish(address, *bought("mql-2", EARLIER))
    until(address, "mql-events", "mql-2")
    seen = explained(address, "mql-2", "--at", rfc3339(EARLIER + DAY))
    cools = next(one for one in seen["ahead"] if one["to_stage"] == "lead")
    after = explained(address, "mql-2", "--at", cools["at"])
    assert after["stage"] == "lead"
    others = [next(f"clock-{n}" for n in range(100) if place(f"clock-{n}") == number) for number in range(PARTITIONS)]
    publish(address, *(("page-views", other, START, VIEW) for other in others))  # these move the clocks
    *_, cooled = until(address, "lifecycle-events", "mql-2", 3)
    assert (cooled["to_stage"], rfc3339(cooled["occurred_at"])) == ("lead", cools["at"])


def test_it_agrees_with_what_the_worker_published(address: str) -> None:
    publish(address, *bought("mql-1", START))
    (qualified,) = until(address, "mql-events", "mql-1")
    *_, score = until(address, "lead-scores", "mql-1")
    seen = explained(address, "mql-1", "--at", rfc3339(score["as_of"]))
    assert seen["interest"] == pytest.approx(score["interest"], abs=1e-6)
    assert sum(line["clamped"] for line in seen["groups"]) == pytest.approx(score["interest"], abs=1e-6)
    for name in ("stage", "fit", "fit_band", "route", "model"):
        assert seen[name] == score[name]
    assert seen["qualified_until"] == rfc3339(score["qualified_until"])
    assert seen["qualification_id"] == seen["qualification"]["event_id"] == qualified["event_id"]
    lifecycle = until(address, "lifecycle-events", "mql-1", 2)
    assert [one["event_id"] for one in seen["lifecycle"]] == [one["event_id"] for one in lifecycle]
    assert seen["sequence"] == lifecycle[-1]["sequence"]
    assert (seen["asked"], seen["passed"], seen["workers_model"]) == ("mql-1", [], None)


def test_it_follows_an_alias_to_the_lead_on_another_partition(address: str) -> None:
    lead, visitor = "mql-3", visitor_of("mql-3")
    publish(
        address,
        ("page-views", visitor, START, {"url": "https://example.com/pricing"}),
        *bought(lead, START + MINUTE),
        ("identity-links", lead, START + DAY, {"anonymous_id": visitor}),
    )

    def arrived() -> bool:
        done = leadstream("explain", "--bootstrap", address, visitor, "--json", "--at", rfc3339(START + 2 * DAY))
        return done.returncode == 0 and len(json.loads(done.stdout)["aliases"]) == 2

    eventually(arrived, "the visitor's past did not arrive")
    seen = explained(address, visitor, "--at", rfc3339(START + 2 * DAY))
    same = explained(address, lead, "--at", rfc3339(START + 2 * DAY))
    assert seen["passed"] == [{"id": visitor, "since": rfc3339(START + DAY)}]
    assert {**seen, "asked": lead, "passed": []} == same
    assert sum(one["name"] == "pricing page" for one in seen["evidence"]) == 2
    text = leadstream("explain", "--bootstrap", address, visitor)
    assert text.stdout.startswith(f"{visitor} is an alias of {lead} since 2026-11-02 09:00.\n{lead}: ")
    assert text.stderr == ""


def test_another_model_than_the_workers_is_said_to_be_one(address: str, tmp_path: Path) -> None:
    publish(address, *bought("mql-4", START))
    until(address, "mql-events", "mql-4")
    school = Path(__file__).parents[2] / "deploy/models/x-education.yaml"
    at = ("--at", rfc3339(START + DAY))
    seen = explained(address, "mql-4", *at, "--model", str(school))
    assert (seen["model"], seen["workers_model"]) == ("x-education-1", "default-2026-11")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("model: wrong\n")
    refused = leadstream("explain", "--bootstrap", address, "mql-4", "--model", str(wrong))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "wrong.yaml" in refused.stderr


def test_who_is_not_known_and_who_is_not_any_more_is_told_apart(address: str) -> None:
    unknown = leadstream("explain", "--bootstrap", address, "Vera@example.com")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "Nothing is known of a lead Vera@example.com. Is it email:vera@example.com?" in unknown.stderr

    lead, visitor = "mql-5", visitor_of("mql-5")
    publish(
        address,
        *bought(lead, START),
        ("identity-links", lead, START + DAY, {"anonymous_id": visitor}),
        ("identity-links", lead, START + 2 * DAY, {"anonymous_id": visitor, "revoked": True}),
    )
    until(address, "mql-events", lead)

    def said(id_: str, words: str) -> bool:
        done = leadstream("explain", "--bootstrap", address, id_)
        return (done.returncode, done.stdout) == (1, "") and words in done.stderr

    ended = f"{visitor} was an alias of a lead until {rfc3339(START + 2 * DAY)}, and nothing is known of it since."
    eventually(lambda: said(visitor, ended), "the alias has not ended")
    assert leadstream("forget", "--bootstrap", address, lead).returncode == 0
    eventually(lambda: said(lead, f"{lead} was erased, as of "), "the lead was not erased")

    asked_at = records_of(address, "erasures", lead)[0]["occurred_at"]
    publish(address, ("page-views", lead, asked_at + 1, VIEW))
    eventually(lambda: leadstream("explain", "--bootstrap", address, lead).returncode == 0, "it did not begin anew")
    anew = explained(address, lead)
    assert (anew["stage"], anew["qualification"], anew["lifecycle"]) == ("visitor", None, [])
    assert anew["since"] == rfc3339(asked_at + 1)


def test_a_group_of_workers_that_has_no_changelog_has_no_leads(address: str) -> None:
    done = leadstream("explain", "--bootstrap", address, "mql-1", "--app", "others")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No topic others-leads-changelog" in done.stderr


def test_what_leads_nowhere_or_cannot_be_read_is_told_of(address: str) -> None:
    ensure_topics(address, app_id="handmade")
    broken = bytearray(wrap(pack(Alias("there", START)), None))
    broken[-1] ^= 1
    for id_, envelope in {
        "one": wrap(pack(Alias("two", START)), None),
        "two": wrap(pack(Alias("one", START)), None),
        "lost": wrap(pack(Alias("nobody", START)), None),
        "steering": wrap(pack(Alias("\x1b[2J\x9b31m", START)), None),
        "broken": bytes(broken),
    }.items():
        produce_raw(address, changelog_topic("handmade").name, id_.encode(), envelope)
    for id_, reason in {
        "one": "These ids are linked in a circle: one, two.",
        "lost": "lost is an alias of nobody, of which nothing is known.",
        "steering": "steering is an alias of \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}31m, of which",
        "broken": "handmade-leads-changelog holds of broken what this release can't read: its checksum says",
    }.items():
        done = leadstream("explain", "--bootstrap", address, id_, "--app", "handmade")
        assert (done.returncode, done.stdout) == (1, "")
        assert reason in done.stderr
