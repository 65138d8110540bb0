from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
from streams.monitoring.logs import LogFormat, set_up_logging
set_up_logging("worker", LogFormat.{format})
log = logging.getLogger("streams.engine")
log.info("partition %d restored", 3)
log.debug("never seen")
try:
    raise ValueError("line one\\nline two")
except ValueError as error:
    log.critical("Ending because of a defect: %r", error, exc_info=error)
raise KeyError("uncaught")
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
    ]
    assert told[0]["message"] == "partition 3 restored"
    assert told[0]["time"].endswith("+00:00")
    assert "Traceback" in told[1]["exc_info"]
    assert "KeyError: 'uncaught'" in told[2]["exc_info"]


def test_as_text_a_line_has_time_and_level() -> None:
    assert logged("text")[0].endswith("INFO partition 3 restored")
