from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streams.local.jars import Jar, JarsUnavailable, ensure_jars, pinned_jars


def jar(name: str, content: bytes) -> Jar:
    return Jar(f"org.example:{name}:1.0", len(content), hashlib.sha256(content).hexdigest())


class Repository:
    """A Maven repository over HTTP: `files` by artifact name, `asked` counts the downloads of each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failures: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.split("/")[-3]
                content = repository.files.get(name) if self.path.endswith(".jar") else None
                if content is not None:
                    repository.asked[name] = repository.asked.get(name, 0) + 1
                    if repository.asked[name] <= repository.failures.get(name, 0):
                        content = None
                self.send_response(404 if content is None else 200)
                self.send_header("content-length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository that a mirror entry in Maven's settings.xml points to."""
    pytest.importorskip("jgo")
    repository = Repository()
    home = tmp_path / "home"
    (home / ".m2").mkdir(parents=True)
    (home / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors><mirror><mirrorOf>central</mirrorOf>'
        f"<url>http://127.0.0.1:{repository.server.server_port}/maven</url></mirror></mirrors></settings>"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("M2_REPO", str(home / ".m2" / "repository"))
    monkeypatch.delenv("JGO_CONFIG_FILE", raising=False)
    yield repository
    repository.server.shutdown()
    repository.server.server_close()


def test_the_pinned_list_is_one_kafka_with_a_logging_backend() -> None:
    jars = pinned_jars()
    assert len({j.file_name for j in jars}) == len(jars) > 40
    assert all(len(bytes.fromhex(j.sha256)) == 32 and j.size > 0 for j in jars)
    names = {j.coordinates.split(":")[1] for j in jars}
    assert {"kafka_2.13", "kafka-clients", "slf4j-simple"} <= names
    assert len({j.coordinates.split(":")[2] for j in jars if j.coordinates.startswith("org.apache.kafka:")}) == 1


def test_jars_are_downloaded_once_and_the_download_is_announced(repository: Repository, tmp_path: Path) -> None:
    repository.files = {"one": b"1" * 2_000_000, "two": b"2" * 1_000_000}
    jars = [jar(name, content) for name, content in repository.files.items()]
    said: list[str] = []
    paths = ensure_jars(tmp_path / "cache", said.append, jars)
    assert [path.read_bytes() for path in paths] == list(repository.files.values())
    assert "2 jars, 3 MB" in said[0]
    said.clear()
    assert ensure_jars(tmp_path / "cache", said.append, jars) == paths
    assert said == []
    assert repository.asked == {"one": 1, "two": 1}


def test_a_failed_download_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    repository.files = {"one": b"content"}
    repository.failures = {"one": 2}
    [path] = ensure_jars(tmp_path / "cache", lambda line: None, [jar("one", b"content")])
    assert path.read_bytes() == b"content"
    assert repository.asked == {"one": 3}


def test_a_jar_that_is_not_the_pinned_one_is_refused_and_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    repository.files = {"one": b"evil!!!"}
    with pytest.raises(JarsUnavailable, match=r"org\.example:one:1\.0 .* is not the pinned file"):
        ensure_jars(tmp_path / "cache", lambda line: None, [jar("one", b"content")])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_jar_that_was_changed_in_the_cache_is_fetched_anew(repository: Repository, tmp_path: Path) -> None:
    repository.files = {"one": b"content"}
    [path] = ensure_jars(tmp_path / "cache", lambda line: None, [jar("one", b"content")])
    path.write_bytes(b"changed")
    ensure_jars(tmp_path / "cache", lambda line: None, [jar("one", b"content")])
    assert path.read_bytes() == b"content"


def test_jars_that_maven_has_already_are_taken_from_there(repository: Repository, tmp_path: Path) -> None:
    local = tmp_path / "home" / ".m2" / "repository" / "org" / "example" / "one" / "1.0" / "one-1.0.jar"
    local.parent.mkdir(parents=True)
    local.write_bytes(b"content")
    [path] = ensure_jars(tmp_path / "cache", lambda line: None, [jar("one", b"content")])
    assert path.read_bytes() == b"content"
    assert repository.asked == {}


def test_starts_at_the_same_time_download_once(repository: Repository, tmp_path: Path) -> None:
    repository.files = {"one": b"1" * 1_000_000}
    with ThreadPoolExecutor(4) as pool:
        runs = [
            pool.submit(ensure_jars, tmp_path / "cache", lambda line: None, [jar("one", repository.files["one"])])
            for _ in range(4)
        ]
        assert all(run.result()[0].read_bytes() == repository.files["one"] for run in runs)
    assert repository.asked == {"one": 1}


def test_an_unreachable_repository_is_told_with_what_to_do(repository: Repository, tmp_path: Path) -> None:
    repository.server.shutdown()
    repository.server.server_close()
    with pytest.raises(JarsUnavailable, match=r"after 3 tries.*mirror.*--bootstrap"):
        ensure_jars(tmp_path / "cache", lambda line: None, [jar("one", b"content")])
