"""The worker as its users meet it: a real broker, a real process, events in, MQL and SQL events out."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import Producer

from streams.kafka import producer_config
from streams.local.broker import EmbeddedBroker
from streams.partitioning import partition_of
from streams.qualification.receipt import verify_receipt
from streams.wire.codec import Codec
from streams.wire.jsonlines import Line, parse_line
from tests.kafka_topics import produce_raw, read_all, records_of
from tests.processes import eventually, free_port, leadstream, running, running_worker

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAY = 86_400_000
#: 2026-11-01T09:00:00Z
START = 1_793_523_600_000

PROFILE = {"email": "buyer@example.com", "employees": 500, "job_title": "Director of Sales"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own: what other tests publish would move its leads' clocks."""
    with EmbeddedBroker(data_dir=tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="module")
def worker(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker with a worker on it."""
    with running_worker(address, tmp_path_factory.mktemp("worker") / "log"):
        yield address


def line(topic: str, lead_id: str, at: int, **fields: Any) -> str:
    return json.dumps({"topic": topic, "event": {"lead_id": lead_id, "occurred_at": at, **fields}})


def publish(address: str, *lines: str) -> None:
    done = leadstream("publish", "--bootstrap", address, "-", input="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr


def dead_letter_for(address: str, key: bytes | None, offset_of: bytes | None = None) -> dict[str, Any]:
    """The dead letter of the record with this key (and value), once it is there."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [
            letter
            for letter in records_of_dead_letters(address)
            if letter["key"] == key and (offset_of is None or letter["value"] == offset_of)
        ]
        return bool(found)

    eventually(there, f"no dead letter with key {key!r}")
    assert len(found) == 1
    return found[0]


def records_of_dead_letters(address: str) -> list[dict[str, Any]]:
    return [record for _, record in read_all(address, "dead-letters")["dead-letters"] if record is not None]


def test_a_buyer_becomes_an_mql_and_then_an_sql_with_receipts_that_add_up(worker: str) -> None:
    lead = "buyer"
    publish(
        worker,
        line("lead-profiles", lead, START, **PROFILE),
        line("page-views", lead, START + 30_000, url="https://example.com/", utm_source="search"),
        line("page-views", lead, START + 60_000, url="https://example.com/pricing"),
        line("page-views", lead, START + 120_000, url="https://example.com/pricing?plan=team"),
        line("demo-bookings", lead, START + DAY, booking_id="b-1", status="BOOKED"),
    )
    eventually(lambda: records_of(worker, "sql-events", lead), "no SQL event")
    (mql,) = records_of(worker, "mql-events", lead)
    (sql,) = records_of(worker, "sql-events", lead)
    assert (mql["previous_stage"], mql["route"], mql["occurred_at"]) == ("lead", "NURTURE", START + 120_000)
    assert mql["qualified_until"] > mql["occurred_at"]
    assert (sql["previous_stage"], sql["route"], sql["path"]) == ("mql", "SALES", "demo")
    assert sql["episode_id"] == mql["episode_id"]
    assert verify_receipt(mql) == []
    assert verify_receipt(sql) == []
    history = records_of(worker, "lifecycle-events", lead)
    assert [one["to_stage"] for one in history] == ["lead", "mql", "sql"]
    assert sorted(one["sequence"] for one in [*history, mql, sql]) == [1, 2, 3, 4, 5]
    assert [one["stage"] for one in records_of(worker, "lead-scores", lead)] == ["lead", "mql", "sql"]


def test_a_qualification_event_carries_cloudevents_attributes_in_its_headers(worker: str) -> None:
    publish(worker, line("demo-bookings", "caller", START, booking_id="b-2", status="BOOKED"))
    eventually(lambda: records_of(worker, "sql-events", "caller"), "no SQL event")
    ((message, record),) = [
        pair for pair in read_all(worker, "sql-events")["sql-events"] if pair[1] and pair[1]["lead_id"] == "caller"
    ]
    assert message.key() == b"caller"
    headers = dict(message.headers())
    assert headers["ce_id"].decode() == record["event_id"]
    assert headers["ce_type"] == b"leadstream.sql.v1"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_partitionkey"] == b"caller"
    assert headers["ce_time"] == b"2026-11-01T09:00:00.000Z"
    assert headers["content-type"] == b"application/avro"


def page_view(**fields: Any) -> bytes:
    event = {"lead_id": "overwritten", "occurred_at": START, "url": "https://example.com/"}
    line = parse_line(json.dumps({"topic": "page-views", "event": event}).encode())
    assert isinstance(line, Line)
    return Codec().encode("page-views", {**line.event, **fields})


