"""Partitions that move, letters that come back late, and a broker that is away: the CRM never goes back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from tests.hubspot_server import HubSpot
from tests.processes import eventually, free_port, leadstream, running
from tests.relay_bed import SECRETS, hubspot, is_caught_up, letters_of, newcomer, produce, running_relay, webhook
from tests.relay_records import AT, DAY, lifecycle, qualification
from tests.servers import Answer, Subscriber, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(data_dir=tmp_path_factory.mktemp("kafka")) as broker:
        ensure_topics(broker.bootstrap, partitions=4)
        yield broker


@pytest.fixture
def address(broker: EmbeddedBroker) -> str:
    return broker.bootstrap


def test_two_relays_share_the_leads_and_one_goes_on_for_both_with_what_the_other_knew(
    address: str, tmp_path: Path
) -> None:
    leads = [f"lead-{n}" for n in range(24)]

    def profile(lead: str) -> dict[str, str]:
        return {"email": f"{lead}@buyer.example"}

    with serving(HubSpot()) as crm:
        targets = {"crm": hubspot(crm.url)}
        app = newcomer(address, "shared", *targets)
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
        with (
            running_relay(address, tmp_path / "one", targets, app=app),
            running_relay(address, tmp_path / "two", targets, app=app) as second,
        ):
            produce(address, [lifecycle(lead, 5, "lead", "mql", profile=profile(lead)) for lead in leads])
            eventually(lambda: len(crm.contacts) == 24, "not all contacts are there")
            # Only then are they not read again, and known from memory alone.
            eventually(lambda: is_caught_up(address, app, "crm"), "offsets are not committed")
            second.terminate()
            assert second.wait(30) == 0
            # Older ones, which only the memory of the relay that is gone could tell from news; then a newer one.
            produce(address, [lifecycle(lead, 3, "mql", "lead", "COOLED", profile=profile(lead)) for lead in leads])
            newer = [lifecycle(lead, 6, "mql", "sql", at=AT + DAY, profile=profile(lead)) for lead in leads]
            produce(address, newer)
            eventually(
                lambda: all(one.get("leadstream_sequence") == "6" for one in crm.contacts.values()),
                "the relay that is left does not go on",
            )
    assert {values["leadstream_sequence"] for _, values in crm.history if "leadstream_sequence" in values} == {"5", "6"}


def test_a_relay_that_was_frozen_in_mid_delivery_writes_nothing_of_what_another_has_by_then(
    address: str, tmp_path: Path
) -> None:
    """Two views of one CRM: what the frozen relay was answered before, and where the other one writes."""
    leads = [f"frozen-{n}" for n in range(8)]

    def event(lead: str, sequence: int) -> dict[str, Any]:
        profile = {"email": f"{lead}@buyer.example"}
        return lifecycle(lead, sequence, "lead", "mql", at=AT + sequence, profile=profile)

    for folder in ("frozen", "other"):
        (tmp_path / folder).mkdir()
    app = newcomer(address, "frozen", "crm")
    with serving(HubSpot()) as old, serving(HubSpot()) as new:
        old.gate.clear()
        patient = {"timeout": "120s"}
        with running_relay(address, tmp_path / "frozen", {"crm": hubspot(old.url, **patient)}, app=app) as frozen:
            produce(address, [event(lead, 1) for lead in leads])
            eventually(lambda: old.heard, "the relay asks nothing")
            frozen.send_signal(signal.SIGSTOP)
            try:
                with running_relay(address, tmp_path / "other", {"crm": hubspot(new.url)}, app=app) as other:
                    eventually(lambda: len(new.contacts) == 8, "the other relay does not go on")
                    produce(address, [event(lead, 2) for lead in leads])
                    eventually(lambda: _newest(new) == {"2"}, "the newer events never came")
                    eventually(lambda: is_caught_up(address, app, "crm"), "offsets are not committed")
                    frozen.send_signal(signal.SIGCONT)
                    old.gate.set()
                    eventually(lambda: "stood still" in (tmp_path / "frozen/log").read_text(), "it does not notice")
                    other.terminate()
                    assert other.wait(30) == 0
                # It has everything again, and what the other one wrote is remembered.
                produce(address, [event(lead, sequence) for lead in leads for sequence in (1, 3)])
                eventually(lambda: _newest(old) == {"3"}, "the relay that was frozen does not go on")
            finally:
                frozen.send_signal(signal.SIGCONT)
            assert frozen.poll() is None
    assert {values["leadstream_sequence"] for _, values in old.history} == {"3"}
    assert letters_of(address, "crm") == []


def _newest(crm: HubSpot) -> set[str]:
    return {contact["leadstream_sequence"] for contact in crm.contacts.values()}


def test_a_letter_that_comes_back_late_does_not_overwrite_what_is_newer(address: str, tmp_path: Path) -> None:
    old = qualification("late", 3, profile={"email": "late@invalid"})
    app = newcomer(address, "late", "late")
    with serving(HubSpot()) as crm, running_relay(address, tmp_path, {"late": hubspot(crm.url)}, app=app):
        produce(address, [old])
        eventually(lambda: letters_of(address, "late"), "not parked")
        newer = {"email": "late@buyer.example"}
        produce(address, [lifecycle("late", 9, "sql", "opportunity", "FEEDBACK", at=AT + DAY, profile=newer)])
        eventually(lambda: crm.contacts, "the newer event never came")
        assert leadstream("dead-letters", "retry", "--all", "--bootstrap", address, "--app", app).returncode == 0
        eventually(lambda: crm.tasks, "the letter never came back")
        ((_, contact),) = crm.contacts.items()
        assert (contact["leadstream_sequence"], contact["lifecyclestage"]) == ("9", "opportunity")
        assert contact["leadstream_qualification_id"] == old["event_id"]


def test_an_erased_lead_is_erased_in_the_crm_and_stays_so(address: str, tmp_path: Path) -> None:
    profile = {"email": "gone@buyer.example"}
    with serving(HubSpot()) as crm, serving(Subscriber()) as hook:
        targets = {"crm": hubspot(crm.url), "hook": webhook(hook.url)}
        app = newcomer(address, "erased", *targets)
        with running_relay(address, tmp_path, targets, app=app):
            produce(address, [qualification("gone", 3, profile=profile)])
            eventually(lambda: crm.contacts, "no contact")
            produce(address, [lifecycle("gone", 4, "sql", "visitor", "ERASED", at=AT + DAY, profile=None)])
            eventually(lambda: crm.erased, "not erased")
            # What was said before the erasure, and comes after it; then the lead as a new one, its count begun anew.
            produce(address, [lifecycle("gone", 2, "lead", "mql", at=AT - DAY, profile=profile)])
            eventually(lambda: len(hook.heard) == 3, "the subscriber misses an event")
            produce(address, [lifecycle("gone", 1, "visitor", "lead", "PROFILE", at=AT + 2 * DAY, profile=profile)])
            eventually(lambda: crm.contacts, "the lead that came back is not told of")
        ((_, contact),) = crm.contacts.items()
        assert contact["leadstream_sequence"] == "1"


def test_a_named_relay_that_was_killed_goes_on_as_soon_as_it_is_there_again(address: str, tmp_path: Path) -> None:
    """Its session would last for five minutes: who had to wait for that would not be ready in time."""
    options = ("--instance", "one", "--session-timeout", "300")
    with serving(Subscriber()) as hook:
        targets = {"hook": webhook(hook.url)}
        app = newcomer(address, "named", *targets)
        with running_relay(address, tmp_path, targets, *options, app=app) as process:
            produce(address, [lifecycle("named", 1, "visitor", "lead")])
            eventually(lambda: hook.heard, "not delivered")
            hook.gate.clear()
            produce(address, [lifecycle("named", n, "lead", "lead", "PROFILE") for n in (2, 3)])
            eventually(lambda: len(hook.heard) == 2, "nothing in flight")
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        hook.gate.set()
        with running_relay(address, tmp_path, targets, *options, app=app):
            eventually(lambda: [one["sequence"] for one in hook.events()][-1] == 3, "it does not go on")
    sequences = [one["sequence"] for one in hook.events()]
    assert sequences in ([1, 2, 2, 3], [1, 2, 1, 2, 3]), "more than the last ones came again, or not in order"
    assert len({(one.headers["webhook-id"], one.body) for one in hook.heard}) == 3


def test_of_two_relays_of_one_name_the_older_one_ends(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as hook:
        targets = {"hook": webhook(hook.url)}
        app = newcomer(address, "twins", *targets)
        for folder in ("old", "new"):
            (tmp_path / folder).mkdir()
        with (
            running_relay(address, tmp_path / "old", targets, "--instance", "twin", app=app) as old,
            running_relay(address, tmp_path / "new", targets, "--instance", "twin", app=app) as new,
        ):
            assert old.wait(60) == 1
            assert "fenced" in (tmp_path / "old/log").read_text().lower()
            produce(address, [qualification("twins", 1)])
            eventually(lambda: hook.heard, "the newer one does not deliver")
            assert new.poll() is None


def test_a_broker_that_was_away_is_waited_for(broker: EmbeddedBroker, address: str, tmp_path: Path) -> None:
    app = newcomer(address, "waiting", "hook")
    with (
        serving(Subscriber()) as hook,
        running_relay(address, tmp_path, {"hook": webhook(hook.url)}, app=app) as process,
    ):
        produce(address, [qualification("before", 1)])
        eventually(lambda: len(hook.heard) == 1, "not delivered")
        broker.kill()
        broker.start()
        produce(address, [qualification("after", 1)])
        eventually(lambda: any(one.json["data"]["lead_id"] == "after" for one in hook.heard), "it never resumes", 120)
        process.terminate()
        assert process.wait(30) == 0


def test_told_to_stop_it_finishes_what_is_in_flight_and_repeats_nothing(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as hook:
        hook.always = Answer(200, wait_s=0.5)
        targets = {"hook": webhook(hook.url)}
        app = newcomer(address, "stopping", *targets)
        with running_relay(address, tmp_path, targets, app=app) as process:
            produce(address, [qualification(f"lead-{n}", 1) for n in range(12)])
            eventually(lambda: hook.heard, "nothing in flight")
            process.terminate()
            assert process.wait(30) == 0
        with running_relay(address, tmp_path, targets, app=app):
            eventually(lambda: len({one.headers["webhook-id"] for one in hook.heard}) == 12, "events are lost")
        assert len(hook.heard) == 12


def test_a_relay_that_starts_without_a_broker_waits_and_delivers_when_there_is_one(tmp_path: Path) -> None:
    port = free_port()
    with EmbeddedBroker(tmp_path / "kafka", port) as broker:
        address = broker.bootstrap
        ensure_topics(address, partitions=2)
        newcomer(address, "early", "crm")
        produce(address, [qualification("lead-early", 1)])
    file, log = tmp_path / "targets.yaml", tmp_path / "log"
    with serving(Subscriber()) as subscriber:
        file.write_text(json.dumps({"targets": {"crm": webhook(subscriber.url)}}))
        options = ("--bootstrap", address, "--targets", str(file), "--app", "early")
        with running(log, "relay", *options, env={**os.environ, **SECRETS}) as relay:
            eventually(lambda: "waiting: No Kafka broker answers" in log.read_text(), "it does not wait")
            with EmbeddedBroker(tmp_path / "kafka", port):
                eventually(lambda: subscriber.events(), "nothing is delivered")
                relay.terminate()
                assert relay.wait(60) == 0
    assert log.read_text().count("No Kafka broker answers") == 1
