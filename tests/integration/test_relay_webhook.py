"""The relay on a real broker with real HTTP servers: signed webhooks, retries, parking, and the way back."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from tests.kafka_topics import produce_raw
from tests.processes import eventually, leadstream
from tests.relay_bed import SECRET, letters_of, newcomer, produce, running_relay, webhook
from tests.relay_records import lifecycle, qualification, score
from tests.servers import Answer, Subscriber, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedBroker(data_dir=tmp_path_factory.mktemp("kafka")) as broker:
        ensure_topics(broker.bootstrap, partitions=3)
        yield broker.bootstrap


@contextmanager
def _relay(address: str, folder: Path, name: str, subscriber: Subscriber) -> Iterator[None]:
    """A relay with one target that hears of this test's records alone; target and app are called `name`."""
    app = newcomer(address, name, name)
    with running_relay(address, folder, {name: webhook(subscriber.url)}, app=app):
        yield


def test_every_event_reaches_the_subscriber_signed_and_in_its_leads_order(address: str, tmp_path: Path) -> None:
    records = []
    for number in range(20):
        lead = f"lead-{number}"
        records += [lifecycle(lead, n, "lead", "lead", "PROFILE") for n in range(1, 6)]
        records += [qualification(lead, 6, "MQL"), score(lead, 6)]
    with serving(Subscriber()) as subscriber, _relay(address, tmp_path, "order", subscriber):
        produce(address, records)
        eventually(lambda: len(subscriber.heard) >= len(records), "not all events came")
        assert len(subscriber.heard) == len(records)
        order = defaultdict(list)
        for one in subscriber.heard:
            body = Webhook(SECRET).verify(one.body, dict(one.headers))
            if body["type"] == "leadstream.lifecycle.v1":
                order[body["data"]["lead_id"]].append(body["data"]["sequence"])
                assert one.headers["webhook-id"] == body["data"]["event_id"]
        assert len(order) == 20
        assert all(sequences == [1, 2, 3, 4, 5] for sequences in order.values())
        (mql, *_) = [one.json for one in subscriber.heard if one.json["type"] == "leadstream.mql.v1"]
        assert "Why now: Booked a demo." in mql["data"]["handoff"]
        assert len({one.headers["webhook-id"] for one in subscriber.heard}) == len(records)


