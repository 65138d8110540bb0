from __future__ import annotations

import gzip
import json
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.kafka import ensure_topics, producer_config
from streams.partitioning import partition_of
from streams.wire.codec import Codec
from tests.processes import LEADSTREAM, ended_after

pytestmark = [pytest.mark.integration, pytest.mark.slow]


Command = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def address(bootstrap: str) -> str:
    ensure_topics(bootstrap)
    return bootstrap


@pytest.fixture
def leadstream(address: str) -> Command:
    def run(*arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [LEADSTREAM, arguments[0], "--bootstrap", address, *arguments[1:]],
            input=input,
            capture_output=True,
            timeout=120,
        )

    return run


@pytest.fixture
def lead() -> str:
    """A lead of this test alone: the topics are shared."""
    return f"lead-{uuid.uuid4()}"


def view(lead: str, number: int) -> bytes:
    event = {
        "lead_id": lead,
        "occurred_at": 1_790_000_000_000 + number,
        "url": f"https://example.com/{number}",
    }
    return json.dumps({"topic": "page-views", "event": event}).encode()


def seen(leadstream: Command, lead: str, *topics: str) -> list[dict[str, Any]]:
    result = leadstream("tail", *topics, "--json", "--from-beginning", "--until-end")
    assert result.returncode == 0, result.stderr
    return [line for line in map(json.loads, result.stdout.splitlines()) if line["key"] == lead]


def test_events_come_out_as_they_went_in_keyed_and_in_order(leadstream: Command, lead: str) -> None:
    result = leadstream("publish", "-", input=b"\n".join(view(lead, number) for number in range(200)))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"published 200 rejected 0\n", b"")
    lines = seen(leadstream, lead, "page-views")
    assert [line["event"]["url"] for line in lines] == [f"https://example.com/{number}" for number in range(200)]
    assert {line["partition"] for line in lines} == {partition_of(lead.encode(), 12)}
    assert list(lines[0]) == ["topic", "partition", "offset", "key", "event"]
    assert lines[0]["event"]["occurred_at"].endswith("Z")


def test_what_tail_prints_can_be_published_again(leadstream: Command, lead: str) -> None:
    leadstream("publish", "-", input=view(lead, 1))
    [first] = seen(leadstream, lead, "page-views")
    assert leadstream("publish", "-", input=json.dumps(first).encode()).stdout == b"published 1 rejected 0\n"
    _, second = seen(leadstream, lead, "page-views")
    assert second["event"] == first["event"]


def test_files_may_be_gzipped(leadstream: Command, lead: str, tmp_path: Path) -> None:
    file = tmp_path / "events.dat"
    file.write_bytes(gzip.compress(view(lead, 1) + b"\n\n" + view(lead, 2) + b"\n"))
    assert leadstream("publish", str(file)).stdout == b"published 2 rejected 0\n"
    assert len(seen(leadstream, lead, "page-views")) == 2


