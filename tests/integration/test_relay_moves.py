"""Partitions that move, letters that come back late, and a broker that is away: the CRM never goes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.kafka import client_config, ensure_topics
from streams.local.broker import EmbeddedBroker
from tests.hubspot_server import HubSpot
from tests.processes import eventually, leadstream
from tests.relay_bed import hubspot, letters_of, produce, running_relay, webhook
from tests.relay_records import AT, DAY, lifecycle, qualification
from tests.servers import Answer, Subscriber, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        ensure_topics(broker.bootstrap, partitions=4)
        yield broker.bootstrap


def _committed(address: str, group: str) -> int:
    """How many records of lifecycle-events the group has left behind."""
    consumer = Consumer({**client_config(address), "group.id": group})
    try:
        places = consumer.committed([TopicPartition("lifecycle-events", number) for number in range(4)], timeout=20)
        return sum(max(place.offset, 0) for place in places)
    finally:
        consumer.close()


def test_two_relays_share_the_leads_and_one_goes_on_for_both_with_what_the_other_knew(
    address: str, tmp_path: Path
) -> None:
    leads = [f"lead-{n}" for n in range(24)]

    def profile(lead: str) -> dict[str, str]:
        return {"email": f"{lead}@buyer.example"}

    with serving(HubSpot()) as crm:
        targets = {"crm": hubspot(crm.url)}
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
        with (
            running_relay(address, tmp_path / "one", targets),
            running_relay(address, tmp_path / "two", targets) as second,
        ):
            produce(address, [lifecycle(lead, 5, "lead", "mql", profile=profile(lead)) for lead in leads])
            eventually(lambda: len(crm.contacts) == 24, "not all contacts are there")
            # Only then are they not read again, and known from memory alone.
            eventually(lambda: _committed(address, "leadstream-relay-crm") == 24, "offsets are not committed")
            second.send_signal(signal.SIGKILL)
            second.wait(20)
            # Older ones, which only the memory of the relay that is gone could tell from news; then a newer one.
            produce(address, [lifecycle(lead, 3, "mql", "lead", "COOLED", profile=profile(lead)) for lead in leads])
            newer = [lifecycle(lead, 6, "mql", "sql", at=AT + DAY, profile=profile(lead)) for lead in leads]
            produce(address, newer)
            eventually(
                lambda: all(one.get("leadstream_sequence") == "6" for one in crm.contacts.values()),
                "the relay that is left does not go on",
            )
    assert {values["leadstream_sequence"] for _, values in crm.history if "leadstream_sequence" in values} == {"5", "6"}


def test_a_letter_that_comes_back_late_does_not_overwrite_what_is_newer(address: str, tmp_path: Path) -> None:
    old = qualification("late", 3, profile={"email": "late@invalid"})
    with serving(HubSpot()) as crm, running_relay(address, tmp_path, {"crm": hubspot(crm.url)}):
        produce(address, [old])
        eventually(lambda: letters_of(address, "crm"), "not parked")
        newer = {"email": "late@buyer.example"}
        produce(address, [lifecycle("late", 9, "sql", "opportunity", "FEEDBACK", at=AT + DAY, profile=newer)])
        eventually(lambda: crm.contacts, "the newer event never came")
        assert leadstream("dead-letters", "retry", "--all", "--bootstrap", address).returncode == 0
        eventually(lambda: crm.tasks, "the letter never came back")
        ((_, contact),) = crm.contacts.items()
        assert (contact["leadstream_sequence"], contact["lifecyclestage"]) == ("9", "opportunity")
        assert contact["leadstream_qualification_id"] == old["event_id"]


def test_an_erased_lead_is_erased_in_the_crm_and_stays_so(address: str, tmp_path: Path) -> None:
    profile = {"email": "gone@buyer.example"}
    with serving(HubSpot()) as crm, serving(Subscriber()) as hook:
        targets = {"crm": hubspot(crm.url), "hook": webhook(hook.url)}
        with running_relay(address, tmp_path, targets):
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


def test_a_broker_that_was_away_is_waited_for(address: str, tmp_path: Path) -> None:
    with EmbeddedBroker(data_dir=tmp_path / "own") as broker, serving(Subscriber()) as hook:
        ensure_topics(broker.bootstrap, partitions=2)
        with running_relay(broker.bootstrap, tmp_path, {"hook": webhook(hook.url)}) as process:
            produce(broker.bootstrap, [qualification("before", 1)])
            eventually(lambda: len(hook.heard) == 1, "not delivered")
            broker.kill()
            broker.start()
            produce(broker.bootstrap, [qualification("after", 1)])
            eventually(
                lambda: any(one.json["data"]["lead_id"] == "after" for one in hook.heard), "it never resumes", 120
            )
            process.terminate()
            assert process.wait(30) == 0


def test_told_to_stop_it_finishes_what_is_in_flight_and_repeats_nothing(address: str, tmp_path: Path) -> None:
    with serving(Subscriber()) as hook:
        hook.always = Answer(200, wait_s=0.5)
        targets = {"hook": webhook(hook.url)}
        with running_relay(address, tmp_path, targets) as process:
            produce(address, [qualification(f"lead-{n}", 1) for n in range(12)])
            eventually(lambda: hook.heard, "nothing in flight")
            process.terminate()
            assert process.wait(30) == 0
        with running_relay(address, tmp_path, targets):
            eventually(lambda: len({one.headers["webhook-id"] for one in hook.heard}) == 12, "events are lost")
        assert len(hook.heard) == 12
