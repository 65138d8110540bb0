"""Surroundings that do not fit: the engine does not start, says why, and changes nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bed import Bed, eventually

from streams.engine.envelope import RESERVED_KEY, pack_progress, wrap
from streams.engine.seam import Progress

pytestmark = pytest.mark.integration


@pytest.fixture
def bed(bootstrap: str, tmp_path: Path) -> Iterator[Bed]:
    with Bed(bootstrap, tmp_path) as made:
        yield made


def refused(bed: Bed) -> str:
    """What a worker says that refuses to start; it must be one clear line and not a traceback."""
    status, log = bed.ends(bed.worker())
    assert status == 1, log
    assert "Traceback" not in log
    return log


def test_a_missing_topic(bed: Bed) -> None:
    bed.delete("opens")
    assert f"{bed.app_id}-opens is missing" in refused(bed)


def test_a_changelog_with_another_number_of_partitions(bed: Bed) -> None:
    bed.delete("changelog")
    bed.create("changelog", bed.partitions + 2)
    assert f"{bed.app_id}-changelog has {bed.partitions + 2} partitions" in refused(bed)


@pytest.mark.parametrize(
    "foreign",
    [b"", b"not ours", b"\x01" + bytes(8), wrap(b"state", None)[:-1], wrap(b"state", None)[:-1] + b"x"],
    ids=["empty", "somebody else's", "an older format", "cut off", "a byte changed"],
)
def test_a_foreign_record_in_the_changelog_names_partition_and_offset(bed: Bed, foreign: bytes) -> None:
    bed.send("changelog", b"key", wrap(b"state", None), 1)
    bed.send("changelog", b"key", foreign, 1)
    bed.views(0)
    log = refused(bed)
    assert f"{bed.app_id}-changelog, partition 1, offset 1: not a record of this engine" in log
    assert "start again" in log
    assert list(bed.read("counted")) == []


def test_a_record_without_a_key_in_the_changelog(bed: Bed) -> None:
    bed.send("changelog", None, wrap(b"state", None), 1)
    bed.views(0)
    assert f"{bed.app_id}-changelog, partition 1, offset 0: not a record of this engine: it has no key" in refused(bed)


def test_state_that_was_spread_over_another_number_of_partitions(bed: Bed) -> None:
    bed.send("changelog", RESERVED_KEY, pack_progress(Progress({}, None, False, 99)), 0)
    bed.views(0)
    assert "had 99 partitions" in refused(bed)


def test_a_source_topic_that_was_made_anew(bed: Bed) -> None:
    bed.views(200)
    worker = bed.worker()
    bed.done()
    worker.send_signal(signal.SIGTERM)
    bed.ends(worker)
    bed.delete("views")
    bed.create("views")
    log = refused(bed)
    assert f"Topic {bed.app_id}-views, partition" in log
    assert "made anew" in log


def test_no_broker(bed: Bed) -> None:
    bed.bootstrap = "127.0.0.1:9"
    assert "No answer from a Kafka broker at 127.0.0.1:9" in refused(bed)


def test_two_workers_with_the_same_instance_name(bed: Bed) -> None:
    """They take each other's place until one of them sees why. The other may have been fenced just then."""
    workers = [bed.worker("one")]
    bed.ready(workers[0])
    bed.views(500)
    workers.append(bed.worker("one"))
    bed.ready(workers[1])
    told, fenced = "joined the group", "taken the partition over"
    logs = lambda: "\n".join(map(bed.log_of, workers))  # noqa: E731
    eventually(lambda: told in logs() or fenced in logs(), "one of them says why it ends", logs)
    for one in workers:
        if told in bed.log_of(one) or fenced in bed.log_of(one):
            assert bed.ends(one)[0] == 1
            assert any(name in bed.log_of(one) for name in ("instance 'one'", "same --instance"))
    bed.views(500)

    def all_ended() -> bool:
        return all(one.poll() is not None for one in workers)

    eventually(lambda: sum(map(len, bed.counted().values())) == 1000 or all_ended(), "it goes on")
    if all_ended():
        bed.worker("one")
    bed.done()
