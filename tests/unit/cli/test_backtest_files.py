"""`leadstream backtest` on files that can't be read: the file and the reason, exit code 2."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

LINES = "".join(
    json.dumps({"topic": "erasures", "event": {"lead_id": f"lead-{n}", "occurred_at": 1_790_000_000_000 + n}}) + "\n"
    for n in range(300)
).encode()
ZIPPED = gzip.compress(LINES, mtime=0)
#: With a block type that deflate does not have, right after the header of ten bytes.
DAMAGED = ZIPPED[:10] + b"\xff" * 20 + ZIPPED[30:]


def backtest(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "backtest", str(path)], capture_output=True, text=True, timeout=60
    )


def test_a_gzipped_file_that_is_whole_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(ZIPPED)
    assert backtest(path).returncode == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (ZIPPED[: len(ZIPPED) // 2], "ended before the end-of-stream marker"),
        (ZIPPED[:-8] + bytes(8), "CRC check failed"),
        (DAMAGED, "invalid block type"),
    ],
    ids=["missing", "torn", "another checksum", "damaged"],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    assert_refused(path, reason)


def test_a_directory_is_no_file_of_events(tmp_path: Path) -> None:
    assert_refused(tmp_path, "Is a directory")


def assert_refused(path: Path, reason: str) -> None:
    result = backtest(path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"leadstream: {path} can't be read: ")
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
