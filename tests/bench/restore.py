"""How long a worker takes until it is ready with so many leads, and what a lead takes in memory.

The changelog is written as a worker writes it, with states that the core made: visitors with five page views, and known
leads with a profile, touches and evidence.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
from confluent_kafka import Producer
from setting import Setting

from streams.engine.envelope import wrap
from streams.kafka import ensure_topics, producer_config
from streams.local.parent import die_with_parent
from streams.modelfile import read_model
from streams.qualification.events import event_of
from streams.qualification.lead import Lead
from streams.qualification.state import pack
from streams.qualification.step import step
from streams.topics import changelog_topic
from streams.wire.codec import Codec

APP = "restore"
START = 1_793_523_600_000


def restore(setting: Setting, leads: int) -> list[dict[str, Any]]:
    """A row for visitors, and one for known leads."""
    rows = []
    empty = _started(setting, None, 0)
    for kind in ("visitor", "known lead"):
        state = _state(kind)
        found = _started(setting, state, leads)
        packed = len(wrap(pack(state), START))
        resident = (found.megabytes - empty.megabytes) * 1e6 / leads
        cpu = (found.cpu_seconds - empty.cpu_seconds) * 1e6 / leads
        note = (
            f"{leads:,} {kind}s restored in {found.seconds:.1f} s (start of the process to ready); "
            f"a {kind}: {packed} bytes packed, {resident:.0f} bytes resident, {cpu:.1f} us of CPU time"
        )
        print(note, file=sys.stderr)
        row = {"part": "restore", "kind": kind, "leads": leads, "seconds": found.seconds}
        rows.append({**row, "packed_bytes": packed, "resident_bytes": resident, "cpu_us": cpu, "note": note})
    return rows


class Started(NamedTuple):
    """Of a worker: seconds until it was ready, CPU seconds that it spent, MB resident then."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def _started(setting: Setting, state: Lead | None, leads: int) -> Started:
    """A worker whose changelog holds so many leads."""
    with setting.broker() as broker:
        ensure_topics(broker.bootstrap, setting.partitions, APP)
        if state is not None:
            _write(broker.bootstrap, state, leads)
        log = Path(tempfile.mkdtemp(dir=setting.room)) / "log"
        began = time.monotonic()
        with log.open("wb") as out:
            options = ["--bootstrap", broker.bootstrap, "--app", APP, "--clock", "stream"]
            words = [setting.python, "-m", "streams.cli", "worker", *options]
            worker = subprocess.Popen(words, stdout=out, stderr=out, preexec_fn=die_with_parent())
        try:
            while "ready " not in log.read_text():
                if worker.poll() is not None or time.monotonic() > began + 300:
                    raise RuntimeError(f"the worker does not start: {log.read_text()[-1000:]}")
                time.sleep(0.05)
            seconds, process = time.monotonic() - began, psutil.Process(worker.pid)
            spent = sum(process.cpu_times()[:2])
            time.sleep(2)  # let what the restore used be given back
            return Started(seconds, spent, process.memory_info().rss / 1e6)
        finally:
            worker.kill()
            worker.wait()


def _write(bootstrap: str, state: Lead, leads: int) -> None:
    producer = Producer(
        {**producer_config(bootstrap), "linger.ms": 50, "batch.num.messages": 10_000, "compression.type": "lz4"}
    )
    topic = changelog_topic(APP).name
    for number in range(leads):
        lead_id = f"{number:08x}-lead"
        value = wrap(pack(msgspec.structs.replace(state, lead_id=lead_id)), START + 40 * 86_400_000)
        while True:
            try:
                producer.produce(topic, value, lead_id.encode())
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0, "not everything was written"


def _state(kind: str) -> Lead:
    lead: Lead | None = None
    model, codec = read_model(), Codec()
    happenings: list[tuple[str, str, dict[str, Any]]] = [
        ("page-views", "page_view", {"url": f"https://www.example.com/{page}", "referrer": "https://search.example/"})
        for page in ("", "blog/decay", "pricing", "docs", "case-studies/robotics")
    ]
    if kind == "known lead":
        profile = {"email": "jane@example.com", "name": "Jane Example", "company": "Example", "employees": 500,
                   "job_title": "Director of Sales", "industry": "software", "country": "NL"}  # fmt: skip
        happenings += [
            ("lead-profiles", "lead_profile", profile),
            ("downloads", "download", {"asset_id": "handbook", "funnel_stage": "TOP", "title": "The handbook"}),
            ("email-opens", "email_open", {"email_id": "m-1", "campaign": "monthly"}),
            ("activities", "activity", {"kind": "webinar_attended", "subject": "Scores"}),
        ]
    for number, (topic, name, fields) in enumerate(happenings):
        at = START + number * 3_600_000
        whole = {"event_id": f"e-{number}", "lead_id": "x", "occurred_at": at, **fields}
        decoded = codec.decode(topic, codec.encode(topic, whole))
        assert isinstance(decoded, dict)
        lead, _ = step(lead, event_of(name, decoded, at), at, model)
    assert lead is not None
    return lead