@pytest.mark.parametrize(
    ("key", "value", "error", "says"),
    [
        (b"bad-1", b"\x07 not Avro at all", "UNDECODABLE", "framings"),
        (b"bad-2", b"\x00\x00\x00\x04\xd2abc", "UNKNOWN_SCHEMA", "1234"),
        (b"bad-3", b"\xc3\x01\x00\x00\x00\x00\x00\x00\x00\x01abc", "UNKNOWN_SCHEMA", "fingerprint"),
        (b"bad-4", page_view(lead_id="bad-4")[:-6], "UNDECODABLE", "ends within"),
        (b"bad-5", page_view(lead_id="bad-5") + b"!", "UNDECODABLE", "left over"),
        (b"bad-6", page_view(lead_id=""), "INVALID", "lead_id"),
        (b"bad-7", page_view(lead_id="somebody-else"), "INVALID", "key"),
        (b"bad-8", page_view(lead_id="bad-8", occurred_at=START - 500 * DAY), "TOO_OLD", "400"),
        (b"bad-9", page_view(lead_id="bad-9", occurred_at=-1), "INVALID", "occurred_at"),
        (b"", page_view(lead_id="bad-10"), "EMPTY_KEY", "key"),
        (None, page_view(lead_id="bad-11"), "EMPTY_KEY", "key"),
        (b"bad-12", None, "UNDECODABLE", "no value"),
    ],
    ids=[
        "bytes that are no Avro",
        "a schema id without a registry",
        "an unknown fingerprint",
        "a truncated record",
        "trailing bytes",
        "no lead id",
        "a key that is not the lead id",
        "an event of years ago",
        "a time before 1970",
        "an empty key",
        "no key",
        "no value",
    ],
)
def test_a_bad_record_becomes_a_dead_letter_with_its_bytes_and_the_reason(
    worker: str, key: bytes | None, value: bytes | None, error: str, says: str
) -> None:
    produce_raw(worker, "page-views", key, value)
    letter = dead_letter_for(worker, key, value)
    assert (letter["consumer"], letter["topic"], letter["error"]) == ("worker", "page-views", error)
    assert says in letter["detail"]
    assert letter["size"] == len(value or b"")


def test_a_value_of_five_megabytes_becomes_a_dead_letter_that_keeps_its_head(worker: str) -> None:
    value = b"\xc3\x01" + bytes(5_000_000)
    produce_raw(worker, "page-views", b"huge", value)
    letter = dead_letter_for(worker, b"huge")
    assert (letter["error"], letter["size"]) == ("TOO_LARGE", len(value))
    assert letter["value"] == value[: 64 * 1024]


def test_the_worker_goes_on_after_bad_input(worker: str) -> None:
    produce_raw(worker, "demo-bookings", b"resilient", b"garbage")
    publish(worker, line("demo-bookings", "resilient", START, booking_id="b-3", status="BOOKED"))
    eventually(lambda: records_of(worker, "sql-events", "resilient"), "the worker stopped at a bad record")


