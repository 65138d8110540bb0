"""The trackers that people already run on servers: real ones, against a real collector, broker and worker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rudderstack.analytics.client import Client as RudderStack
from segment.analytics.client import Client as Segment
from snowplow_tracker import (
    Emitter,
    PageView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

from streams.local.broker import EmbeddedBroker
from tests.integration.collector_bed import KEY, RunningCollector, events_of, running_collector
from tests.processes import eventually, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TRAITS = {"email": "buyer@example.com", "employees": 500, "title": "Director of Sales", "company": "Example Software"}
PAGES = ("https://site.example/", "https://site.example/pricing", "https://site.example/pricing?plan=team")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedBroker() as broker, running_worker(broker.bootstrap, tmp_path_factory.mktemp("worker") / "log"):
        yield broker.bootstrap


@pytest.fixture(scope="module")
def collector(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    with running_collector(address, tmp_path_factory.mktemp("collector")) as running_one:
        yield running_one


def qualified(address: str, topic: str, lead_id: str) -> dict[str, Any]:
    """The lead's event on the topic, once it is there."""
    eventually(lambda: events_of(address, topic, lead_id), f"{lead_id} is not on {topic}")
    return events_of(address, topic, lead_id)[0]


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_segments_python_library_makes_an_mql_and_an_sql(
    collector: RunningCollector, address: str, zipped: bool
) -> None:
    lead = f"segment-{zipped}"
    errors: list[Any] = []
    client = Segment(KEY, host=collector.url, gzip=zipped, on_error=lambda error, _: errors.append(error))
    client.identify(lead, TRAITS, anonymous_id=f"visitor-of-{lead}")
    for page in PAGES:
        client.page(lead, "Site", "Page", {"url": page})
    client.flush()
    mql = qualified(address, "mql-events", lead)
    assert (mql["route"], mql["profile"]["company"]) == ("NURTURE", "Example Software")
    client.track(lead, "Demo Booked", {"booking_id": f"booking-of-{lead}"})
    client.group(lead, "group-1", {"name": "Example Bank", "industry": "finance"})
    client.alias(f"{lead}-before", lead)
    client.screen(lead, "App", "Home")
    client.shutdown()
    assert errors == []
    assert qualified(address, "sql-events", lead)["path"] == "demo"
    profiles = events_of(address, "lead-profiles", lead)
    assert {profile["company"] for profile in profiles} == {"Example Software", "Example Bank"}
    links = {link["anonymous_id"] for link in events_of(address, "identity-links", lead)}
    assert links == {f"visitor-of-{lead}", f"{lead}-before"}
    assert {one["kind"] for one in events_of(address, "activities", lead)} == {"screen_viewed"}


def test_rudderstacks_python_library_makes_an_mql_and_an_sql(collector: RunningCollector, address: str) -> None:
    lead = "rudder-lead"
    errors: list[Any] = []
    client = RudderStack(KEY, host=collector.url, on_error=lambda error, _: errors.append(error))
    client.identify(lead, TRAITS)
    for page in PAGES:
        client.page(lead, "Site", "Page", {"url": page})
    client.flush()
    assert qualified(address, "mql-events", lead)["route"] == "NURTURE"
    client.track(lead, "Demo Booked", {"booking_id": "rudder-booking"})
    client.track(lead, "Trial Started", {"trial_plan_name": "team"})
    client.group(lead, "group-1", {"name": "Example Bank"})
    client.flush()
    client.join()
    assert errors == []
    assert qualified(address, "sql-events", lead)["path"] == "demo"
    assert [one["kind"] for one in events_of(address, "activities", lead)] == ["trial_started"]


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "plain"])
def test_snowplows_python_tracker_makes_an_mql_and_an_sql(
    collector: RunningCollector, address: str, method: Any, encoded: bool
) -> None:
    lead = f"snowplow-{method}-{encoded}"
    failed: list[Any] = []
    emitter = Emitter(
        collector.url, "http", method=method, batch_size=1, on_failure=lambda _, events: failed.append(events)
    )
    subject = Subject().set_user_id(lead).set_domain_user_id(f"visitor-of-{lead}").set_ip_address("203.0.113.5")
    tracker = Tracker("tests", emitter, subject, app_id=KEY, encode_base64=encoded)
    person = SelfDescribingJson("iglu:com.example/lead/jsonschema/1-0-0", TRAITS)
    for page in PAGES:
        tracker.track(PageView(page, page_title="Page", context=[person]))
    mql = qualified(address, "mql-events", lead)
    assert mql["profile"]["email"] == "buyer@example.com"
    tracker.track(StructuredEvent("video", "play", label="Tour", value=12.5))
    booking = SelfDescribingJson("iglu:com.example/demo_booked/jsonschema/1-0-0", {"booking_id": f"b-{lead}"})
    tracker.track(SelfDescribing(booking))
    tracker.flush()
    assert failed == []
    assert qualified(address, "sql-events", lead)["path"] == "demo"
    views = events_of(address, "page-views", lead)
    assert {(view["ip"], view["user_agent"]) for view in views} == {("203.0.113.5", None)}
    (played,) = events_of(address, "activities", lead)
    assert (played["kind"], played["value"]) == ("play", 12.5)


