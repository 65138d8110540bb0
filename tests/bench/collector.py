"""What the collector costs: `python tests/bench/collector.py`, or `leadstream bench --only collector`.

Its load is made by wrk, with page views as Segment's browser library sends them, each with a message id of its own, one
a request or fifty. Beside it run a bare hello-world of the same server, and one that stores the body and does nothing
else (`hello.py`). Rounds are interleaved; what is compared is events for a second of the process's CPU time, so that
whatever else the machine does disturbs all alike. Latency is at half the rate at which the server was saturated, with
requests at random moments.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
from contenders import Absent, free_port
from setting import Setting

sys.path.insert(0, str(Path(__file__).parents[1]))

from debian import NoPackage, unpacked

from streams.kafka import ensure_topics
from streams.local.parent import die_with_parent

WANTED: Final = 0.6
BATCH: Final = 50
_CONNECTIONS: Final = 128
_MANY_CONNECTIONS: Final = 1_000
_KEY: Final = "a-write-key-for-the-bench"
_SETTLE_SECONDS: Final = 0.2

#: `BATCH` and `DELAY` (mean ms between the requests of a connection, 0 for none) are filled in.
_LOAD: Final = """
local batch, delayed, number, thread = BATCH, DELAY, 0, 0
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init() math.randomseed(os.time() + id); wrk.method = "POST" end
local page = '{"type":"page","userId":"user-%d","anonymousId":"7d9f2c1e-1a2b-4c3d-9e8f-%012d",'
  .. '"messageId":"ajs-next-TAG-%d-%d","timestamp":"TIME","properties":{"path":"/pricing","title":"Pricing",'
  .. '"referrer":"https://www.example.org/","url":"https://site.example/pricing?utm_source=news&utm_medium=email"},'
  .. '"context":{"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 '
  .. 'Safari/537.36","locale":"en-US","timezone":"Europe/Berlin","campaign":{"source":"news","medium":"email"},'
  .. '"library":{"name":"analytics.js","version":"npm:next-1.84.3"}},"integrations":{"Segment.io":true}}'
local function one()
  number = number + 1
  local lead = number % 5000
  return page:format(lead, lead, id, number)
