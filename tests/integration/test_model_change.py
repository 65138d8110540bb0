"""Another model while a worker runs: the file is changed, and everybody is judged anew."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from streams.local.broker import EmbeddedBroker
from streams.modelfile import read_text
from streams.qualification.receipt import verify_receipt
from tests.kafka_topics import changelog_of, records_of
from tests.processes import eventually, free_port, leadstream, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LEADS = 400


def events(now: int) -> str:
    """Leads that fit well and have looked at the prices once: ten points, of the twenty that an MQL needs."""
    lines = []
    for number in range(LEADS):
        known = {"email": f"u{number}@example.com", "employees": 500, "job_title": "Director of Sales"}
        for topic, fields in (("lead-profiles", known), ("page-views", {"url": "https://example.com/pricing"})):
            event = {"lead_id": f"u{number}", "occurred_at": now, **fields}
            lines.append(json.dumps({"topic": topic, "event": event}))
    return "\n".join(lines)


def test_a_changed_file_takes_effect_a_wrong_one_does_not_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    model, (text, _) = tmp_path / "model.yaml", read_text()
    model.write_text(text)
    port = free_port()
    options = ["--model", str(model), "--metrics-port", str(port)]
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        address = broker.bootstrap

        def mqls() -> list[dict[str, object]]:
            return records_of(address, "mql-events")

        def metric(name: str) -> float:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

        with running_worker(address, tmp_path / "log", *options) as worker:
            done = leadstream(
                "publish", "--bootstrap", address, "-", input=events(time.time_ns() // 1_000_000).encode()
            )
            assert done.returncode == 0, done.stderr
            eventually(lambda: metric("leads_records_consumed_total") >= 2 * LEADS, "not everything was handled")
            assert mqls() == []
            model.write_text(text.replace("half_life: 30d", "half_life: soon"))
            eventually(
                lambda: metric('leads_model_changes_total{outcome="refused"}') == 1, "the wrong file is not refused"
            )
            assert "model.yaml:3" in (tmp_path / "log").read_text()
            eager = text.replace("warm: 20", "warm: 5").replace("mql: {interest: 20", "mql: {interest: 5")
            model.write_text(eager.replace("model: default-2026-11", "model: eager"))
            # As soon as some are there, it is killed.
            eventually(lambda: len(mqls()) > 0, "the new model judges nobody", 90)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        with running_worker(address, tmp_path / "second.log", *options):
            eventually(lambda: len(mqls()) >= LEADS, "not all are judged anew", 90)
        found = mqls()
        assert sorted(str(one["lead_id"]) for one in found) == sorted(f"u{number}" for number in range(LEADS))
        assert {one["model"] for one in found} == {"eager"}
        assert [wrong for one in found for wrong in verify_receipt(one)] == []
        states, _ = changelog_of(address, "leadstream")
        leads = [state for key, state in states.items() if not key.startswith("email:")]
        assert {getattr(lead, "stage", None) for lead in leads} == {"mql"}
