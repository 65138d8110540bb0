"""A worker under steady traffic for as long as one likes: does anything grow, or get slow, that should not?

`python tests/bench/soak.py --minutes 10 --rate 300`

People come as visitors, turn out to be leads (links, repeated, revoked, in chains and loops), some on a wrong
partition, and are erased again; visitors, silences and answers run out within a minute or two, as the model is given
short times. So after a few minutes about as many ids go as come. Each line of the table is a tenth of the run; the last
word is whether everything was answered, and whether the worker holds no more per id at the end than in the middle, in
memory, state and due times. A run of less than five minutes does not say: ids are still gathering.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer
from soak_traffic import Traffic

from streams.kafka import ensure_topics, reader_config
from streams.local.broker import EmbeddedBroker
from streams.local.parent import die_with_parent
from streams.modelfile import read_text
from streams.wire.codec import Codec

PARTITIONS = 12
_SHORTER = {
    "visitor_ttl: 180d": "visitor_ttl: 2m",
    "{after: 30d": "{after: 30s",
    "grace: 2m": "grace: 2s",
    "{respond_within: 24h, give_up: 14d}": "{respond_within: 20s, give_up: 60s}",
    "default: 30d": "default: 30s",
}
#: How much more a worker may hold per id at the end than in the middle.
ROOM = 1.15
SHORTEST = 5.0


def model_of(folder: Path) -> Path:
    """The default model with times of seconds."""
    text, _ = read_text()
    for long, short in _SHORTER.items():
        assert long in text, long
        text = text.replace(long, short)
    text = re.sub(r"half_life: (\d+)d", lambda found: f"half_life: {int(found[1]) * 4}s", text)
    file = folder / "model.yaml"
    file.write_text(text)
    return file


class Answers:
    """Hears lifecycle events, and when each ping was answered."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        #: when each ping was answered, by its name (ms)
        self.heard: dict[str, float] = {}

    def __enter__(self) -> Answers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        codec = Codec()
        consumer = Consumer({**reader_config(self._bootstrap), "group.id": "soak", "fetch.wait.max.ms": 20})
        consumer.subscribe(["lifecycle-events"])
        while not self._stop.is_set():
            message = consumer.poll(0.2)
            if message is None or message.error() is not None or not (message.key() or b"").startswith(b"customer-"):
                continue
            record = codec.decode("lifecycle-events", message.value())
            assert isinstance(record, dict)
            name = re.search(r"\(by (.*)\)", record["reason"] or "")
            if name is not None:
                self.heard[name[1]] = time.time() * 1000
        consumer.close()


def soak(minutes: float, rate: int, seed: int, room: Path) -> list[dict[str, Any]]:
    """The table, a row for each tenth of the run. Raises AssertionError when pings were never answered."""
    part = minutes * 6
    rows: list[dict[str, Any]] = []
    with EmbeddedBroker(room / "kafka") as broker, Answers(broker.bootstrap) as answers:
        ensure_topics(broker.bootstrap, PARTITIONS)
        worker, held = _start(broker.bootstrap, room, part / 4)
        try:
            traffic = Traffic(broker.bootstrap, PARTITIONS, seed)
            began = time.monotonic()
            for number in range(10):
                known = set(traffic.pings)
                count = _publish(traffic, rate, began + part * (number + 1))
                assert worker.poll() is None, (room / "worker.log").read_text()[-2000:]
                asked = {name: at for name, at in traffic.pings.items() if name not in known}
                passed = time.monotonic() - began
                rows.append({"passed": passed, "rate": count / part, **_held(held), **_delays(asked, answers)})
                print(_line(rows[-1]), flush=True)
            traffic.flush()
            _await(lambda: set(traffic.pings) <= set(answers.heard), "not everything was answered")
        finally:
            worker.terminate()
            worker.wait(60)
    return rows


def _publish(traffic: Traffic, rate: int, until: float) -> int:
    """Publish at a steady rate until then, by the monotonic clock. Returns how many events it were."""
    began, count = time.monotonic(), 0
    while (now := time.monotonic()) < until:
        for _ in range(int((now - began) * rate) - count):
            traffic.publish()
            count += 1
        time.sleep(0.005)
    return count


def _await(condition: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def _start(bootstrap: str, room: Path, every: float) -> tuple[subprocess.Popen[bytes], Path]:
    held, log = room / "held.jsonl", room / "worker.log"
    script = str(Path(__file__).with_name("soak_worker.py"))
    options = ["--bootstrap", bootstrap, "--model", str(model_of(room))]
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, script, str(held), f"{every:.1f}", *options],
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent(),
        )
    _await(lambda: worker.poll() is not None or "ready " in log.read_text(), f"the worker is not ready, see {log}")
    assert worker.poll() is None, log.read_text()[-2000:]
    return worker, held


def _held(file: Path) -> dict[str, Any]:
    """What the worker held last."""
    last: dict[str, Any] = json.loads(file.read_text().splitlines()[-1])
    return last


def _delays(asked: Mapping[str, int], answers: Answers) -> dict[str, Any]:
    """How long it took from a ping's record to its answer, of those that have one by now."""
    delays = [answers.heard[name] - at for name, at in asked.items() if name in answers.heard]
    cuts = statistics.quantiles(delays, n=100) if len(delays) > 1 else [0.0] * 99
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "answers": len(delays)}


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['passed']:6.0f} s  {row['rate']:5.0f}/s  {row['rss'] / 1e6:6.1f} MB resident  {row['keys']:7,} ids  "
        f"{row['state_bytes'] / 1e6:6.2f} MB of state  {row['due']:7,} due times  {row['blocks']:8,} blocks  "
        f"p50 {row['p50_ms']:5.0f} ms  p99 {row['p99_ms']:5.0f} ms ({row['answers']})"
    )


def grown(rows: list[dict[str, Any]]) -> list[str]:
    """What is more at the end than in the middle and should not be; empty when all is well."""
    middle, end = rows[len(rows) // 2], rows[-1]
    ids = max(1.0, end["keys"] / middle["keys"])
    found = [
        f"{name}: {middle[name]:,} became {end[name]:,}, while {middle['keys']:,} ids became {end['keys']:,}"
        for name in ("rss", "state_bytes", "blocks")
        if end[name] > middle[name] * ids * ROOM
    ]
    if end["due"] > 2 * end["keys"] + 1_000 * PARTITIONS:
        found.append(f"due times: {end['due']:,} for {end['keys']:,} ids")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=300, help="events/s")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leadstream-soak-") as folder:
        rows = soak(options.minutes, options.rate, options.seed, Path(folder))
    if options.minutes < SHORTEST:
        print("everything was answered; too short to say whether anything grows")
        return 0
    found = grown(rows)
    print("\n".join(found) or "nothing grew, and everything was answered")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
