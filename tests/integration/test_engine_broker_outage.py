"""The broker goes away under the engine and comes back, or only seems to be there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from engine_bed import Bed, eventually

from streams.local.broker import EmbeddedBroker

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("seconds", [2, 20], ids=["for a moment", "for longer than a transaction may last"])
def test_a_broker_that_crashes_costs_nothing_but_time(tmp_path: Path, seconds: int) -> None:
    """The worker may end itself, as it does when its transaction expired; its supervisor starts it again."""
    with EmbeddedBroker(tmp_path / "kafka") as broker, Bed(broker.bootstrap, tmp_path) as bed:
        worker = bed.worker()
        bed.ready(worker)
        bed.views(20_000)
        eventually(lambda: bool(bed.counted()), "it works")
        broker.kill()
        time.sleep(seconds)
        broker.start()
        bed.views(2000)
        for _ in range(60):
            if worker.poll() is not None:
                assert worker.returncode == 1
                assert "Traceback" not in bed.log_of(worker)
                worker = bed.worker()
            if sum(map(len, bed.counted().values())) >= sum(bed.expected.values()):
                break
            time.sleep(1)
        bed.done()


def test_a_consumer_that_stays_silent_ends_the_process_and_the_next_goes_on(bootstrap: str, tmp_path: Path) -> None:
    silence = tmp_path / "silence"
    with Bed(bootstrap, tmp_path) as bed:
        worker = bed.worker(silent_while=silence)
        bed.ready(worker)
        bed.views(500)
        eventually(lambda: sum(map(len, bed.counted().values())) == 500, "it works")
        silence.touch()
        # A fetch that was under way when the file came may still bring all that is published meanwhile.
        eventually(lambda: "silent" in bed.log_of(worker), "it is silent", lambda: bed.log_of(worker))
        bed.views(500)
        status, log = bed.ends(worker)
        assert status == 1, log
        assert "has records to read, and nothing was done for 12 s" in log
        assert "Traceback" not in log
        silence.unlink()
        bed.worker(silent_while=silence)
        bed.done()
