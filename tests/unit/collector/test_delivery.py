"""From outcomes to records: links told once, good beside bad, and a broker that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from confluent_kafka import KafkaError

from streams.collector.answers import RequestRefused
from streams.collector.delivery import Delivery, LinksTold
from streams.collector.events import Accepted, Implied, Refused, event_of, link
from streams.collector.metrics import CollectorMetrics
from streams.collector.publisher import Publisher, Record, Unavailable
from streams.wire.bad import BadRecord
from streams.wire.codec import Codec
from tests.processes import eventually

NOW = 1_795_521_600_000
CODEC = Codec()


class RecordingPublisher:
    """Keeps what it is given, or is away."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.away = False

    async def publish(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Unavailable("away")
        self.records += records

    def taken(self) -> list[tuple[str, bytes | None]]:
        found = [(record.topic, record.key) for record in self.records]
        self.records.clear()
        return found


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def delivery(publisher: RecordingPublisher) -> Delivery:
    return Delivery(publisher, CODEC, CollectorMetrics())  # type: ignore[arg-type]


def implied(visitor: str, lead: str) -> Implied:
    return Implied("e", visitor, lead, NOW, NOW, b"{}")


def said(visitor: str, lead: str) -> Accepted:
    return Accepted("identity-links", link("e", visitor, lead, NOW))


LINK = ("identity-links", b"a")


async def test_no_address_of_an_event_is_kept_whole_where_they_are_truncated(
    publisher: RecordingPublisher,
) -> None:
    """Also one that a tracker gives among its own properties, under whatever name."""
    truncating = Delivery(publisher, CODEC, CollectorMetrics(), truncate_addresses=True)  # type: ignore[arg-type]
    given = {"client_address": "203.0.113.9", "v6": "2001:db8:1:2::3", "plan": "team", "price": "12.5"}
    clicked = event_of("activities", "e", "u", NOW, kind="email_click", attributes=given)
    opened = event_of("email-opens", "f", "u", NOW, email_id="m", ip="203.0.113.9:4711")
    await truncating.deliver("segment", [Accepted("activities", clicked), Accepted("email-opens", opened)])
    activity, opening = (CODEC.decode(record.topic, record.value) for record in publisher.records)
    assert isinstance(activity, dict)
    assert activity["attributes"] == {**given, "client_address": "203.0.113.0", "v6": "2001:db8:1::"}
    assert isinstance(opening, dict)
    assert opening["ip"] == "203.0.113.0"


async def test_a_link_that_is_said_by_the_way_is_told_once_until_it_changes(
    delivery: Delivery, publisher: RecordingPublisher
) -> None:
    view = Accepted("activities", event_of("activities", "e", "u", NOW, kind="x"))
    await delivery.deliver("segment", [implied("a", "u"), view, implied("a", "u")])
    assert publisher.taken() == [LINK, ("activities", b"u")]
    await delivery.deliver("segment", [implied("a", "u")])
    assert publisher.taken() == []
    await delivery.deliver("segment", [implied("a", "v"), implied("a", "u"), implied("a", "u")])
    assert publisher.taken() == [LINK, LINK]
    await delivery.deliver("segment", [implied("a", "u")])
    assert publisher.taken() == []


async def test_a_link_that_somebody_means_is_told_every_time(delivery: Delivery, publisher: RecordingPublisher) -> None:
    """It may have been revoked, or changed by another collector."""
    for _ in range(2):
        await delivery.deliver("segment", [said("a", "u")])
        assert publisher.taken() == [LINK]
    await delivery.deliver("segment", [implied("a", "u")])
    assert publisher.taken() == []


async def test_a_link_that_the_broker_has_not_confirmed_is_told_again(
    delivery: Delivery, publisher: RecordingPublisher
) -> None:
    publisher.away = True
    with pytest.raises(RequestRefused, match="can't be stored now") as refused:
        await delivery.deliver("segment", [implied("a", "u")])
    assert (refused.value.status, refused.value.retry_after_s) == (503, 2)
    publisher.away = False
    await delivery.deliver("segment", [implied("a", "u")])
    assert publisher.taken() == [LINK]


async def test_a_link_that_can_not_be_is_a_dead_letter(delivery: Delivery, publisher: RecordingPublisher) -> None:
    bad = await delivery.deliver("segment", [implied("a" * 1001, "u")])
    assert bad is not None
    assert "anonymous_id is longer" in bad.detail
    assert publisher.taken() == [("dead-letters", None)]


def test_the_links_that_were_told_longest_ago_are_forgotten() -> None:
    told = LinksTold(most=2)
    told.told(link("e", visitor, "u", NOW) for visitor in "abc")
    assert [told.knows(implied(visitor, "u")) for visitor in "abc"] == [False, True, True]


async def test_the_good_and_the_bad_of_a_request_are_published_together_and_the_first_reason_is_told(
    delivery: Delivery, publisher: RecordingPublisher
) -> None:
    good = Accepted("activities", event_of("activities", "e", "u", NOW, kind="x"))
    bad = [Refused("segment", BadRecord("INVALID", reason), b"{}") for reason in ("one", "two")]
    assert await delivery.deliver("segment", [bad[0], good, bad[1]]) == bad[0].bad
    assert publisher.taken() == [("dead-letters", None), ("activities", b"u"), ("dead-letters", None)]


@pytest.fixture
async def nowhere() -> AsyncIterator[Publisher]:
    """A publisher whose broker can't be reached."""
    publisher = Publisher("127.0.0.1:1")
    yield publisher
    await publisher.close(0)


async def test_a_producer_that_can_never_send_again_says_so(nowhere: Publisher) -> None:
    nowhere.failed(KafkaError(KafkaError._MSG_TIMED_OUT), "activities")
    assert not nowhere.broken.done()
    nowhere.failed(KafkaError(KafkaError._FATAL), "activities")
    nowhere.failed(KafkaError(KafkaError._FATAL), "activities")
    assert (await asyncio.wait_for(nowhere.broken, 1)).code() == KafkaError._FATAL


async def test_when_a_record_is_not_confirmed_the_broker_is_asked_and_is_away_when_it_does_not_answer(
    nowhere: Publisher,
) -> None:
    nowhere.failed(KafkaError(KafkaError._MSG_TIMED_OUT), "activities")
    assert not nowhere.healthy
    assert not nowhere.away
    await asyncio.to_thread(eventually, lambda: nowhere.away, "nobody asks")
    with pytest.raises(Unavailable, match="a moment ago"):
        await nowhere.publish([Record("page-views", b"u", b"")])
