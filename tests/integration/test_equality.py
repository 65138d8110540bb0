"""A file published whole and consumed by one worker, or by two, gives what `leadstream backtest` says of the file.

The file is the public table of a school's leads where it lies beside the project, else thirty days of the demo's
journeys, several times over.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.local.broker import EmbeddedBroker
from streams.local.demo.journeys import journeys
from streams.modelfile import read_model
from streams.qualification.events import Changed, Qualified
from streams.qualification.interest import interest_at
from streams.qualification.state import Alias
from streams.qualification.step import advance
from streams.topics import INPUT_TOPICS
from streams.wire.jsonlines import render_line
from tests.kafka_topics import changelog_of, ends_of, progress_of, read_all
from tests.processes import eventually, leadstream, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SCHOOL = ROOT.parent / "shared/data/x-education/train.jsonl.gz"
OUTPUTS = ("mql-events", "sql-events", "lifecycle-events")
#: 2026-11-01T18:00:00Z
END = 1_793_556_000_000


class Foreseen(NamedTuple):
    """What the backtest says: event ids, and (interest, fit, stage) of every lead at `until` (ms)."""

    model: Path | None
    ids: set[str]
    scores: dict[str, tuple[float, float, str]]
    until: int
    broker: EmbeddedBroker


@pytest.fixture(scope="module")
def foreseen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreseen]:
    """The backtest of the file, and a broker on which it is published."""
    room = tmp_path_factory.mktemp("equality")
    file, model = SCHOOL, ROOT / "deploy/models/x-education.yaml"
    options = ["--model", str(model)]
    if not SCHOOL.exists():
        file, options = room / "journeys.jsonl", []
        happenings = [one for copy in range(4) for one in journeys(copy, END, f"-{copy}")]
        happenings.sort(key=lambda one: one[1]["occurred_at"])
        file.write_bytes(b"\n".join(render_line(topic, event) for topic, event in happenings))
    ids, scores = room / "ids.jsonl", room / "scores.csv"
    done = leadstream("backtest", str(file), *options, "--json", "--events", str(ids), "--scores", str(scores))
    assert done.returncode == 0, done.stderr
    with scores.open() as rows:
        table = {
            row["lead_id"]: (float(row["interest"]), float(row["fit"]), row["stage"]) for row in csv.DictReader(rows)
        }
    with EmbeddedBroker(room / "kafka") as broker:
        assert leadstream("topics", "--bootstrap", broker.bootstrap).returncode == 0
        published = leadstream("publish", "--bootstrap", broker.bootstrap, str(file))
        assert published.returncode == 0, published.stderr
        yield Foreseen(
            model if options else None,
            {json.loads(one)["event"]["event_id"] for one in ids.read_text().splitlines()},
            table,
            json.loads(done.stdout)["until"],
            broker,
        )


@pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])
def test_workers_say_of_an_import_what_the_backtest_says(foreseen: Foreseen, workers: int, tmp_path: Path) -> None:
    app, address = f"equality-{workers}", foreseen.broker.bootstrap
    before = _ids(address)
    options = ["--app", app, "--clock", "stream", *(["--model", str(foreseen.model)] if foreseen.model else [])]
    with ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(running_worker(address, tmp_path / f"log-{number}", *options))
        _await_all_applied(address, app)
    if workers == 2:
        shares = {(tmp_path / f"log-{number}").read_text().count("ready 6 partitions") for number in range(2)}
        assert 0 not in shares, "one of the two had nothing to do"
    found = _ids(address) - before
    assert set(found.values()) == {1}, "an event came twice"
    assert set(found) <= foreseen.ids

    # A worker's time ends a little before the file's last event; what time alone brings until then, the state tells.
    model = read_model(foreseen.model)
    later: set[str] = set()
    scores = {}
    leads, _ = changelog_of(address, app)
    for lead_id, state in leads.items():
        if isinstance(state, Alias):
            continue
        lead, transitions = advance(state, foreseen.until, model)
        later |= {one.record["event_id"] for one in transitions if isinstance(one, (Changed, Qualified))}
        if lead is not None:
            scores[lead_id] = interest_at(lead, model, foreseen.until), lead.fit, lead.stage
    assert set(found) | later == foreseen.ids
    assert len(later) < len(found) / 10, "most of it was said by the worker"
    assert scores == foreseen.scores


def _ids(address: str) -> Counter[str]:
    return Counter(
        record["event_id"] for pairs in read_all(address, *OUTPUTS).values() for _, record in pairs if record
    )


def _await_all_applied(address: str, app: str) -> None:
    ends = ends_of(address, [topic.name for topic in INPUT_TOPICS])
    assert ends, "nothing was published"

    def applied() -> bool:
        progress = progress_of(address, app)
        return all(
            number in progress and progress[number].applied.get(topic, -1) == end - 1
            for (topic, number), end in ends.items()
        )

    eventually(applied, "not everything was handled", patience=240)
