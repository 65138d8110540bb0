"""The engine on a real broker, its processes stopped, killed, frozen and joined: every record counts once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bed import Bed, eventually
from psutil import Process

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def bed(bootstrap: str, tmp_path: Path) -> Iterator[Bed]:
    with Bed(bootstrap, tmp_path) as made:
        yield made


def test_a_restart_goes_on_where_it_stopped(bed: Bed) -> None:
    bed.views(3000)
    worker = bed.worker()
    bed.done()
    worker.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert bed.ends(worker)[0] == 0
    assert time.monotonic() - began < 10
    assert bed.group_lag() == 0
    bed.views(1000)
    worker = bed.worker()
    bed.done()
    assert bed.keys_in_changelog() == set(bed.expected)


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_worker_that_is_told_to_stop_while_it_starts_ends_at_once(bed: Bed, seconds: float) -> None:
    bed.views(100)
    worker = bed.worker()
    eventually(lambda: "joining" in bed.log_of(worker), "it has begun")
    time.sleep(seconds)
    worker.send_signal(signal.SIGTERM)
    began = time.monotonic()
    status, log = bed.ends(worker)
    assert status == 0, log
    assert time.monotonic() - began < 10
    assert "Traceback" not in log


def test_kill_9_again_and_again_loses_and_repeats_nothing(bed: Bed) -> None:
    bed.views(60_000, keys=500)
    for _ in range(3):
        worker = bed.worker()
        bed.ready(worker)
        time.sleep(0.4)
        worker.kill()
        worker.wait()
        bed.views(2000, keys=500)
    bed.worker()
    bed.done(90)


def test_partitions_move_between_two_workers(bed: Bed) -> None:
    bed.views(20_000)
    first = bed.worker()
    bed.ready(first)
    second = bed.worker()
    bed.ready(second)
    bed.views(20_000)
    bed.done()
    eventually(lambda: bed.log_of(first).count("ready") == 2, "both work", lambda: bed.log_of(first))
    first.send_signal(signal.SIGTERM)
    assert bed.ends(first)[0] == 0
    bed.views(5000)
    bed.done()


def test_a_trickle_is_not_lost_while_members_come_and_go(bed: Bed) -> None:
    """A chunk that is fetched while the group rebalances is easily dropped between the fetch and the engine."""
    stays = bed.worker()
    bed.ready(stays)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            bed.views(1, keys=1)

    feeding = threading.Thread(target=trickle)
    feeding.start()
    try:
        for _ in range(4):
            guest = bed.worker()
            bed.ready(guest)
            guest.send_signal(signal.SIGTERM)
            assert bed.ends(guest)[0] == 0
    finally:
        stop.set()
        feeding.join()
    bed.done()


def test_a_frozen_worker_takes_its_partitions_back_as_new(bed: Bed) -> None:
    worker = bed.worker()
    bed.ready(worker)
    bed.views(2000)
    bed.done()
    worker.send_signal(signal.SIGSTOP)
    time.sleep(9)  # longer than the session
    bed.views(2000)
    worker.send_signal(signal.SIGCONT)
    bed.done()


def test_a_zombie_in_the_middle_of_a_transaction_is_fenced(bed: Bed, tmp_path: Path) -> None:
    """It is frozen when all of a batch is at the broker; somebody else does the batch again; then it wakes up."""
    freeze = tmp_path / "freeze"
    zombie = bed.worker(freeze_when=freeze)
    bed.ready(zombie)
    bed.views(500)
    eventually(lambda: sum(map(len, bed.counted().values())) == 500, "it works")
    freeze.touch()
    bed.views(500)
    eventually(lambda: Process(zombie.pid).status() == "stopped", "it is frozen")
    second = bed.worker()
    bed.done()
    zombie.send_signal(signal.SIGCONT)
    status, log = bed.ends(zombie)
    assert status == 1, log
    (said,) = [one for one in log.splitlines() if " CRITICAL " in one]
    assert "Ending without committing" in said
    assert second.poll() is None
    bed.views(500)
    bed.done()


def test_a_zombie_can_not_write_after_its_partitions_moved(bed: Bed) -> None:
    first = bed.worker()
    bed.ready(first)
    bed.views(40_000)
    time.sleep(0.5)
    first.send_signal(signal.SIGSTOP)
    second = bed.worker()
    bed.done()
    first.send_signal(signal.SIGCONT)
    bed.views(10_000)
    bed.done()
    second.kill()
    second.wait()
    if first.poll() is not None:
        bed.worker()
    bed.views(1000)
    bed.done()


def test_a_worker_that_is_killed_during_restore_does_no_harm(bed: Bed) -> None:
    bed.views(30_000, keys=30_000)
    worker = bed.worker()
    bed.done()
    worker.kill()
    worker.wait()
    again = bed.worker()
    eventually(lambda: "joining" in bed.log_of(again), "it has begun")
    time.sleep(1.0)
    again.kill()
    again.wait()
    bed.worker()
    bed.views(30_000, keys=30_000)
    bed.done()


def test_an_import_in_one_go_is_handled_in_order_of_event_time(bed: Bed) -> None:
    """One topic is published whole before the other; each lead's records come out by time nevertheless."""
    for name, first in (("views", 0), ("opens", 1)):
        for i in range(2000):
            bed.send(name, b"key-%d" % (i % 10), b"%d" % (1_700_000_000_000 + 2 * i + first))
    for i in range(10):
        bed.expected[b"key-%d" % i] = 400
    bed.views(0)
    bed.worker()
    bed.done()
    times: dict[bytes | None, list[int]] = {}
    for key, _, headers in bed.read("counted"):
        times.setdefault(key, []).append(int(headers["at"]))
    assert all(found == sorted(found) for found in times.values())


def test_bad_records_are_handed_on_and_hold_nobody_up(bed: Bed) -> None:
    bed.views(100)
    for partition in range(bed.partitions):
        bed.send("views", b"key-1", b"garbage", partition)
        bed.send("opens", None, None, partition)
    bed.views(100)
    bed.worker()
    bed.done()
    assert len(list(bed.read("refused"))) == 2 * bed.partitions
