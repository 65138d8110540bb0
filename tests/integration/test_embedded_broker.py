from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from streams.kafka import BrokerUnreachable, admin_client, producer_config, require_broker
from streams.local import broker as broker_module
from streams.local.archive import archive_file
from streams.local.broker import EmbeddedBroker, PortTaken
from streams.local.jars import ensure_jars
from streams.local.java import find_java
from streams.local.server import QUICK_JVM
from tests.processes import LEADSTREAM, ended_after

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_end(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs after {seconds} s"
        time.sleep(0.05)


def test_topics_survive_a_crash_and_the_broker_comes_back_on_the_same_port(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        address = broker.bootstrap
        admin = admin_client(address)
        for future in admin.create_topics([NewTopic("kept", 3)]).values():
            future.result()
        broker.kill()
        with pytest.raises(BrokerUnreachable):
            require_broker(address, timeout=0.5)
        broker.start()
        assert broker.bootstrap == address
        assert len(require_broker(address).topics["kept"].partitions) == 3


def test_a_broker_without_a_folder_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broker = EmbeddedBroker().start()
    pid = broker.pid
    assert pid is not None
    assert list(tmp_path.iterdir())
    broker.stop()
    assert not broker.running
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what a process has mapped")
def test_a_broker_uses_the_archive_of_its_classes(broker: EmbeddedBroker) -> None:
    archive = archive_file(find_java(), ensure_jars(), QUICK_JVM)
    assert archive.exists()
    assert str(archive) in Path(f"/proc/{broker.pid}/maps").read_text()


@pytest.mark.parametrize("damage", ["of something else", "changed here and there"])
def test_a_broker_starts_with_a_damaged_archive_as_well(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "damaged.jsa"
    content = bytearray(archive_file(find_java(), ensure_jars(), QUICK_JVM).read_bytes())
    if damage == "of something else":
        content[:] = b"not an archive" * 1000
    else:
        content[len(content) // 2 :: 4096] = bytes(byte ^ 0xFF for byte in content[len(content) // 2 :: 4096])
    archive.write_bytes(content)
    monkeypatch.setattr("streams.local.archive.archive_file", lambda *_: archive)
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        require_broker(broker.bootstrap)
        assert (tmp_path / "kafka" / "output.log").read_text() == ""


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port} on 127.0.0.1 is taken.*--port"):
            EmbeddedBroker(tmp_path / "kafka", port).start()
    assert not (tmp_path / "kafka").exists()


def test_a_mistyped_topic_is_an_error_and_not_a_new_topic(bootstrap: str) -> None:
    errors = []
    producer = Producer({**producer_config(bootstrap), "topic.metadata.propagation.max.ms": 500})
    producer.produce("page-veiws", b"", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    assert len(errors) == 1
    assert "UNKNOWN_TOPIC" in errors[0].name()
    assert "page-veiws" not in require_broker(bootstrap).topics


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_the_broker_dies_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from streams.local.broker import EmbeddedBroker\n"
        "print(EmbeddedBroker(pathlib.Path(sys.argv[1])).start().pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "kafka")], stdout=subprocess.PIPE, text=True
        ) as owner,
        ended_after(owner),
    ):
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
        await_end(pid, 5.0)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_when_it_serves_and_ends_when_told(ending: signal.Signals, tmp_path: Path) -> None:
    with (
        subprocess.Popen(
            [LEADSTREAM, "broker", "--port", "0", "--data", str(tmp_path / "kafka")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as command,
        ended_after(command),
    ):
        assert command.stdout is not None
        assert command.stderr is not None
        word, address = command.stdout.readline().split()
        assert word == "ready"
        require_broker(address)
        start = time.monotonic()
        command.send_signal(ending)
        assert command.wait(30) == 0
        assert time.monotonic() - start < 15
        assert command.stdout.read() == ""
        assert command.stderr.read() == "The broker has ended.\n"
    with pytest.raises(BrokerUnreachable):
        require_broker(address, timeout=0.5)


def test_the_command_tells_of_a_taken_port_and_exits_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = subprocess.run([LEADSTREAM, "broker", "--port", port], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"leadstream: Port {port} on 127.0.0.1 is taken.")
    assert len(result.stderr.splitlines()) == 1


def test_a_free_port_that_someone_else_takes_first_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        answers = iter([taken])
        free_port = broker_module._free_port
        monkeypatch.setattr(broker_module, "_free_port", lambda: next(answers, None) or free_port())
        with EmbeddedBroker() as broker:
            assert broker.bootstrap != f"127.0.0.1:{taken}"
            require_broker(broker.bootstrap)