end
function request()
  local body
  if batch == 1 then
    body = one():sub(1, -2) .. ',"sentAt":"TIME","writeKey":"KEY"}'
  else
    local events = {}
    for n = 1, batch do events[n] = one() end
    body = '{"sentAt":"TIME","writeKey":"KEY","batch":[' .. table.concat(events, ",") .. "]}"
  end
  local headers = { ["content-type"] = "text/plain", ["origin"] = "https://site.example",
    ["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0", ["authorization"] = "Basic AUTH" }
  return wrk.format(nil, nil, headers, body)
end
if delayed > 0 then
  function delay() return math.floor(-math.log(1 - math.random()) * delayed + 0.5) end
end
"""


class Wrk(NamedTuple):
    """The load generator, and its environment where that isn't ours."""

    path: str
    environment: dict[str, str] | None


class Load(NamedTuple):
    """What one run of wrk did: requests that were taken and refused, seconds, and quantiles of the latency in ms."""

    taken: int
    refused: int
    seconds: float
    p50: float
    p99: float


class Server(NamedTuple):
    """One server under load. `events` a request."""

    name: str
    path: str
    events: int
    port: int
    process: psutil.Process


class Round(NamedTuple):
    per_cpu_second: float
    per_second: float
    megabytes: float
    refused: int


def collector(setting: Setting, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Rows of the collector, singly and batched, and of what it is compared with."""
    wrk, room = _wrk(), setting.room
    with setting.broker() as broker, ExitStack() as running:
        ensure_topics(broker.bootstrap, setting.partitions)
        servers = _servers(setting.python, room, broker.bootstrap, running)
        measured: dict[str, list[Round]] = {one.name: [] for one in servers}
        for number in range(0 if setting.warm_up else 1, rounds + 1):
            for server in servers:
                print(f"{server.name}, round {number or 'to warm up'}", file=sys.stderr)
                found = _saturated(wrk, room, server, seconds if number else min(seconds, setting.warm_up))
                if number:
                    measured[server.name].append(found)
        rows = [_row(server, measured) for server in servers]
        for server, row in zip(servers, rows, strict=True):
            rate = row["per_second"] / server.events / 2
            load = _load(wrk, room, server, seconds, _CONNECTIONS / rate * 1000)
            row |= {"half_load": load.taken * server.events / load.seconds, "p50_ms": load.p50, "p99_ms": load.p99}
        crowd = servers[-2]
        _load(wrk, room, crowd, seconds, 0, _MANY_CONNECTIONS)
        rows[-2]["megabytes_crowded"] = _megabytes(crowd)
    for row in rows:
        row["note"] = _note(row)
    return rows


def _wrk() -> Wrk:
    """The one on the path, else Debian's. Raises Absent."""
    if found := shutil.which("wrk"):
        return Wrk(found, None)
    try:
        folder = unpacked("wrk", "libluajit-5.1-2")
    except NoPackage as why:
        raise Absent(f"no wrk on the path, and {why}") from None
    libraries = {str(path.parent) for path in folder.rglob("libluajit-*.so*")}
    return Wrk(str(folder / "usr" / "bin" / "wrk"), {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)})


def _servers(python: str, room: Path, bootstrap: str, running: ExitStack) -> list[Server]:
    keys = room / "keys.yaml"
    keys.write_text(f"- {{name: bench, key: {_KEY}, events_per_second: 10000000}}\n")
    hello = str(Path(__file__).with_name("hello.py"))

    def started(name: str, *arguments: str) -> tuple[int, psutil.Process]:
        port = free_port()
        log = room / f"{name}.log"
        filled = [str(port) if one == "PORT" else one for one in arguments]
        with log.open("wb") as out:
            process = subprocess.Popen([python, *filled], stdout=out, stderr=out, preexec_fn=die_with_parent())
        running.callback(process.wait)
        running.callback(process.terminate)
        deadline = time.monotonic() + 60
        while "ready " not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not start: {log.read_text()[-1000:]}")
            time.sleep(0.1)
        return port, psutil.Process(process.pid)

    options = ["--bootstrap", bootstrap, "--port", "PORT", "--write-keys", str(keys)]
    one = started("collector", "-m", "streams.cli", "collector", *options)
    return [
        Server("hello-world", "/v1/p", 1, *started("hello", hello, "hello", "PORT", bootstrap)),
        Server("hello-world that stores the body", "/v1/p", 1, *started("store", hello, "store", "PORT", bootstrap)),
        Server("collector, one event a request", "/v1/p", 1, *one),
        Server(f"collector, {BATCH} events a request", "/v1/b", BATCH, *one),
    ]


def _saturated(wrk: Wrk, room: Path, server: Server, seconds: float) -> Round:
    before = _cpu(server)
    load = _load(wrk, room, server, seconds)
    time.sleep(_SETTLE_SECONDS)  # what was asked for last is still being handled
    events = load.taken * server.events
    return Round(
        events / (_cpu(server) - before), events / load.seconds, _megabytes(server), load.refused * server.events
    )


def _load(
    wrk: Wrk, room: Path, server: Server, seconds: float, delay_ms: float = 0, connections: int = _CONNECTIONS
) -> Load:
    filled = {
        "BATCH": str(server.events),
        "DELAY": f"{delay_ms:.3f}",
        "TIME": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "TAG": str(time.time_ns()),
        "KEY": _KEY,
        "AUTH": base64.b64encode(f"{_KEY}:".encode()).decode(),
    }
    script = room / "load.lua"
    script.write_text(re.sub("|".join(filled), lambda found: filled[found[0]], _LOAD))
    address = f"http://127.0.0.1:{server.port}{server.path}"
    options = ["-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), address]
    run = subprocess.run([wrk.path, *options], capture_output=True, text=True, check=True, env=wrk.environment)
    said = run.stdout
    done, refused = re.search(r"(\d+) requests in ([\d.]+)s", said), re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if done is None:
        raise RuntimeError(f"{server.name}: wrk says {said}")
    lost = int(refused[1]) if refused else 0
    return Load(int(done[1]) - lost, lost, float(done[2]), _quantile(said, 50), _quantile(said, 99))


def _quantile(said: str, percent: int) -> float:
    """Ms, of wrk's `99%   12.34ms`."""
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk says nothing of {percent}%: {said}")
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def _cpu(server: Server) -> float:
    return float(sum(server.process.cpu_times()[:2]))


def _megabytes(server: Server) -> float:
    return float(server.process.memory_info().rss / 1e6)


def _row(server: Server, measured: dict[str, list[Round]]) -> dict[str, Any]:
    found = measured[server.name]

    def ratio(other: list[Round]) -> float:
        """Of pairs: each round against the same round of the other."""
        return statistics.median(a.per_cpu_second / b.per_cpu_second for a, b in zip(found, other, strict=True))

    hello, store = list(measured.values())[:2]
    return {
        "part": "collector",
        "contender": server.name,
        "per_cpu_second": statistics.median(one.per_cpu_second for one in found),
        "per_second": statistics.median(one.per_second for one in found),
        "ratio_hello": ratio(hello),
        "ratio_store": ratio(store),
        "wanted": WANTED if server.name.endswith("one event a request") else None,
        "megabytes": max(one.megabytes for one in found),
        "refused": sum(one.refused for one in found),
    }


def _note(row: dict[str, Any]) -> str:
    wanted = f" (wanted {row['wanted']})" if row["wanted"] else ""
    crowd = row.get("megabytes_crowded")
    parts = [
        f"{row['per_cpu_second']:,.0f} events a CPU second ({1e6 / row['per_cpu_second']:.0f} us each)",
        f"{row['per_second']:,.0f} events/s",
        f"{row['ratio_hello']:.2f} of hello-world{wanted}, {row['ratio_store']:.2f} of one that stores",
        f"at {row['half_load']:,.0f} events/s p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms",
        f"{row['megabytes']:.0f} MB" + (f", {crowd:.0f} MB with {_MANY_CONNECTIONS:,} connections" if crowd else ""),
    ]
    if row["refused"]:
        parts.append(f"{row['refused']:,} events were refused")
    return f"{row['contender']}: " + "; ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leadstream-bench-") as folder:
        try:
            rows = collector(Setting(options.python, Path(folder)), options.seconds, options.rounds)
        except Absent as why:
            print(f"not measured: {why}", file=sys.stderr)
            return 1
    print(json.dumps(rows, indent=2) if options.json else "\n".join(row["note"] for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