def test_while_the_broker_is_away_clients_are_told_to_come_back_and_then_deliver_everything(tmp_path: Path) -> None:
    with (
        EmbeddedBroker(data_dir=tmp_path / "kafka") as broker,
        running_collector(broker.bootstrap, tmp_path) as collector,
    ):
        client = Segment(KEY, host=collector.url, max_retries=1000)
        rudder = RudderStack(KEY, host=collector.url, max_retries=1000)
        emitter = Emitter(collector.url, "http", batch_size=10, max_retry_delay_seconds=2)
        snowplow = Tracker("tests", emitter, Subject().set_user_id("snowplow"), app_id=KEY)
        assert collector.post("/v1/track", {"userId": "before", "event": "x"}).status_code == 200
        broker.kill()
        refused = collector.post("/v1/track", {"userId": "during", "event": "x"})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        eventually(lambda: collector.get("/health/ready").status_code == 503, "it still says that it is ready")
        assert collector.get("/health/live").status_code == 200
        for number in range(50):
            client.track("segment", "Looked", message_id=f"segment-{number}")
            rudder.track("rudder", "Looked", message_id=f"rudder-{number}")
            snowplow.track(PageView(f"https://site.example/{number}"))
        _hold_out_against_a_flood(collector)
        broker.start()
        client.flush()
        rudder.flush()
        eventually(
            lambda: _ids(broker.bootstrap, "activities", "segment") == {f"segment-{n}" for n in range(50)},
            "Segment",
            90,
        )
        eventually(
            lambda: _ids(broker.bootstrap, "activities", "rudder") == {f"rudder-{n}" for n in range(50)}, "Rudder", 90
        )
        eventually(lambda: len(_ids(broker.bootstrap, "page-views", "snowplow")) == 50, "Snowplow", 90)
        assert collector.get("/health/ready").status_code == 200
        client.shutdown()
        rudder.join()


def _ids(bootstrap: str, topic: str, lead_id: str) -> set[str]:
    return {event["event_id"] for event in events_of(bootstrap, topic, lead_id)}


def _hold_out_against_a_flood(collector: RunningCollector) -> None:
    """Nothing of what can't be delivered is kept: memory stays flat, and the answer comes early."""
    process = psutil.Process(collector.process.pid)
    batch = {"batch": [{"type": "track", "userId": "flood", "event": "x", "properties": {"pad": "y" * 900}}] * 400}
    collector.post("/v1/batch", batch)
    before = process.memory_info().rss
    slowest = 0.0
    for _ in range(200):
        began = time.monotonic()
        assert collector.post("/v1/batch", {**batch, "id": str(uuid.uuid4())}).status_code == 503
        slowest = max(slowest, time.monotonic() - began)
    assert process.memory_info().rss - before < 100_000_000
    assert slowest < 10


def test_a_client_with_a_wrong_key_is_told_so_and_gives_up(collector: RunningCollector) -> None:
    errors: list[Any] = []
    client = Segment("wrong", host=collector.url, on_error=lambda error, _: errors.append(error))
    client.track("nobody", "x")
    client.flush()
    client.shutdown()
    assert [error.status for error in errors] == [401]
    assert errors[0].code == "unauthorized"
