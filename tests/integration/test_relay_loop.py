"""The loop, closed: page views make an MQL and an SQL, the CRM hears, sales says no, the lead rests and comes back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from streams.local.broker import EmbeddedBroker
from tests.feedback_bed import FEEDBACK, change, hubspot_headers
from tests.hubspot_server import HubSpot
from tests.kafka_topics import records_of
from tests.processes import eventually, free_port, leadstream, running_worker
from tests.relay_bed import hubspot, running_relay, webhook
from tests.servers import Subscriber, post, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAY = 86_400_000
EMAIL = "vera@buyer.example"


def publish(address: str, *events: tuple[str, int, dict[str, Any]], lead: str = "u1") -> None:
    lines = [
        json.dumps({"topic": topic, "event": {"lead_id": lead, "occurred_at": at, **fields}})
        for topic, at, fields in events
    ]
    done = leadstream("publish", "--bootstrap", address, "-", input="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr


def view(at: int, page: str) -> tuple[str, int, dict[str, Any]]:
    return "page-views", at, {"url": f"https://vendor.example/{page}"}


def test_a_rejected_lead_rests_and_qualifies_again_all_the_way_to_the_crm_and_back(tmp_path: Path) -> None:
    start = (time.time_ns() // 1_000_000) - 100 * DAY
    port = free_port()
    with (
        EmbeddedBroker(data_dir=tmp_path / "kafka") as broker,
        running_worker(broker.bootstrap, tmp_path / "worker"),
        serving(HubSpot()) as crm,
        serving(Subscriber()) as hook,
    ):
        address = broker.bootstrap
        targets = {"crm": hubspot(crm.url, lead_statuses={"sql": "OPEN"}), "hook": webhook(hook.url)}
        with running_relay(address, tmp_path, targets, feedback={**FEEDBACK, "port": port}):
            who = {"email": EMAIL, "name": "Vera Lind", "employees": 500, "job_title": "Director of Sales"}
            views = [view(start + n, page) for n, page in enumerate(["", "pricing", "pricing?plan=team"])]
            publish(address, ("lead-profiles", start, who), *views)
            eventually(lambda: _stage(crm) == "marketingqualifiedlead", "the CRM hears of no MQL")

            publish(address, ("demo-bookings", start + DAY, {"booking_id": "b1", "status": "BOOKED"}))
            eventually(lambda: _stage(crm) == "salesqualifiedlead" and len(crm.tasks) == 1, "sales is not asked")
            assert _contact(crm)["hs_lead_status"] == "OPEN"

            _says_no(crm, port, start + 2 * DAY)
            eventually(lambda: _stage(crm) == "lead", "the CRM does not hear that the lead rests")
            (rejected,) = [one for one in records_of(address, "lifecycle-events", "u1") if one["cause"] == "FEEDBACK"]
            assert (rejected["from_stage"], rejected["to_stage"]) == ("sql", "lead")
            assert _contact(crm)["hs_lead_status"] == "BAD_FIT", "what sales said of the lead must stay"

            publish(address, view(start + 3 * DAY, "pricing"))  # while it rests: nothing comes of it
            publish(address, view(start + 60 * DAY, "pricing"), view(start + 60 * DAY + 1, "case-studies/a"))
            publish(address, ("demo-bookings", start + 61 * DAY, {"booking_id": "b2", "status": "BOOKED"}))
            eventually(lambda: _stage(crm) == "salesqualifiedlead" and len(crm.tasks) == 2, "it does not come back")

            first, second = records_of(address, "sql-events", "u1")
            assert first["episode_id"] != second["episode_id"]
            assert _contact(crm)["leadstream_qualification_id"] == second["event_id"]
            told = len(records_of(address, "lifecycle-events", "u1")) + len(records_of(address, "mql-events", "u1")) + 2
            eventually(lambda: len(_sequences(hook)) == told, "the subscriber misses events")
            assert _sequences(hook) == list(range(1, told + 1)), "not in the lead's order"
            assert len(crm.contacts) == 1
        with serving(Subscriber()) as late, running_relay(address, tmp_path, {"late": webhook(late.url)}):
            eventually(lambda: len(_sequences(late)) == told, "a new subscriber misses events")
            assert _sequences(late) == list(range(1, told + 1)), "a backlog is not in the lead's order"


def _contact(crm: HubSpot) -> dict[str, str]:
    found = crm.by_email(EMAIL)
    assert found is not None
    return found[1]


def _stage(crm: HubSpot) -> str | None:
    found = crm.by_email(EMAIL)
    return found[1].get("lifecyclestage") if found else None


def _says_no(crm: HubSpot, port: int, at: int) -> None:
    """A salesperson changes the contact's status in HubSpot, and HubSpot tells the relay."""
    found = crm.by_email(EMAIL)
    assert found is not None
    number, contact = found
    contact["hs_lead_status"] = "BAD_FIT"
    body = json.dumps([change(int(number), "BAD_FIT", occurredAt=at)]).encode()
    assert post(f"http://127.0.0.1:{port}/v1/feedback/hubspot", body, hubspot_headers(body)) == 200


def _sequences(subscriber: Subscriber) -> list[int]:
    """Of the events that count, as they came."""
    return [one.json["data"]["sequence"] for one in subscriber.heard if "score" not in one.json["type"]]
