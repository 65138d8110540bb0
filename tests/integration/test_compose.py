"""What the compose file would run, run here: the same command lines, variables and health checks, on a real broker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.local.broker import EmbeddedBroker
from tests.processes import eventually, free_port, leadstream, running
from tests.prometheus import promtool
from tests.relay_bed import SECRETS

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
SERVICES: Mapping[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
NAMES = ("collector", "worker-1", "worker-2", "relay")


class Here:
    """What containers have of their own and processes share: addresses, ports, and mounted files."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._ports = {"8080": str(free_port())}

    def words(self, name: str, words: list[str]) -> list[str]:
        """A command line as it has to be here."""
        mounts = dict(one.split(":")[1::-1] for one in SERVICES[name].get("volumes", ()))
        here = []
        for word in words:
            if word == "0.0.0.0":
                word = "127.0.0.1"
            here.append(str(FOLDER / mounts[word]) if word in mounts else word)
        return [*here, "--port", self._ports["8080"]] if "collector" in words else here

    def environment(self, name: str) -> dict[str, str]:
        said = {**SERVICES[name]["environment"], "LEADSTREAM_BOOTSTRAP": self._bootstrap}
        if "LEADSTREAM_METRICS_PORT" in said:
            said["LEADSTREAM_METRICS_HOST"] = "127.0.0.1"
            said["LEADSTREAM_METRICS_PORT"] = self._ports.setdefault(name, str(free_port()))
        return {**os.environ, **SECRETS, **said}

    def healthy(self, name: str) -> bool:
        """Whether the container's health check would pass."""
        kind, program, *words = SERVICES[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        for port in ("9100", "8080"):
            words = [word.replace(f":{port}/", f":{self._ports.get(port, self._ports[name])}/") for word in words]
        return subprocess.run([sys.executable, *words], capture_output=True, timeout=30).returncode == 0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        yield Here(broker.bootstrap)


def test_every_service_of_the_compose_file_becomes_healthy_and_ends_in_its_grace_period(
    here: Here, tmp_path: Path
) -> None:
    made = leadstream(*here.words("topics", SERVICES["topics"]["command"]), env=here.environment("topics"))
    assert made.returncode == 0, made.stderr
    with ExitStack() as stack:
        processes = {}
        for name in NAMES:
            log = tmp_path / f"{name}.log"
            words = here.words(name, SERVICES[name]["command"])
            processes[name] = stack.enter_context(running(log, *words, env=here.environment(name)))
        for name, process in processes.items():

            def answers(name: str = name, process: subprocess.Popen[bytes] = process) -> bool:
                return process.poll() is not None or here.healthy(name)

            eventually(answers, f"{name} is not healthy, see {tmp_path}")
            assert process.poll() is None, (tmp_path / f"{name}.log").read_text()
        for process in processes.values():
            process.terminate()
        for name, process in processes.items():
            grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
            assert process.wait(grace) == 0, (tmp_path / f"{name}.log").read_text()
            assert not here.healthy(name)


def test_the_services_wait_for_the_topics_and_the_topics_for_kafka() -> None:
    for name in NAMES:
        assert SERVICES[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


@pytest.mark.prometheus
def test_prometheus_takes_its_configuration_and_finds_every_program(tmp_path: Path) -> None:
    config = (FOLDER / "prometheus.yaml").read_text()
    mounts = dict(one.split(":")[1::-1] for one in SERVICES["prometheus"]["volumes"] if one.startswith("."))
    for inside, outside in mounts.items():
        config = config.replace(inside, str((FOLDER / outside).resolve()))
    file = tmp_path / "prometheus.yaml"
    file.write_text(config)
    checked = promtool("check", "config", str(file))
    assert checked.returncode == 0, checked.stderr
    assert "rules found" in checked.stdout
    scraped = {
        target
        for job in yaml.safe_load(config)["scrape_configs"]
        for one in (*job.get("static_configs", ()), *job.get("dns_sd_configs", ()))
        for target in one.get("targets", one.get("names"))
    }
    assert scraped == {"worker-1:9100", "worker-2:9100", "collector:9100", "relay"}
