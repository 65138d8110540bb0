from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, logging, threading
from streams.errors import LeadstreamError
from streams.monitoring.logs import LogFormat, set_up_logging
set_up_logging("worker", LogFormat.{format})
log = logging.getLogger("streams.engine")
log.info("partition %d restored", 3)
log.debug("never seen")
try:
    try:
        {{}}["ada@b.example"]
    except KeyError as error:
        raise ValueError("line one of ada@b.example\\nline two") from error
except ValueError as error:
    log.critical("Ending because of a defect", exc_info=error)

def fails():
    raise ExceptionGroup("of ada@b.example", [LeadstreamError("the disk is full"), KeyError("ada@b.example")])

thread = threading.Thread(target=fails)
thread.start()
thread.join()

async def forgets():
    async def fails():
        raise KeyError("ada@b.example")
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)

asyncio.run(forgets())
raise KeyError("ada@b.example")
"""


def logged(format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(format=format)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()


def test_as_json_each_incident_is_one_object_on_one_line_tracebacks_too() -> None:
    told = [json.loads(line) for line in logged("json")]
    assert [(one["level"], one["logger"], one["program"]) for one in told] == [
        ("INFO", "streams.engine", "worker"),
        ("CRITICAL", "streams.engine", "worker"),
        ("CRITICAL", "streams", "worker"),
        ("ERROR", "asyncio", "worker"),
        ("CRITICAL", "streams", "worker"),
    ]
    assert told[0]["message"] == "partition 3 restored"
    assert told[0]["time"].endswith("+00:00")
    kinds = [line for line in told[1]["exc_info"].splitlines() if not line.startswith(("  ", "Traceback"))]
    assert kinds == ["KeyError", "which led to", "ValueError"]
    assert "line 11, in <module>" in told[1]["exc_info"]
    assert "LeadstreamError: the disk is full" in told[2]["exc_info"]
    assert told[3]["message"] == "Task exception was never retrieved"
    assert told[4]["message"] == "ending because of a defect: KeyError"


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_error_that_quotes_a_lead_is_told_by_its_kind_and_its_place(format: str) -> None:
    lines = logged(format)
    assert any("KeyError" in line for line in lines)
    assert not [line for line in lines if "ada" in line]


def test_as_text_a_line_has_time_and_level() -> None:
    assert logged("text")[0].endswith("INFO partition 3 restored")
