"""A relay as a process, with its targets file and secrets, and records as the worker would write them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from streams.kafka import client_config, producer_config, require_topics
from streams.relay.settings import TOPICS
from tests.kafka_topics import CODEC, records_of
from tests.processes import LEADSTREAM, await_ready, running_program
from tests.relay_records import topic_of

#: A Standard Webhooks secret that is nobody's.
SECRET = "whsec_c2VjcmV0LW9mLWEtdGVzdC10aGF0LWlzLW5vYm9keXM="
#: What must never be seen in a log or dead letter.
SECRETS = {
    "WEBHOOK_SECRET": SECRET,
    "FEEDBACK_SECRET": "whsec_ZmVlZGJhY2stc2VjcmV0LW9mLWEtdGVzdA==",
    "HUBSPOT_TOKEN": "pat-test",
    "HUBSPOT_SECRET": "hubspot-client-secret-of-a-test",
    "HUBSPOT_REFRESH": "hubspot-refresh-token-of-a-test",
    "SALESFORCE_SECRET": "salesforce-client-secret-of-a-test",
    "SALESFORCE_TOKEN": "salesforce-path-token-of-a-test",
}
QUICK = {
    "allow_private": True,
    "timeout": "2s",
    "max_age": None,
    "retry": {"attempts": 6, "first": "50ms", "longest": "300ms"},
    "breaker": {"failures": 3, "pause": "300ms"},
}


def webhook(url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": f"{url}/hook", "secret": {"env": "WEBHOOK_SECRET"}, **QUICK, **settings}


def hubspot(url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "hubspot", "url": url, "token": {"env": "HUBSPOT_TOKEN"}, **QUICK, **settings}


def salesforce(url: str, **settings: Any) -> dict[str, Any]:
    oauth = {"client_id": "client-1", "client_secret": {"env": "SALESFORCE_SECRET"}}
    return {"type": "salesforce", "url": url, "oauth": oauth, **QUICK, **settings}


def newcomer(bootstrap: str, app: str, *targets: str) -> str:
    """`app`, whose relays hear nothing of what is on the topics already: a test of its own on a broker of many."""
    for target in targets:
        consumer = Consumer({**client_config(bootstrap), "group.id": f"{app}-relay-{target}"})
        try:
            consumer.commit(offsets=_ends(consumer, bootstrap), asynchronous=False)
        finally:
            consumer.close()
    return app


def is_caught_up(bootstrap: str, app: str, target: str) -> bool:
    """Whether the target's group has left behind all that is on the topics."""
    consumer = Consumer({**client_config(bootstrap), "group.id": f"{app}-relay-{target}"})
    try:
        ends = _ends(consumer, bootstrap)
        committed = consumer.committed([TopicPartition(end.topic, end.partition) for end in ends], timeout=20)
        return all(max(place.offset, 0) >= end.offset for place, end in zip(committed, ends, strict=True))
    finally:
        consumer.close()


def _ends(consumer: Consumer, bootstrap: str) -> list[TopicPartition]:
    topics = require_topics(bootstrap, TOPICS).topics
    places = [TopicPartition(name, number) for name in TOPICS for number in topics[name].partitions]
    ends = [consumer.get_watermark_offsets(place, timeout=20)[1] for place in places]
    return [TopicPartition(place.topic, place.partition, end) for place, end in zip(places, ends, strict=True)]


def produce(bootstrap: str, records: Iterable[dict[str, Any]]) -> None:
    """Write output records to their topics, in order."""
    producer = Producer(producer_config(bootstrap))
    for record in records:
        topic = topic_of(record)
        producer.produce(topic, CODEC.encode(topic, record), record["lead_id"].encode())
    assert producer.flush(30) == 0


@contextmanager
def running_relay(
    bootstrap: str, folder: Path, targets: Mapping[str, Any], *arguments: str, app: str = "leadstream", **sections: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A relay that reads its topics; its output is in `folder/log`."""
    file, log = folder / "targets.yaml", folder / "log"
    file.write_text(json.dumps({"targets": dict(targets), **sections}))  # JSON is YAML
    command = [LEADSTREAM, "relay", "--bootstrap", bootstrap, "--targets", file, "--app", app, *arguments]
    log.touch()
    begins = log.stat().st_size
    with running_program(log, command, {**os.environ, **SECRETS}) as process:
        await_ready(process, lambda: "ready " in log.read_text()[begins:], log)
        yield process


def letters_of(bootstrap: str, target: str) -> list[dict[str, Any]]:
    return [one for one in records_of(bootstrap, "dead-letters") if one["consumer"] == f"relay:{target}"]
