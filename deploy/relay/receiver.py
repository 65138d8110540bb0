"""A webhook receiver to start from: it verifies each event, drops repeats, and prints what sales is to read.

python receiver.py PORT, with the secret in WEBHOOK_SECRET.
"""

import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen = sqlite3.connect(os.environ.get("RECEIVER_DB", ":memory:"))
seen.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY)")


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = webhook.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        with seen:  # what the event does belongs into the same transaction as its id
            new = seen.execute("INSERT OR IGNORE INTO events VALUES (?)", (self.headers["webhook-id"],)).rowcount
            if new:
                data = event["data"]
                print(event["type"], data["lead_id"], data["sequence"], data.get("handoff", ""), sep="\n", flush=True)
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
