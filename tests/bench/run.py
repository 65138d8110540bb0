"""The bench behind `leadstream bench`: leadstream and its peers, side by side, on one broker and one machine.

Every contender reads the same preloaded page views, real records of the real schema, keeps a decayed score per lead in
a durable changelog and writes an event when a threshold is crossed. leadstream runs its whole product path: the full
default model, duplicates, bots, evidence, metrics, transactions. Rounds are interleaved (A B C A B C), and ratios are
of the medians of one run. Starting up is left out for all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from collector import collector
from confluent_kafka.admin import NewTopic
from contenders import (
    Absent,
    Contender,
    Measure,
    bare_loop,
    kafka_streams,
    leadstream,
    measure,
    quix,
    stock_faust,
)
from latency import latency
from population import LEADS, load
from restore import restore
from scaling import two_workers
from setting import Setting

from streams.kafka import admin_client, ensure_topics
from streams.local.jars import KAFKA_VERSION
from streams.local.server import QUICK_JVM, SERVER_JVM

PARTS = ("throughput", "two-workers", "restore", "latency", "collector")
_VERSIONS = ("leadstream", "faust-streaming", "aiokafka", "confluent-kafka", "fastavro")
PEERS: dict[str, Callable[[str], Contender]] = {
    "stock Faust": stock_faust,
    "Quix Streams": quix,
    "Kafka Streams EOS": kafka_streams,
    "bare confluent-kafka loop": bare_loop,
}
_EXAMPLES = """Examples:

  leadstream bench
  leadstream bench --only latency --json
  leadstream bench --only "stock Faust" --rounds 5"""
#: What leadstream is to reach, as a ratio to each by wall clock.
WANTED = {"stock Faust": 25.0, "Quix Streams": 2.0, "Kafka Streams EOS": 1.0, "bare confluent-kafka loop": 0.5}


def main() -> int:
    options = _options()
    rows: list[dict[str, Any]] = []
    parts = [options.only] if options.only in PARTS else list(PARTS) if options.only is None else ["throughput"]
    only_peer = options.only if options.only not in (None, *PARTS) else None
    with tempfile.TemporaryDirectory(prefix="leadstream-bench-") as folder:
        broker = (QUICK_JVM, 4) if options.quick else (SERVER_JVM, 12)
        setting = Setting(options.python, Path(folder), options.warm_up, *broker)
        if "throughput" in parts:
            rows += throughput(options, setting, only_peer)
        if "two-workers" in parts:
            rows += two_workers(setting, options.events, options.rounds)
        if "restore" in parts:
            rows += restore(setting, options.leads)
        if "latency" in parts:
            rows += latency(setting, options.rates, options.seconds)
        if "collector" in parts:
            try:
                rows += collector(setting, options.seconds, options.rounds)
            except Absent as why:
                rows.append({"part": "collector", "note": f"collector: not measured, {why}"})
    if options.json:
        print(json.dumps({"machine": machine(options.python), "results": rows}, indent=2))
    else:
        _print(rows, machine(options.python))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="leadstream bench", description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--only", choices=(*PARTS, *PEERS), help="one part, or leadstream and one peer")
    parser.add_argument("--events", type=int, default=3_000_000, help="page views that are preloaded")
    parser.add_argument("--seconds", type=float, default=20.0, help="a contender's time in a round, and of a load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=float, default=20.0, help="seconds of load that are not counted")
    parser.add_argument("--populations", nargs="+", choices=LEADS, default=[*LEADS], help="of leads, for the peers")
    parser.add_argument(
        "--quick", action="store_true", help="a broker as the demo has it, few partitions: to try it, not to measure"
    )
    parser.add_argument("--leads", type=int, default=1_000_000, help="leads that are restored")
    parser.add_argument("--rates", type=int, nargs="+", default=[500, 1000, 2000, 5000], help="events/s of the load")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of all Python contenders but Quix")
    return parser.parse_args()


def throughput(options: argparse.Namespace, setting: Setting, only_peer: str | None) -> list[dict[str, Any]]:
    """leadstream and its peers on preloaded page views, for each population."""
    contenders: list[Contender] = [leadstream(options.python)]
    rows: list[dict[str, Any]] = []
    for name, make in PEERS.items():
        if only_peer in (None, name):
            try:
                contenders.append(make(options.python))
            except Absent as why:
                rows.append({"part": "throughput", "contender": name, "note": f"{name}: not measured, {why}"})
    for population in options.populations:
        with setting.broker() as broker:
            ensure_topics(broker.bootstrap, 12)
            load(broker.bootstrap, population, options.events)
            measures: dict[str, list[Measure]] = {one.name: [] for one in contenders}
            if setting.warm_up:
                seconds = min(options.seconds, setting.warm_up)
                _run(contenders[0], broker.bootstrap, "to warm the broker up", setting.room, options.events, seconds)
            for number in range(options.rounds):
                for contender in contenders:
                    what = f"round {number + 1}"
                    found = _run(contender, broker.bootstrap, what, setting.room, options.events, options.seconds)
                    measures[contender.name].append(found)
        rows += _rows(population, measures)
    return rows


def _run(contender: Contender, bootstrap: str, what: str, room: Path, events: int, seconds: float) -> Measure:
    group = f"bench-{contender.name} {what}".lower().replace(" ", "-")
    topics = [NewTopic(name.format(group=group), 12, 1) for name in contender.topics]
    if topics:
        admin = admin_client(bootstrap)  # in a variable, or it ends before it answers
        for done in admin.create_topics(topics).values():
            done.result()
    folder = Path(tempfile.mkdtemp(dir=room))
    print(f"{contender.name}, {what}", file=sys.stderr)
    return measure(contender, bootstrap, group, folder, events, seconds)


def _rows(population: str, measures: dict[str, list[Measure]]) -> list[dict[str, Any]]:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(one, field) for one in measures[name])

    rows = []
    for name, found in measures.items():
        rates = [one.per_second for one in found]
        rows.append(
            {
                "part": "throughput",
                "population": population,
                "contender": name,
                "ratio": median("leadstream", "per_second") / median(name, "per_second"),
                "ratio_cpu": median("leadstream", "per_cpu_second") / median(name, "per_cpu_second"),
                "wanted": WANTED.get(name),
                "per_second": median(name, "per_second"),
                "per_second_range": [min(rates), max(rates)],
                "per_cpu_second": median(name, "per_cpu_second"),
                "megabytes": max(one.megabytes for one in found),
            }
        )
    return rows


def machine(python: str) -> dict[str, str]:
    """What it ran on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return {
        "cpu": cpu,
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version() + ("" if python == sys.executable else f" (contenders: {python})"),
        "python optimised": str(optimised),
        "kafka": KAFKA_VERSION,
        **{name: version(name) for name in _VERSIONS},
    }


def _print(rows: list[dict[str, Any]], facts: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)  # a file has room for the whole table
    table = Table(title="leadstream / peer: above 1, leadstream is quicker")
    for heading in ("population", "peer", "ratio", "wanted", "by CPU", "events/s", "events/CPU s", "MB"):
        table.add_column(heading, justify="left" if heading in ("population", "peer") else "right", no_wrap=True)
    for row in rows:
        if row["part"] != "throughput" or "ratio" not in row:
            continue
        low, high = row["per_second_range"]
        table.add_row(
            row["population"], row["contender"], f"{row['ratio']:.2f}", f"{row['wanted'] or '':}",
            f"{row['ratio_cpu']:.2f}", f"{row['per_second']:,.0f} ({low:,.0f} to {high:,.0f})",
            f"{row['per_cpu_second']:,.0f}", f"{row['megabytes']:.0f}",
        )  # fmt: skip
    if table.row_count:
        console.print(table)
    for row in rows:
        if "note" in row:
            console.print(row["note"])
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()))


if __name__ == "__main__":
    sys.exit(main())
