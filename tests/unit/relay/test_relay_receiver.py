"""The receiver in deploy/relay, as someone who starts from it would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook

from tests.processes import eventually, free_port
from tests.relay_bed import SECRET
from tests.servers import post

RECEIVER = Path(__file__).parents[3] / "deploy" / "relay" / "receiver.py"
BODY = b'{"type": "leadstream.sql.v1", "data": {"lead_id": "u1", "sequence": 4, "handoff": "Vera Lind at Buyer AG"}}'


def listens(url: str) -> bool:
    try:
        return post(url, BODY, {}) == 401
    except OSError:
        return False


def test_the_receiver_verifies_prints_once_and_drops_repeats(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/leads"
    with (tmp_path / "out").open("wb") as out:
        environment = {**os.environ, "WEBHOOK_SECRET": SECRET}
        process = subprocess.Popen([sys.executable, RECEIVER, str(port)], stdout=out, env=environment)
        try:
            eventually(lambda: listens(url), "the receiver does not start")
            now = datetime.now(UTC)
            headers = {"webhook-id": "e1", "webhook-timestamp": str(int(now.timestamp()))}
            headers["webhook-signature"] = Webhook(SECRET).sign("e1", now, BODY.decode())
            assert [
                post(url, BODY, headers),
                post(url, BODY, headers),
            ] == [204, 204]
            assert post(url, BODY, {**headers, "webhook-id": "e2"}) == 401
        finally:
            process.terminate()
            process.wait(20)
    assert (tmp_path / "out").read_text() == "leadstream.sql.v1\nu1\n4\nVera Lind at Buyer AG\n"
