from __future__ import annotations

import subprocess
import sys

import pytest


def forget(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", "forget", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["x" * 1001], "lead_id is longer than 1,000 bytes"),
        (["anna", "--requested-by", "x" * 1001], "requested_by is longer than 1,000 bytes"),
        ([""], "the record has no key"),
        (["anna", "--bootstrap", "nonsense"], "'nonsense' is not HOST:PORT"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent(arguments: list[str], reason: str) -> None:
    done = forget(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_a_request_that_no_broker_hears_is_a_failure() -> None:
    done = forget("anna", "--bootstrap", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No Kafka broker answers at 127.0.0.1:1" in done.stderr
