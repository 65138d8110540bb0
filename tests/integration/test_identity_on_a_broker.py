"""Identity on a real broker: states that travel between partitions, strays, and what is left of an erased lead."""

from __future__ import annotations

import itertools
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.kafka import DEFAULT_APP, producer_config
from streams.local.broker import EmbeddedBroker
from streams.modelfile import read_text
from streams.partitioning import partition_of
from streams.qualification.lead import Lead
from streams.qualification.state import Alias, State, mark
from streams.topics import SOURCE_TOPICS
from streams.wire.codec import Codec
from streams.wire.jsonlines import Line, parse_line
from tests.kafka_topics import changelog_of, ends_of, messages_of, produce_raw, progress_of, read_all, records_of
from tests.processes import eventually, leadstream, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAY, MINUTE = 86_400_000, 60_000
#: 2026-11-01T09:00:00Z
START = 1_793_523_600_000
SERVER = {"group.min.session.timeout.ms": "6000"}
OUTPUTS = ("mql-events", "sql-events", "lifecycle-events")
PARTITIONS = 4
CODEC = Codec()


def line(topic: str, lead_id: str, at: int, **fields: Any) -> str:
    return json.dumps({"topic": topic, "event": {"lead_id": lead_id, "occurred_at": at, **fields}})


def publish(address: str, *lines: str) -> None:
    done = leadstream("publish", "--bootstrap", address, "-", input="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr


def states_when_settled(address: str) -> dict[str, State]:
    """All states once every source topic is applied to its end, strays that strays brought about included."""

    def settled() -> bool:
        ends = ends_of(address, [topic.name for topic in SOURCE_TOPICS])
        progress = progress_of(address, DEFAULT_APP)
        return all(n in progress and progress[n].applied.get(topic, -1) == end - 1 for (topic, n), end in ends.items())

    eventually(settled, "not everything was handled")
    eventually(settled, "not everything was handled")
    return changelog_of(address, DEFAULT_APP)[0]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with EmbeddedBroker(tmp_path / "kafka", server=SERVER) as broker:
        assert leadstream("topics", "--bootstrap", broker.bootstrap, "--partitions", str(PARTITIONS)).returncode == 0
        yield broker.bootstrap


def pairs() -> list[tuple[str, str]]:
    """(visitor, lead), on different partitions."""
    found = [(f"visitor-{number}", f"lead-{number}") for number in range(60)]
    return [one for one in found if len({partition_of(id_.encode(), PARTITIONS) for id_ in one}) == 2]


def test_states_travel_between_workers_one_of_which_is_killed(address: str, tmp_path: Path) -> None:
    people = pairs()
    options = ["--clock", "stream", "--session-timeout", "6"]
    before, links, after = [], [], []
    for number, (visitor, lead) in enumerate(people):
        at = START + number
        before += [line("page-views", visitor, at, url="https://example.com/pricing")] * 2
        before += [line("downloads", visitor, at + MINUTE, asset_id="paper", funnel_stage="BOTTOM")]
        before += [line("lead-profiles", lead, at, employees=500, job_title="Director", email=f"{lead}@example.com")]
        links.append(line("identity-links", lead, at + 2 * MINUTE, anonymous_id=visitor))
        after.append(line("activities", visitor, at + 3 * MINUTE, kind="email_reply"))
    with (
        running_worker(address, tmp_path / "log-1", *options) as killed,
        running_worker(address, tmp_path / "log-2", *options),
    ):
        publish(address, *before)
        states_when_settled(address)
        publish(address, *links[: len(links) // 2])
        eventually(lambda: read_all(address, "strays")["strays"], "nothing travels")
        killed.send_signal(signal.SIGKILL)
        killed.wait(20)
        publish(address, *links[len(links) // 2 :], *after)
        states = states_when_settled(address)
    for visitor, lead in people:
        found = states[lead]
        assert isinstance(found, Lead)
        assert {name: round(value, 3) for name, (value, _) in found.groups.items()} == {
            "web": 10.0,  # the page was told twice, with one id
            "content": 20.0,
            "email": 12.0,
        }
        assert found.stage == "mql"
        assert states[visitor] == Alias(lead, states[visitor].since)  # type: ignore[union-attr]
    granted = read_all(address, *OUTPUTS)
    assert sorted(record["lead_id"] for _, record in granted["mql-events"] if record) == sorted(
        lead for _, lead in people
    )
    ids = [record["event_id"] for topic in OUTPUTS for _, record in granted[topic] if record]
    assert len(set(ids)) == len(ids)


def happenings() -> list[tuple[str, str, str]]:
    """(topic, lead, line) of five days of forty leads, in the order of time."""
    dice = random.Random(7)
    found = []
    for number in range(1_200):
        at, lead = START + 5 * DAY * number // 1_200, f"somebody-{dice.randrange(40)}"
        topic, fields = dice.choice(
            [
                ("page-views", {"url": f"https://example.com/{dice.choice(['pricing', 'docs', 'blog'])}"}),
                ("page-views", {"url": "https://example.com/case-studies/one"}),
                ("downloads", {"asset_id": "paper", "funnel_stage": dice.choice(["TOP", "BOTTOM"])}),
                ("activities", {"kind": dice.choice(["email_reply", "unsubscribe", "webinar_attended"])}),
                ("lead-profiles", {"email": f"{lead}@example.com", "employees": 500, "job_title": "Director"}),
                ("demo-bookings", {"booking_id": lead, "status": dice.choice(["BOOKED", "CANCELLED"])}),
                ("sales-feedback", {"disposition": dice.choice(["ACCEPTED", "REJECTED", "LOST"])}),
            ]
        )
        found.append((topic, lead, line(topic, lead, at, event_id=f"{number}", **fields)))
    return found


def told_with(partitioner: str, folder: Path) -> tuple[set[str], dict[str, State], int]:
    """The ids of all events, the states, and how many records strayed, when trackers use `partitioner`.

    Everything is on the topics before the worker starts, and `grace` is longer than all of it took: nothing that is
    forwarded comes later than that.
    """
    folder.mkdir()
    model = folder / "model.yaml"
    model.write_text(read_text()[0].replace("grace: 2m", "grace: 6d"))
    with EmbeddedBroker(folder / "kafka", server=SERVER) as broker:
        address = broker.bootstrap
        assert leadstream("topics", "--bootstrap", address, "--partitions", str(PARTITIONS)).returncode == 0
        producer = Producer({**producer_config(address), "partitioner": partitioner})
        for topic, lead, text in happenings():
            parsed = parse_line(text.encode())
            assert isinstance(parsed, Line)
            producer.produce(topic, CODEC.encode(topic, parsed.event), lead.encode())
        assert producer.flush(30) == 0
        with running_worker(address, folder / "log", "--model", str(model), "--clock", "stream"):
            states = states_when_settled(address)
        outputs = read_all(address, *OUTPUTS)
        strays = [record for _, record in read_all(address, "strays")["strays"] if record]
        assert not read_all(address, "dead-letters")
        ids = [record["event_id"] for topic in OUTPUTS for _, record in outputs[topic] if record]
        assert len(set(ids)) == len(ids)
        return set(ids), states, sum(one["forwarded"] is not None for one in strays)


def test_a_tracker_with_librdkafkas_own_partitioner_gives_the_same_groups_and_episodes(tmp_path: Path) -> None:
    ids, states, none = told_with("murmur2_random", tmp_path / "murmur2")
    same, stray_states, strays = told_with("consistent_random", tmp_path / "crc32")
    assert none == 0
    assert strays > 100
    assert same == ids
    assert len(ids) > 100
    assert states.keys() == stray_states.keys()
    for id_, state in states.items():
        stray = stray_states[id_]
        if isinstance(state, Alias):
            assert stray == state
            continue
        assert isinstance(stray, Lead)
        assert (stray.groups, stray.stage, stray.sequence) == (state.groups, state.stage, state.sequence)
        assert (stray.seen, stray.visits, stray.profile) == (state.seen, state.visits, state.profile)


def test_leads_of_trackers_with_either_partitioner_are_whole_though_a_worker_is_killed(
    address: str, tmp_path: Path
) -> None:
    """Each event comes from one of two trackers, and some from both."""
    trackers = [
        Producer({**producer_config(address), "partitioner": partitioner})
        for partitioner in ("murmur2_random", "consistent_random")
    ]
    dice, leads, views = random.Random(11), [f"somebody-{number}" for number in range(40)], 20

    def publish_views(numbers: range) -> None:
        for number, lead in itertools.product(numbers, leads):
            text = line(
                "page-views",
                lead,
                START + number,
                event_id=f"{lead}/{number}",
                url="https://example.com/case-studies/x",
            )
            parsed = parse_line(text.encode())
            assert isinstance(parsed, Line)
            for tracker in dice.sample(trackers, dice.choice([1, 1, 2])):
                tracker.produce("page-views", CODEC.encode("page-views", parsed.event), lead.encode())
        assert [tracker.flush(30) for tracker in trackers] == [0, 0]

    options = ["--clock", "stream", "--session-timeout", "6"]
    with (
        running_worker(address, tmp_path / "log-1", *options) as killed,
        running_worker(address, tmp_path / "log-2", *options),
    ):
        publish(
            address,
            *(
                line("lead-profiles", one, START, employees=500, job_title="Director", email=f"{one}@example.com")
                for one in leads
            ),
        )
        publish_views(range(views // 2))
        eventually(lambda: read_all(address, "strays")["strays"], "nothing strays")
        killed.send_signal(signal.SIGKILL)
        killed.wait(20)
        publish_views(range(views // 2, views))
        states = states_when_settled(address)
    for lead in leads:
        found = states[lead]
        assert isinstance(found, Lead)
        assert {name: round(value, 3) for name, (value, _) in found.groups.items()} == {"content": 6.0 * views}
    said = read_all(address, "mql-events", "dead-letters")
    assert sorted(record["lead_id"] for _, record in said["mql-events"] if record) == sorted(leads)
    assert not said["dead-letters"]


def test_of_a_forgotten_lead_only_when_that_was_is_left_and_it_begins_anew(address: str, tmp_path: Path) -> None:
    (visitor, lead), (older, _), *_ = pairs()
    mail = "email:jane@example.com"
    with running_worker(address, tmp_path / "log", "--clock", "stream"):
        publish(
            address,
            *(line("page-views", visitor, START + n, url="https://example.com/pricing") for n in range(2)),
            line("lead-profiles", lead, START + 2, email="Jane@example.com", employees=500, job_title="Director"),
            line("identity-links", visitor, START + MINUTE, anonymous_id=older),
            line("identity-links", lead, START + MINUTE, anonymous_id=visitor),
            line("identity-links", lead, START + 2 * MINUTE, anonymous_id=visitor),
        )
        assert set(states_when_settled(address)) == {older, visitor, lead, mail}
        asked = leadstream("forget", "--bootstrap", address, visitor, "--requested-by", "herself")
        assert (asked.returncode, asked.stdout) == (0, f"asked for the erasure of {visitor}\n")
        (request,) = records_of(address, "erasures")
        assert (request["lead_id"], request["requested_by"]) == (visitor, "herself")
        asked_at = request["occurred_at"]
        left = states_when_settled(address)
        assert left == {id_: mark(left[id_].erased) for id_ in (older, visitor, lead, mail)}  # type: ignore[arg-type]
        assert {one.erased.asked_at for one in left.values() if one.erased} == {asked_at}
        last = {message.key(): message.value() for message in messages_of(address, ["lead-scores"])}
        assert last[lead.encode()] is None
        end = max(records_of(address, "lifecycle-events", lead), key=lambda one: one["sequence"])
        assert (end["cause"], end["profile"]) == ("ERASED", None)

        later = request["occurred_at"] + 1
        publish(address, *(line("page-views", id_, later, url="https://example.com/") for id_ in (visitor, lead, mail)))
        states = states_when_settled(address)
        assert states.pop(older) == left[older]
        assert set(states) == {visitor, lead, mail}
        for id_, state in states.items():
            assert isinstance(state, Lead), id_
            assert state.groups == {"web": (1.0, later)}
            assert (state.stage, state.sequence, state.profile, state.aliases) == ("visitor", 0, {}, ())


def test_a_stray_that_cannot_be_used_is_a_dead_letter_and_nothing_waits_for_it(address: str, tmp_path: Path) -> None:
    (visitor, lead), *_ = pairs()
    home = partition_of(lead.encode(), PARTITIONS)
    with running_worker(address, tmp_path / "log", "--clock", "stream"):
        # A lead that has strayed for real, and its stray once more where it does not belong.
        parsed = parse_line(line("page-views", lead, START, url="https://example.com/pricing").encode())
        assert isinstance(parsed, Line)
        value = CODEC.encode("page-views", parsed.event)
        produce_raw(address, "page-views", lead.encode(), value, (home + 1) % PARTITIONS)
        states = states_when_settled(address)
        assert list(states) == [lead]
        ((message, stray),) = read_all(address, "strays")["strays"]
        assert stray is not None
        assert (message.partition(), stray["forwarded"]["value"]) == (home, value)
        produce_raw(address, "strays", lead.encode(), message.value(), (home + 2) % PARTITIONS)
        produce_raw(address, "strays", lead.encode(), b"nonsense")
        produce_raw(address, "strays", b"another", message.value())
        foreign = CODEC.encode("strays", {**stray, "app": "others"})
        produce_raw(address, "strays", lead.encode(), foreign)
        publish(address, line("page-views", visitor, START, url="https://example.com/"))
        states = states_when_settled(address)
    assert set(states) == {visitor, lead}
    letters = [record for _, record in read_all(address, "dead-letters")["dead-letters"] if record]
    told = {one["error"]: one for one in letters}
    assert sorted(one["error"] for one in letters) == ["INVALID", "LOOP", "UNDECODABLE"]
    loop = told["LOOP"]
    assert (loop["topic"], loop["partition"], loop["key"], loop["value"]) == (
        "page-views",
        (home + 1) % PARTITIONS,
        lead.encode(),
        value,
    )