def test_a_torn_gzip_file_is_told_after_what_could_be_read(leadstream: Command, lead: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    whole = gzip.compress(b"\n".join(view(lead, number) for number in range(5000)))
    file.write_bytes(whole[: len(whole) // 2])
    result = leadstream("publish", str(file))
    assert result.returncode == 2
    assert b"torn after line" in result.stderr
    published = int(result.stdout.split()[1])
    assert 0 < published < 5000
    assert len(seen(leadstream, lead, "page-views")) == published


def test_unusable_lines_are_named_and_the_others_go_through(leadstream: Command, lead: str) -> None:
    bad = {
        2: (b"{", b"not JSON"),
        3: (b'{"topic": "pageviews", "event": {}}', b"pageviews"),
        4: (b'{"topic": "page-views", "event": {"lead_id": "x", "occurred_at": 1}}', b"url"),
        5: (json.dumps({"topic": "dead-letters", "event": {}}).encode(), b""),
        6: (view("", 6), b"lead_id is empty"),
    }
    lines = [view(lead, 1), *(line for line, _ in bad.values()), view(lead, 7)]
    result = leadstream("publish", "-", input=b"\n".join(lines))
    assert result.returncode == 1
    assert result.stdout == b"published 2 rejected 5\n"
    told = result.stderr.splitlines()
    assert len(told) == len(bad)
    for text, (number, (_, reason)) in zip(told, bad.items(), strict=True):
        assert text.startswith(b"-:%d: " % number)
        assert reason in text
    assert len(seen(leadstream, lead, "page-views")) == 2


def test_many_rejections_are_all_counted_but_not_all_shown(leadstream: Command) -> None:
    result = leadstream("publish", "-", input=b"nonsense\n" * 1000)
    assert (result.returncode, result.stdout) == (1, b"published 0 rejected 1000\n")
    told = result.stderr.splitlines()
    assert len(told) == 21
    assert told[-1] == b"... and 980 more lines rejected"


def test_an_event_that_is_too_large_for_kafka_is_a_rejected_line(leadstream: Command, lead: str) -> None:
    large = json.loads(view(lead, 1))
    large["event"]["title"] = "x" * 2_000_000
    result = leadstream("publish", "-", input=json.dumps(large).encode() + b"\n" + view(lead, 2))
    assert (result.returncode, result.stdout) == (1, b"published 1 rejected 1\n")


def test_an_output_topic_cannot_be_published_to(leadstream: Command) -> None:
    event = {"lead_id": "x", "as_of": 1, "stage": "lead", "interest": 1.0, "fit": 1.0, "fit_band": "A"}
    event |= {"route": "NONE", "sequence": 1, "model": "m"}
    result = leadstream("publish", "-", input=json.dumps({"topic": "lead-scores", "event": event}).encode())
    assert (result.returncode, result.stdout) == (1, b"published 0 rejected 1\n")
    assert b"'lead-scores' is not an input topic" in result.stderr


def test_the_rate_is_kept(leadstream: Command, lead: str) -> None:
    start = time.monotonic()
    leadstream("publish", "-", "--rate", "20", input=b"\n".join(view(lead, number) for number in range(41)))
    assert time.monotonic() - start >= 2.0
    assert len(seen(leadstream, lead, "page-views")) == 41


def test_a_file_that_is_not_there_is_wrong_use(leadstream: Command, tmp_path: Path) -> None:
    result = leadstream("publish", str(tmp_path / "nothing.jsonl"))
    assert result.returncode == 2
    assert result.stderr.decode() == f"leadstream: Can't read {tmp_path}/nothing.jsonl: no such file or directory.\n"


def test_tail_goes_on_with_what_comes_and_ends_quietly_when_its_reader_does(
    leadstream: Command, address: str, lead: str
) -> None:
    with (
        subprocess.Popen(
            [LEADSTREAM, "tail", "page-views", "--bootstrap", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as tail,
        ended_after(tail),
    ):
        assert tail.stdout is not None
        assert tail.stderr is not None
        leadstream("publish", "-", "--rate", "2", input=b"\n".join(view(lead, number) for number in range(20)))
        line = tail.stdout.readline().decode()
        assert lead in line
        assert "https://example.com/" in line
        tail.stdout.close()
        leadstream("publish", "-", input=view(lead, 100))
        assert tail.wait(30) == 0
        assert tail.stderr.read() == b""


def test_tail_ends_at_the_end_where_transactions_left_their_markers(
    leadstream: Command, address: str, lead: str
) -> None:
    codec = Codec()
    event = json.loads(view(lead, 1))["event"] | {"event_id": "1"}
    full = dict.fromkeys(("duration_ms", "session_id", "referrer", "title", "utm_source", "utm_medium"))
    full |= dict.fromkeys(("utm_campaign", "anonymous_id", "user_agent", "ip"))
    producer = Producer({**producer_config(address), "transactional.id": lead})
    producer.init_transactions(30)
    for url, finish in (("committed", producer.commit_transaction), ("aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce("page-views", codec.encode("page-views", full | event | {"url": url}), lead)
        producer.flush(10)
        finish(30)
    assert [line["event"]["url"] for line in seen(leadstream, lead, "page-views")] == ["committed"]


def test_an_undecodable_record_is_told_and_passed_over(leadstream: Command, address: str, lead: str) -> None:
    producer = Producer(producer_config(address))
    producer.produce("downloads", b"nonsense", lead)
    producer.flush(10)
    result = leadstream("tail", "downloads", "--json", "--from-beginning", "--until-end")
    assert result.returncode == 0
    assert result.stdout == b""
    assert b"downloads, partition" in result.stderr


def test_a_topic_that_is_not_there_is_told(leadstream: Command) -> None:
    result = leadstream("tail", "page-veiws")
    assert result.returncode == 1
    assert result.stderr.startswith(b"leadstream: No topic page-veiws at ")


def test_topics_that_were_never_created_are_told_before_anything_is_sent() -> None:
    from streams.local.broker import EmbeddedBroker

    with EmbeddedBroker() as empty:
        result = subprocess.run(
            [LEADSTREAM, "publish", "-", "--bootstrap", empty.bootstrap],
            input=view("x", 1),
            capture_output=True,
        )
    assert result.returncode == 1
    assert b"leadstream topics" in result.stderr
    assert len(result.stderr.splitlines()) == 1