def test_what_the_worker_counts_is_what_happened(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        address = broker.bootstrap
        with running_worker(address, tmp_path / "log", "--metrics-port", str(port)):
            publish(
                address,
                line("page-views", "counted", START, url="https://example.com/pricing", event_id="one"),
                line("page-views", "counted", START, url="https://example.com/pricing", event_id="one"),
                line("demo-bookings", "counted", START + 1, booking_id="b", status="BOOKED"),
            )
            produce_raw(address, "page-views", b"counted", b"garbage")
            wanted = [
                'leads_records_consumed_total{topic="page-views"} 3.0',
                'leads_ignored_total{reason="duplicate"} 1.0',
                'leads_dead_letters_total{reason="UNDECODABLE",topic="page-views"} 1.0',
                'leads_qualifications_total{channel="direct",route="SALES",stage="SQL"} 1.0',
                'leads_transitions_total{cause="QUALIFIED",from_stage="visitor",to_stage="sql"} 1.0',
            ]

            def counted() -> bool:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    text = answer.read().decode()
                return all(one in text for one in wanted)

            eventually(counted, f"the metrics never showed {wanted}")


def test_a_killed_worker_goes_on_where_it_was_and_repeats_nothing(tmp_path: Path) -> None:
    lead = "patient"
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        address = broker.bootstrap
        with running_worker(address, tmp_path / "first") as process:
            publish(
                address,
                line("lead-profiles", lead, START, **PROFILE),
                line("downloads", lead, START + 1, asset_id="prices", funnel_stage="BOTTOM"),
            )
            eventually(lambda: records_of(address, "mql-events", lead), "no MQL event")
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        publish(address, line("demo-bookings", lead, START + 3, booking_id="b", status="BOOKED"))
        with running_worker(address, tmp_path / "second"):
            eventually(lambda: records_of(address, "sql-events", lead), "no SQL event")
            assert len(records_of(address, "mql-events", lead)) == 1
            (sql,) = records_of(address, "sql-events", lead)
            assert (sql["previous_stage"], sql["sequence"]) == ("mql", 4)
            assert verify_receipt(sql) == []


@pytest.mark.parametrize("running_first", [False, True], ids=["an import", "published to a running worker"])
def test_the_worker_and_the_backtest_say_the_same_of_the_same_events(running_first: bool, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join(_histories()) + "\n")
    foreseen = tmp_path / "foreseen.jsonl"
    done = leadstream("backtest", str(events), "--events", str(foreseen))
    assert done.returncode == 0, done.stderr
    expected = {json.loads(one)["event"]["event_id"] for one in foreseen.read_text().splitlines()}
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        address = broker.bootstrap
        if running_first:
            with running_worker(address, tmp_path / "log"):
                _publish_in_turn(address, _histories())
                _expect(address, expected)
        else:
            assert leadstream("topics", "--bootstrap", address).returncode == 0
            publish(address, *_histories())
            with running_worker(address, tmp_path / "log"):
                _expect(address, expected)


def _publish_in_turn(address: str, lines: Iterable[str]) -> None:
    """Each when the one before is there: what a running worker reads of history is as ordered as it arrives."""
    producer, codec = Producer({**producer_config(address), "linger.ms": 0}), Codec()
    for one in lines:
        parsed = parse_line(one.encode())
        assert isinstance(parsed, Line), parsed
        producer.produce(parsed.topic, codec.encode(parsed.topic, parsed.event), parsed.event["lead_id"])
        assert producer.flush(30) == 0


OUTPUTS = ("mql-events", "sql-events", "lifecycle-events")


def _expect(address: str, expected: set[str]) -> None:
    def ids() -> list[str]:
        return [record["event_id"] for pairs in read_all(address, *OUTPUTS).values() for _, record in pairs if record]

    # Time passes on a partition's own stream; what is due there after its last event is not foreseen by a worker yet.
    eventually(lambda: len(ids()) >= 0.9 * len(expected), "the worker said far less than the backtest")
    found = ids()
    assert len(found) == len(set(found)), "an event came twice"
    assert set(found) <= expected


def _histories() -> list[str]:
    """Sixty leads over thirty days, in time order: visits, downloads, a profile, some bookings, some answers."""
    lines: list[tuple[int, str]] = []
    for number in range(60):
        lead = f"lead-{number}"
        begin = START + number * DAY // 7
        title = ("Director of Sales", "Head of IT", "Student", "Engineer")[number % 4]
        steps = [
            (0, "page-views", {"url": "https://example.com/"}),
            (600_000, "lead-profiles", {**PROFILE, "job_title": title}),
            (900_000, "page-views", {"url": "https://example.com/pricing"}),
            (DAY, "page-views", {"url": "https://example.com/pricing"}),
            (2 * DAY, "downloads", {"asset_id": "guide", "funnel_stage": ("TOP", "BOTTOM")[number % 2]}),
        ]
        if number % 3 == 0:
            steps.append((3 * DAY, "demo-bookings", {"booking_id": "b", "status": "BOOKED"}))
        if number % 6 == 0:
            steps.append((4 * DAY, "sales-feedback", {"disposition": "REJECTED", "reason": "no_budget"}))
        lines += [(begin + after, line(topic, lead, begin + after, **fields)) for after, topic, fields in steps]
    return [text for _, text in sorted(lines)]


def test_a_broken_model_file_is_refused_before_anything_starts(address: str, tmp_path: Path) -> None:
    model = tmp_path / "model.yaml"
    model.write_text("model: broken\ngroups: {web: {half_life: soon}}\n")
    done = leadstream("worker", "--bootstrap", address, "--model", str(model))
    assert done.returncode == 2
    assert "model.yaml:2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_starts_without_a_broker_lives_says_so_once_and_goes_on_when_there_is_one(tmp_path: Path) -> None:
    port, probes = free_port(), free_port()
    log = tmp_path / "worker.log"
    options = ("--bootstrap", f"127.0.0.1:{port}", "--metrics-port", str(probes))

    def probe(name: str) -> int:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{probes}/health/{name}", timeout=5).status_code
        return 0

    with running(log, "worker", *options) as process:
        eventually(lambda: "waiting: No Kafka broker answers" in log.read_text(), "it does not say what it waits for")
        assert [probe(name) for name in ("live", "started", "ready")] == [200, 503, 503]
        with EmbeddedBroker(tmp_path / "kafka", port):
            eventually(lambda: probe("ready") == 200, "it does not go on")
            process.terminate()
            assert process.wait(60) == 0
    assert log.read_text().count("No Kafka broker answers") == 1


def test_a_worker_that_waits_for_a_broker_ends_when_it_is_told_to(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with running(log, "worker", "--bootstrap", "127.0.0.1:9") as process:
        eventually(lambda: "waiting: No Kafka broker answers at 127.0.0.1:9" in log.read_text(), "it does not wait")
        process.terminate()
        assert process.wait(30) == 0
    assert "Traceback" not in log.read_text()


def test_a_taken_metrics_port_is_named(address: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = leadstream("worker", "--bootstrap", address, "--metrics-port", port)
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lead_on_a_partition_that_is_not_its_own_is_warned_of(tmp_path: Path) -> None:
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        address = broker.bootstrap
        assert leadstream("topics", "--bootstrap", address).returncode == 0
        elsewhere = (partition_of(b"astray", 12) + 1) % 12
        produce_raw(address, "page-views", b"astray", page_view(lead_id="astray"), elsewhere)
        log = tmp_path / "log"
        with running_worker(address, log):
            eventually(lambda: "murmur2" in log.read_text(), "no warning of a stray lead")
