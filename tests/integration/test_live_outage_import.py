"""The same records give the same episodes as they come, after an outage, and in one import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from streams.local.broker import EmbeddedBroker
from streams.local.parent import die_with_parent
from streams.modelfile import read_model, read_text
from tests.chaos.verdict import expected_of
from tests.kafka_topics import changelog_of, ends_of, progress_of, read_all
from tests.processes import eventually, leadstream, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
EVENTS, SECONDS = 9_000, 20
OUTPUTS = ("mql-events", "sql-events", "lifecycle-events")
MODES = ("live", "outage", "import")


def test_a_live_day_an_outage_and_an_import_tell_the_same_story(tmp_path: Path) -> None:
    """Sixty days in twenty seconds, `grace` scaled likewise; `tests/chaos/workload.py` says why the order is certain.

    Three groups of workers read the same topics, of which the largest has two hundred times the records of the
    smallest. One runs all the time; one is killed in the middle and comes back when everything is there, page views
    far behind; one starts when everything is there.
    """
    model_file = tmp_path / "model.yaml"
    text, _ = read_text()
    model_file.write_text(text.replace("grace: 2m", "grace: 2d"))
    model = read_model(model_file)
    options = ["--model", str(model_file), "--clock", "stream", "--session-timeout", "6"]
    with (
        EmbeddedBroker(tmp_path / "kafka", server={"group.min.session.timeout.ms": "6000"}) as broker,
        ExitStack() as up,
    ):
        address = broker.bootstrap
        assert leadstream("topics", "--bootstrap", address, "--partitions", "4").returncode == 0

        def worker(app: str) -> subprocess.Popen[bytes]:
            return up.enter_context(running_worker(address, tmp_path / f"{app}.log", "--app", app, *options))

        worker("live")
        interrupted = worker("outage")
        publisher = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/chaos/workload.py"), address, "5", str(EVENTS), str(SECONDS), "4"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
            preexec_fn=die_with_parent(),
        )
        up.callback(publisher.kill)
        eventually(lambda: read_all(address, *OUTPUTS), "nothing qualifies")
        interrupted.send_signal(signal.SIGKILL)
        interrupted.wait(20)
        assert publisher.poll() is None, "the outage begins while events still come"
        assert publisher.wait(120) == 0
        (tmp_path / "outage.log").unlink()
        worker("outage")
        worker("import")
        expected = expected_of(address, model, 4)

        def all_applied(app: str) -> bool:
            progress = progress_of(address, app)
            ends = (expected.ends | ends_of(address, ["strays"])).items()
            return all(n in progress and progress[n].applied.get(topic, -1) == end - 1 for (topic, n), end in ends)

        for app in [*MODES, *MODES]:  # what one of them says to itself, the others have to pass over
            eventually(partial(all_applied, app), f"{app}: not everything was handled", patience=180)
        told = Counter(
            record["event_id"] for pairs in read_all(address, *OUTPUTS).values() for _, record in pairs if record
        )
        assert set(told) == set().union(*expected.ids.values())
        assert set(told.values()) == {len(MODES)}, "each group tells everything, and once"
        states = {app: changelog_of(address, app)[0] for app in MODES}
    for app in MODES:
        assert states[app] == expected.states, f"the state after {app} is not the fold of the events"
