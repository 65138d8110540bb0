"""Who is measured: a command, how its progress is heard of, and what it needs to run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from streams.local.jars import Jar, cache_folder, ensure_jars
from streams.local.parent import die_with_parent

PEERS = Path(__file__).with_name("peers")
_STREAMS_JARS = [
    Jar(
        "org.apache.kafka:kafka-streams:4.1.2",
        2_052_311,
        "415998b32e8627b3ce21ff87226c66f3313e9fc52eca2513a3600bf492e3cbac",
    ),
    Jar(
        "org.apache.avro:avro:1.12.1",
        718_936,
        "72600f057bfbe2efe35fa55433e7756d45667dc938934be38a6e2be368aca237",
    ),
    Jar(
        "org.rocksdb:rocksdbjni:10.1.3",
        72_725_808,
        "e7f925287d9fe2574fb7c7a86f7facaa9b8ab602a2eed0e598bf633528121498",
    ),
]


class Absent(Exception):
    """A contender can't be measured here; says why."""


@dataclass(frozen=True)
class Contender:
    """`command(bootstrap, group, folder)` makes its command line; `metrics` says that its progress is read from
    Prometheus metrics on the port that its command line ends with, else from lines `progress N` on standard output.
    `topics` are made for its group before it starts, with 12 partitions.
    """

    name: str
    command: Callable[[str, str, Path], list[str]]
    metrics: bool = False
    topics: tuple[str, ...] = ("{group}-out",)


class Sample(NamedTuple):
    """At `at` (monotonic seconds), `done` records were handled, for `cpu` seconds of the process's time."""

    at: float
    done: int
    cpu: float


class Measure(NamedTuple):
    """Steady state: records per second of wall clock and of processor time, and the largest resident set (MB)."""

    per_second: float
    per_cpu_second: float
    megabytes: float


def leadstream(python: str) -> Contender:
    """The worker as it is, with the default model."""

    def command(bootstrap: str, group: str, folder: Path) -> list[str]:
        start = [python, "-m", "streams.cli", "worker", "--bootstrap", bootstrap, "--app", group]
        return [*start, "--metrics-port", str(free_port())]

    return Contender("leadstream", command, metrics=True, topics=())


def stock_faust(python: str) -> Contender:
    return Contender(
        "stock Faust",
        lambda bootstrap, group, folder: [python, str(PEERS / "stock_faust.py"), bootstrap, group, str(folder)],
        topics=("{group}-out", "{group}-states-changelog"),
    )


def bare_loop(python: str) -> Contender:
    return Contender(
        "bare confluent-kafka loop",
        lambda bootstrap, group, folder: [python, str(PEERS / "bare.py"), bootstrap, group],
        topics=("{group}-out", "{group}-changelog"),
    )


def quix(_: str) -> Contender:
    """In an environment of its own, made when it is first needed."""
    folder = cache_folder().parent / "bench" / "quix-3.28"
    python = folder / "bin" / "python"
    if not python.exists():
        print("making an environment for Quix Streams", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = ["quixstreams==3.28.*", "fastavro", "msgspec"]
        made = subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=False)
        if made.returncode:
            shutil.rmtree(folder)
            raise Absent("Quix Streams could not be installed")
    return Contender(
        "Quix Streams",
        lambda bootstrap, group, room: [str(python), str(PEERS / "quix.py"), bootstrap, group, str(room)],
    )


def kafka_streams(_: str) -> Contender:
    """Compiled when it is first needed; Absent without a JDK."""
    compiler, java = shutil.which("javac"), shutil.which("java")
    if compiler is None or java is None:
        raise Absent("no JDK")
    folder = cache_folder().parent / "bench" / "kafka-streams-4.1"
    jars = [*ensure_jars(), *ensure_jars(folder, jars=_STREAMS_JARS)]
    class_path = os.pathsep.join(map(str, [folder, *jars]))
    subprocess.run([compiler, "-cp", class_path, "-d", folder, PEERS / "KafkaStreamsPeer.java"], check=True)
    schema = Path(__file__).parents[2] / "schemas" / "page-views.avsc"

    def command(bootstrap: str, group: str, room: Path) -> list[str]:
        options = ["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
        return [java, *options, "-cp", class_path, "KafkaStreamsPeer", bootstrap, group, str(room), str(schema)]

    return Contender("Kafka Streams EOS", command)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def measure(contender: Contender, bootstrap: str, group: str, room: Path, total: int, seconds: float) -> Measure:
    """Run it on its own group from the beginning of the topic, until `total` records or `seconds` of work.

    Its start (interpreter, join, first fetches) is left out: what counts begins two seconds after its first progress.
    """
    command = contender.command(bootstrap, group, room)
    log = room / "log"
    with log.open("wb") as err:
        out = err if contender.metrics else subprocess.PIPE
        process = subprocess.Popen(command, stdout=out, stderr=err, preexec_fn=die_with_parent())
    try:
        samples = _watch(process, command if contender.metrics else None, total, seconds)
        peak = psutil.Process(process.pid).memory_info().rss / 1e6
    except (psutil.NoSuchProcess, TimeoutError) as error:
        tail = log.read_text(errors="replace")[-1500:]
        raise RuntimeError(f"{contender.name} did not get going: {error}\n{tail}") from error
    finally:
        process.kill()
        process.wait()
    first = next((one for one in samples if one.at >= samples[0].at + 2.0), samples[0])
    last = samples[-1]
    if last.done <= first.done:
        first = samples[0]
    done = last.done - first.done
    return Measure(done / (last.at - first.at), done / (last.cpu - first.cpu), peak)


def _watch(process: subprocess.Popen[bytes], metrics_of: list[str] | None, total: int, seconds: float) -> list[Sample]:
    """What was seen of its progress, two samples or more. Raises TimeoutError, and NoSuchProcess when it ends."""
    samples: list[Sample] = []
    known = psutil.Process(process.pid)

    def sample(done: int) -> Sample:
        times = known.cpu_times()
        return Sample(time.monotonic(), done, times.user + times.system)

    def note(done: int) -> None:
        if done and (not samples or done > samples[-1].done):
            samples.append(sample(done))

    if metrics_of is None:
        threading.Thread(target=_read_lines, args=(process, note), daemon=True).start()
    deadline = time.monotonic() + 60
    before = sample(0)
    while True:
        time.sleep(0.1)
        if process.poll() is not None:
            raise psutil.NoSuchProcess(process.pid)
        if not samples:
            before = sample(0)
        if metrics_of is not None:
            note(consumed(int(metrics_of[-1])))
        if samples:
            everything = samples[-1].done >= total * 0.97
            late = time.monotonic() - samples[0].at - seconds
            if len(samples) > 1 and (everything or late > 0):
                return list(samples)
            if everything:  # between two looks
                return [before, *samples]
            if late > 60:
                raise TimeoutError("too few events to measure it by")
        elif time.monotonic() > deadline:
            raise TimeoutError("no progress")


def _read_lines(process: subprocess.Popen[bytes], note: Callable[[int], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        word, _, number = line.partition(b" ")
        if word == b"progress":
            try:
                note(int(number))
            except psutil.NoSuchProcess:
                return


def consumed(port: int) -> int:
    """Records that the worker with metrics on this port has handled; 0 when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return 0
    lines = [line for line in text.splitlines() if line.startswith("leads_records_consumed_total{")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))