def test_what_fails_for_a_while_is_tried_again_with_the_same_id(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as subscriber, _relay(address, tmp_path, "patient", subscriber):
        subscriber.misbehave(Answer(503), Answer(429, headers={"Retry-After": "1"}), Answer(200, wait_s=3))
        produce(address, [qualification("patient", 1)])
        eventually(lambda: len(subscriber.heard) == 4, "not tried again")
        assert len({one.headers["webhook-id"] for one in subscriber.heard}) == 1
        assert len({one.body for one in subscriber.heard}) == 1
        times = [one.at for one in subscriber.heard]
        assert times[2] - times[1] >= 1.0, "Retry-After was not kept to"
        assert letters_of(address, "patient") == []


def test_it_ends_when_told_to_also_while_an_event_waits_for_its_next_try(address: str, tmp_path: Path) -> None:
    """Several times: whether the end of a wait and the end of the relay meet is a matter of one turn of its loop."""
    with serving(Subscriber()) as subscriber:
        subscriber.always = Answer(503)
        patient = {
            "retry": {"attempts": 6, "first": "60s", "longest": "60s"},
            "breaker": {"failures": 99, "pause": "1s"},
        }
        target = webhook(subscriber.url) | patient
        app = newcomer(address, "waiting", "waiting")
        produce(address, [qualification("waiting", 1)])
        for heard in (1, 2, 3):
            with running_relay(address, tmp_path, {"waiting": target}, app=app) as relay:
                eventually(lambda heard=heard: len(subscriber.heard) >= heard, "not tried")  # type: ignore[misc]
                relay.terminate()
                assert relay.wait(10) == 0


def test_what_is_refused_is_parked_and_comes_back_to_that_target_alone(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as good, serving(Subscriber()) as bad:
        bad.always = Answer(400, {"message": "no such campaign"})
        targets = {"good": webhook(good.url), "bad": webhook(bad.url)}
        app = newcomer(address, "refused", *targets)
        options = ("--bootstrap", address, "--app", app, "--consumer", "relay:bad")
        with running_relay(address, tmp_path, targets, app=app):
            produce(address, [qualification("refused", 1), lifecycle("refused", 2, "sql", "opportunity")])
            eventually(lambda: len(letters_of(address, "bad")) == 2, "not parked")
            letter = letters_of(address, "bad")[0]
            assert (letter["error"], letter["lead_id"]) == ("DELIVERY_FAILED", "refused")
            assert letter["detail"] == "HTTP 400: no such campaign"
            eventually(lambda: len(good.heard) == 2, "the good target waits for the bad one")
            listed = leadstream("dead-letters", "list", *options)
            assert listed.stdout.count("DELIVERY_FAILED: HTTP 400: no such campaign") == 2
            bad.always, before = None, len(bad.heard)
            done = leadstream("dead-letters", "retry", "--all", *options)
            assert (done.returncode, done.stdout) == (0, "retried 2 kept 0\n"), done.stderr
            eventually(lambda: len(bad.heard) == before + 2, "the letters did not come back")
            assert {one.headers["webhook-id"] for one in bad.heard[before:]} == {
                one.headers["webhook-id"] for one in good.heard
            }
            again = leadstream("dead-letters", "retry", "--all", *options)
            assert again.stdout == "retried 0 kept 0\n"
            assert len(good.heard) == 2
            assert "(retried)" in leadstream("dead-letters", "list", *options).stdout


def test_an_event_is_parked_after_its_last_try_and_the_lead_goes_on(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as subscriber, _relay(address, tmp_path, "stubborn", subscriber):
        subscriber.misbehave(*[Answer(500)] * 6)
        produce(address, [qualification("stubborn", 1), lifecycle("stubborn", 2, "sql", "lead", "GAVE_UP")])
        eventually(lambda: len(letters_of(address, "stubborn")) == 1, "not parked")
        assert letters_of(address, "stubborn")[0]["detail"] == "HTTP 500 (after 6 tries)"
        eventually(lambda: len(subscriber.heard) >= 7, "the lead's next event never came")


def test_a_record_that_is_none_is_parked_and_the_relay_goes_on(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as subscriber, _relay(address, tmp_path, "broken", subscriber):
        produce_raw(address, "sql-events", b"broken", b"garbage")
        produce_raw(address, "lead-scores", b"gone", None)
        produce(address, [qualification("fine", 1)])
        eventually(lambda: len(subscriber.heard) == 1, "the relay stopped")
        eventually(lambda: letters_of(address, "broken"), "no dead letter")
        assert [(one["error"], one["value"]) for one in letters_of(address, "broken")] == [("UNDECODABLE", b"garbage")]


def test_a_subscriber_that_is_gone_is_sent_nothing_more(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as subscriber, _relay(address, tmp_path, "gone", subscriber):
        subscriber.always = Answer(410)
        produce(address, [qualification("first", 1)])
        eventually(lambda: letters_of(address, "gone"), "not parked")
        produce(address, [qualification(f"later-{n}", 1) for n in range(5)])
        eventually(lambda: "takes no more events" in (tmp_path / "log").read_text(), "it is not said")
        assert len(subscriber.heard) == 1


def test_a_slow_target_holds_back_no_other(address: str, tmp_path: Path) -> None:
    records = [qualification(f"lead-{n}", 1) for n in range(60)]
    with serving(Subscriber()) as slow, serving(Subscriber()) as quick:
        slow.always = Answer(200, wait_s=1.0)
        targets = {"slow": webhook(slow.url, concurrency=1), "quick": webhook(quick.url)}
        app = newcomer(address, "slow", *targets)
        with running_relay(address, tmp_path, targets, app=app):
            produce(address, records)
            eventually(lambda: len(quick.heard) == 60, "the quick target waits")
            assert len(slow.heard) < 30


def test_after_a_kill_nothing_is_lost_and_repeats_carry_the_same_id(address: str, tmp_path: Path) -> None:
    records = [
        record
        for n in range(150)
        for record in (qualification(f"lead-{n}", 1), lifecycle(f"lead-{n}", 2, "mql", "sql"))
    ]
    with serving(Subscriber()) as subscriber:
        subscriber.always = Answer(200, wait_s=0.02)
        targets = {"hook": webhook(subscriber.url)}
        app = newcomer(address, "killed", *targets)
        produce(address, records)
        for wanted in (70, 200):
            with running_relay(address, tmp_path, targets, app=app) as process:
                eventually(lambda wanted=wanted: len(subscriber.heard) >= wanted, "no progress")
                process.send_signal(signal.SIGKILL)
                process.wait(20)
        expected = {record["event_id"] for record in records}
        with running_relay(address, tmp_path, targets, app=app):
            eventually(lambda: {one.headers["webhook-id"] for one in subscriber.heard} >= expected, "events are lost")
        assert {one.headers["webhook-id"] for one in subscriber.heard} == expected
        bodies = defaultdict(set)
        for one in subscriber.heard:
            bodies[one.headers["webhook-id"]].add(one.body)
        assert all(len(versions) == 1 for versions in bodies.values())


def test_a_dry_run_prints_what_is_on_the_topics_and_neither_sends_nor_keeps_its_place(
    address: str, tmp_path: Path
) -> None:
    file = tmp_path / "targets.yaml"
    with serving(Subscriber()) as subscriber:
        settings = {**webhook(subscriber.url), "secret": {"env": "SET_NOWHERE"}}
        file.write_text(json.dumps({"targets": {"rehearsed": settings}}))
        produce(address, [qualification("rehearsed-lead", 1), score("rehearsed-lead", 1)])
        options = ("--bootstrap", address, "--targets", str(file), "--app", "rehearsal")
        first, again = (leadstream("relay", *options, "--dry-run") for _ in range(2))
        assert first.returncode == 0, first.stderr
        requests = [json.loads(line) for line in first.stdout.splitlines()]
        ours = [one for one in requests if one["body"]["data"]["lead_id"] == "rehearsed-lead"]
        assert [one["body"]["type"] for one in ours] == ["leadstream.sql.v1", "leadstream.score.v1"]
        assert {(one["target"], one["method"], one["url"]) for one in ours} == {
            ("rehearsed", "POST", f"{subscriber.url}/hook")
        }
        assert f"{len(requests)} would be delivered" in first.stderr
        assert sorted(again.stdout.splitlines()) == sorted(first.stdout.splitlines()), "it kept its place"
        assert subscriber.heard == []
