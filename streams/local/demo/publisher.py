"""The process that plays the trackers: publishes thirty days by a clock that runs fast, then passers-by.

    python -m streams.local.demo.publisher --bootstrap HOST:PORT --seed 1 --end MS --seconds 60 [--stay]

Prints `published N` when the thirty days are out. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from streams.kafka import producer_config
from streams.local.demo.crowd import passers_by
from streams.local.demo.journeys import journeys
from streams.local.demo.office_hours import HISTORY_MS
from streams.security import log_in_as, login_from
from streams.wire.codec import Codec

#: What a tracker sends that nobody has updated: not Avro, so each becomes a dead letter.
_OLD_TRACKER = (b'{"page": "/pricing"}', b"page=%2Fpricing", b"")
_PASSERS_BY_SECONDS = 1.0
_FLUSH_SECONDS = 20.0


def wall_clock_of(at: int, end: int, seconds: float) -> float:
    """When (seconds since the epoch) to publish an event of `at`: thirty days until `end` take `seconds`."""
    return (end - (end - at) * seconds * 1000 / HISTORY_MS) / 1000


class Trackers:
    """Publishes as a tracker's back end would. `published` counts what the broker has."""

    def __init__(self, bootstrap: str, stopped: threading.Event) -> None:
        self._producer = Producer({**producer_config(bootstrap), "linger.ms": 5})
        self._codec = Codec()
        self._stopped = stopped
        self.published = 0
        self.failure: str | None = None

    def replay(self, seed: int, end: int, seconds: float, suffix: str) -> None:
        """The thirty days before `end` (ms), in `seconds`."""
        happenings = journeys(seed, end, suffix)
        quarter = len(happenings) // 4
        for index, (topic, event) in enumerate(happenings):
            delay = wall_clock_of(event["occurred_at"], end, seconds) - time.time()
            # A wait that ends at once when the process is told to.
            if delay > 0.001 and self._stopped.wait(delay):
                return
            self._send(topic, event)
            if index and index % quarter == 0 and index // quarter <= len(_OLD_TRACKER):
                self._produce("page-views", b"visitor-001", _OLD_TRACKER[index // quarter - 1])

    def stay(self, seed: int, suffix: str) -> None:
        """A passer-by now and then, until stopped."""
        for number, (lead_id, url) in enumerate(passers_by(seed, suffix), start=1):
            if self._stopped.wait(_PASSERS_BY_SECONDS) or self.failure:
                return
            now = time.time_ns() // 1_000_000
            event = {
                "event_id": f"{lead_id}:live-{number}",
                "lead_id": lead_id,
                "occurred_at": now,
                "url": url,
            }
            self._send("page-views", event)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        waiting = self._producer.flush(_FLUSH_SECONDS)
        if waiting and self.failure is None:
            self.failure = f"the broker has not taken {waiting} events within {_FLUSH_SECONDS:.0f} s"

    def _send(self, topic: str, event: dict[str, Any]) -> None:
        self._produce(topic, event["lead_id"].encode(), self._codec.encode(topic, event))

    def _produce(self, topic: str, key: bytes, value: bytes) -> None:
        self._producer.produce(topic, key=key, value=value, on_delivery=self._delivered)
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.published += 1
        else:
            self.failure = error.str()


def main() -> int:
    options = argparse.ArgumentParser(description="Publish the demo's journeys.")
    options.add_argument("--bootstrap", required=True)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--end", type=int, required=True, help="end of the thirty days, ms since the epoch")
    options.add_argument("--seconds", type=float, required=True, help="how long the thirty days take")
    options.add_argument("--suffix", default="", help="added to every lead id")
    options.add_argument("--stay", action="store_true", help="go on with passers-by until ended")
    given = options.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    log_in_as(login_from(os.environ))
    trackers = Trackers(given.bootstrap, stopped)
    trackers.replay(given.seed, given.end, given.seconds, given.suffix)
    trackers.flush()
    if not stopped.is_set() and trackers.failure is None:
        print(f"published {trackers.published}", flush=True)
        if given.stay:
            trackers.stay(given.seed, given.suffix)
            trackers.flush()
    if trackers.failure is not None:
        print(f"could not publish: {trackers.failure}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
