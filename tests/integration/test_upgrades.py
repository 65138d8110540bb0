"""Upgrades: workers restarted one after the other under load, and a state format that goes forth and back."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine_bed import Bed

from streams.engine import envelope
from streams.kafka import ensure_topics
from streams.local.broker import EmbeddedBroker
from streams.local.parent import die_with_parent
from streams.modelfile import read_model, read_text
from tests.chaos import drive
from tests.chaos.verdict import OffsetWatch, judge
from tests.processes import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SEED, EVENTS, SECONDS, PARTITIONS = 5, 9_000, 24.0, 4


def test_a_rolling_restart_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """As a StatefulSet does it: SIGTERM to one, wait until it has ended by itself, start it again under its name, wait
    until it is ready, then the next; events, links, strays and erasures flow all the while.
    """
    model_file = tmp_path / "model.yaml"
    text, _ = read_text()
    model_file.write_text(text.replace("grace: 2m", "grace: 2d"))
    log = tmp_path / "workers.log"

    def ready(times: int) -> None:
        eventually(lambda: log.read_text().count("ready ") >= times, f"not {times} times ready, see {log}")

    with (
        EmbeddedBroker(tmp_path / "kafka", server={"group.min.session.timeout.ms": "6000"}) as broker,
        drive.Workers(broker.bootstrap, model_file, tmp_path) as workers,
    ):
        ensure_topics(broker.bootstrap, PARTITIONS, drive.APP)
        names = {name: workers.start(name) for name in ("worker-0", "worker-1")}
        ready(2)
        source = Path(drive.__file__).with_name("workload.py")
        publisher = subprocess.Popen(
            [sys.executable, source, broker.bootstrap, *map(str, (SEED, EVENTS, SECONDS, PARTITIONS))],
            env=drive.environment(),
            preexec_fn=die_with_parent(),
        )
        try:
            restarts = 0
            while publisher.poll() is None:
                for name in names:
                    workers.remove(names[name], signal.SIGTERM)
                    assert names[name].returncode == 0, log.read_text()
                    before = log.read_text().count("ready ")
                    names[name] = workers.start(name)
                    ready(before + 1)
                    restarts += 1
            assert publisher.returncode == 0
            assert restarts >= 4
            watch = OffsetWatch(broker.bootstrap, drive.APP, PARTITIONS)
            drive.finish(broker.bootstrap, workers, watch)
        finally:
            publisher.kill()
            publisher.wait()
        assert workers.ended_alone == 0
        for worker in list(workers.running):
            workers.remove(worker, signal.SIGTERM)
        expected = judge(broker.bootstrap, read_model(model_file), PARTITIONS, drive.APP)
        assert sum(len(expected.ids[topic]) for topic in ("mql-events", "sql-events")) > 50


def test_a_release_takes_over_from_the_next_one_and_gives_back(bootstrap: str, tmp_path: Path) -> None:
    """Half an upgrade, with both formats in one changelog, and the way back."""
    with Bed(bootstrap, tmp_path) as bed:

        def versions() -> set[int]:
            """Of the keys' records, and as well of the partitions' own."""
            found: dict[bool, set[int]] = {True: set(), False: set()}
            for key, value, _ in bed.read("changelog"):
                if value is not None:
                    found[key == envelope.RESERVED_KEY].add(value[0])
            assert found[True] == found[False]
            return found[True]

        present = envelope.VERSION
        steps = [({}, {present}), ({"next_release": tmp_path}, {present, present + 1}), ({}, {present, present + 1})]
        for hooks, written in steps:
            worker = bed.worker(**hooks)
            bed.ready(worker)
            bed.views(2_000)
            bed.done()
            assert versions() == written
            worker.send_signal(signal.SIGTERM)
            assert bed.ends(worker)[0] == 0
        old, new = bed.worker(), bed.worker(next_release=tmp_path)
        bed.ready(old)
        bed.ready(new)
        bed.views(2_000)
        new.send_signal(signal.SIGTERM)
        bed.views(2_000)
        bed.done()
        assert bed.ends(new)[0] == 0
