"""A real Prometheus for tests: the one on the path, else the one out of Debian's package, in the user's cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.debian import NoPackage, unpacked
from tests.processes import await_ready, eventually, free_port, running_program

_MISSING = (
    "These tests need prometheus and promtool on the path (version 2.42 or later). On Debian and Ubuntu they bring "
    "the package by themselves; here {}. Install Prometheus, or leave these tests out with "
    "-m 'not prometheus'."
)


class Programs(NamedTuple):
    """Where the programs are."""

    prometheus: Path
    promtool: Path


@cache
def programs() -> Programs:
    """The server and its tool, downloaded once if need be. Several tests may ask at the same time."""
    found = shutil.which("prometheus"), shutil.which("promtool")
    if found[0] and found[1]:
        return Programs(Path(found[0]), Path(found[1]))
    try:
        folder = unpacked("prometheus")
    except NoPackage as error:
        raise AssertionError(_MISSING.format(error)) from None
    return Programs(folder / "usr" / "bin" / "prometheus", folder / "usr" / "bin" / "promtool")


def promtool(*arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs().promtool, *arguments], input=input, capture_output=True, text=True, timeout=240, check=False
    )


class Series(NamedTuple):
    """A series of a query's answer: its labels and (Unix time, value) pairs."""

    labels: Mapping[str, str]
    points: list[tuple[float, float]]


class Prometheus:
    """A running server. `folder` has a file of targets for each job, as a discovery would write it."""

    def __init__(self, port: int, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder

    def discover(self, job: str, ports: Sequence[int]) -> None:
        """From now on the job has these targets."""
        discovered(self._folder, job, ports)

    def get(self, path: str, **parameters: Any) -> Any:
        """The data of an answer of the API. Raises AssertionError with Prometheus' own words."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def now(self, query: str) -> list[Series]:
        """The answer at this moment: a series has one point, a scalar is a series without labels."""
        data = self.get("query", query=query)
        if data["resultType"] == "scalar":
            return [Series({}, [_point(data["result"])])]
        return [Series(one["metric"], [_point(one["value"])]) for one in data["result"]]

    def value(self, query: str) -> float | None:
        """The value of the only series of the answer, None when there is none."""
        found = self.now(query)
        assert len(found) < 2, found
        return found[0].points[0][1] if found else None

    def over(self, query: str, start: float, end: float, step: float) -> list[Series]:
        data = self.get("query_range", query=query, start=start, end=end, step=step)
        return [Series(one["metric"], [_point(pair) for pair in one["values"]]) for one in data["result"]]

    def firing(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self.get("alerts")["alerts"] if one["state"] == "firing"}

    def await_alerts(self, *names: str) -> None:
        """Wait until each has fired, be it for a moment."""
        missing = set(names)

        def all_fired() -> bool:
            missing.difference_update(self.firing())
            return not missing

        eventually(all_fired, f"not all of {names} fired", 90)

    def await_quiet(self, *names: str) -> None:
        """Wait until none of these fires."""
        eventually(lambda: not self.firing() & set(names), f"{names} do not stop", 90)


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def discovered(folder: Path, job: str, ports: Sequence[int]) -> Path:
    """The file that says what a job's targets are."""
    file = folder / f"{job}.json"
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}]))
    return whole.replace(file)


@contextmanager
def running_prometheus(
    folder: Path, targets: Mapping[str, Sequence[int]], rules: Sequence[Path] = (), every: str = "1s"
) -> Iterator[Prometheus]:
    """A server that scrapes ports of 127.0.0.1, by job, and has scraped each once; ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    scrapes = [
        {"job_name": job, "file_sd_configs": [{"files": [str(discovered(folder, job, ports))]}]}
        for job, ports in targets.items()
    ]
    times = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    config.write_text(
        yaml.safe_dump({"global": times, "rule_files": [str(one) for one in rules], "scrape_configs": scrapes})
    )
    port = free_port()
    log = folder / "prometheus.log"
    command = [
        programs().prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    server = Prometheus(port, folder)
    with running_program(log, command, {**os.environ, "GOMAXPROCS": "1"}) as process:
        await_ready(process, lambda: _serves(server, targets), log)
        yield server


def _serves(server: Prometheus, targets: Mapping[str, Sequence[int]]) -> bool:
    try:
        return len(server.now("up")) == sum(map(len, targets.values()))
    except (OSError, AssertionError):
        return False
