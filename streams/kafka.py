"""How leadstream's clients reach Kafka, and the topics it needs there."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.errors import LeadstreamError, UsageError
from streams.topics import DEFAULT_PARTITIONS, TOPICS, Topic, changelog_topic

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, ClusterMetadata

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"
DEFAULT_APP = "leadstream"
_ADMIN_SECONDS = 15.0
#: A name or an address; what it may not hold is what makes an URL or a slip of the keyboard.
_HOST = re.compile(r"[\w.-]{1,253}|\[?[0-9A-Fa-f:.]+(%\w+)?\]?")
#: A busy single machine takes this long to open the logs of a few hundred new partitions.
_SERVED_SECONDS = 60.0

#: librdkafka writes to stderr unless it is given a logger; ours is quiet until someone attaches a handler.
_librdkafka_log = logging.getLogger("leadstream.librdkafka")
_librdkafka_log.addHandler(logging.NullHandler())
_librdkafka_log.propagate = False


class BadBootstrap(UsageError):
    """`--bootstrap` is not a list of HOST:PORT."""


class BrokerUnreachable(LeadstreamError):
    """No Kafka broker answers at the address that was given."""


class TopicsMissing(LeadstreamError):
    """A topic that is needed doesn't exist."""


class TopicsFailed(LeadstreamError):
    """Kafka refused to create or change a topic."""


def bootstrap_from_environment() -> str:
    """`LEADSTREAM_BOOTSTRAP`, else 127.0.0.1:9092."""
    return os.environ.get("LEADSTREAM_BOOTSTRAP") or DEFAULT_BOOTSTRAP


def client_config(bootstrap: str) -> dict[str, Any]:
    """What every confluent-kafka client of ours is made with."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "leadstream",
        "logger": _librdkafka_log,
        "reconnect.backoff.max.ms": 2_000,
    }


def producer_config(bootstrap: str) -> dict[str, Any]:
    """For producers of keyed records: the Java client's partitions, nothing lost or doubled by retries."""
    return {
        **client_config(bootstrap),
        "partitioner": "murmur2_random",  # librdkafka's own default is CRC32: leads would land elsewhere
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "lz4",
    }


def reader_config(bootstrap: str) -> dict[str, Any]:
    """For consumers assigned by hand: committed records only, no group, no offsets kept."""
    return {
        **client_config(bootstrap),
        "group.id": "leadstream-reader",  # demanded by the library; never joined
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",  # only when what was asked for has been deleted meanwhile
        "enable.partition.eof": True,
    }


def admin_client(bootstrap: str) -> AdminClient:
    """An administration client; it connects when it is first used."""
    from confluent_kafka.admin import AdminClient

    return AdminClient(client_config(bootstrap))


def require_broker(bootstrap: str, timeout: float = 3.0) -> ClusterMetadata:
    """The cluster's metadata.

    Raises BrokerUnreachable after `timeout` seconds without an answer, BadBootstrap at once.
    """
    from confluent_kafka import KafkaException

    addresses = _addresses(bootstrap)
    admin = admin_client(bootstrap)
    deadline = time.monotonic() + timeout
    while True:
        try:
            return admin.list_topics(timeout=max(0.1, min(1.0, deadline - time.monotonic())))
        except KafkaException as error:
            if time.monotonic() < deadline:
                continue
            reason = _why_not(addresses) or f"something listens there, but: {error.args[0].str()}"
            raise BrokerUnreachable(
                f"No Kafka broker answers at {bootstrap} ({reason}). Start one with `leadstream broker`, "
                "or name another with --bootstrap HOST:PORT or LEADSTREAM_BOOTSTRAP."
            ) from None


def require_topics(bootstrap: str, names: Iterable[str]) -> ClusterMetadata:
    """The cluster's metadata, in which all of `names` are. Raises TopicsMissing, and as `require_broker`."""
    metadata = require_broker(bootstrap)
    if missing := [name for name in names if name not in metadata.topics]:
        raise TopicsMissing(
            f"No topic {', '.join(missing)} at {bootstrap}. "
            "Create leadstream's topics with `leadstream topics`, or correct the name or --bootstrap."
        )
    return metadata


def _addresses(bootstrap: str) -> list[tuple[str, int]]:
    addresses = []
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not _HOST.fullmatch(host) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise BadBootstrap(
                f"--bootstrap: {address.strip()!r} is not HOST:PORT. "
                "Give one address, or several with commas, such as 127.0.0.1:9092."
            )
        addresses.append((host.strip("[]"), int(port)))
    return addresses


def _why_not(addresses: list[tuple[str, int]]) -> str | None:
    """What a plain connection says is wrong; None if it opens."""
    reason = None
    for address in addresses:
        try:
            with socket.create_connection(address, timeout=1.0):
                return None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
        except UnicodeError:
            reason = "no such host name"
    return reason


@dataclass(frozen=True, slots=True)
class Drift:
    """A way in which a topic differs from the topic table."""

    topic: str
    setting: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.found}, should be {self.wanted}"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `ensure_topics` found and did. `mended` were put right; `drift` can't be."""

    partitions: int
    created: tuple[str, ...] = ()
    mended: tuple[Drift, ...] = ()
    drift: tuple[Drift, ...] = ()


def ensure_topics(
    bootstrap: str, partitions: int | None = None, app_id: str = DEFAULT_APP, also: Iterable[Topic] = ()
) -> TopicReport:
    """Create the topics that are missing and put the settings of the others right.

    Without `partitions`, new topics get as many as the existing ones have, or 12. A topic with another number
    of partitions is left alone and reported as drift: more partitions would part leads from their state.
    Raises BrokerUnreachable and TopicsFailed.
    """
    wanted = [*TOPICS.values(), changelog_topic(app_id), *also]
    existing = {name: len(topic.partitions) for name, topic in require_broker(bootstrap).topics.items()}
    here = [topic for topic in wanted if topic.name in existing]
    if partitions is None:
        partitions = existing[here[0].name] if here else DEFAULT_PARTITIONS
    admin = admin_client(bootstrap)
    missing = [topic for topic in wanted if topic.name not in existing]
    _create(admin, missing, partitions)
    return TopicReport(
        partitions,
        created=tuple(topic.name for topic in missing),
        mended=tuple(_mend(admin, here)),
        drift=tuple(
            Drift(topic.name, "number of partitions", str(existing[topic.name]), str(partitions))
            for topic in here
            if existing[topic.name] != partitions
        ),
    )


def _create(admin: AdminClient, topics: list[Topic], partitions: int) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    if not topics:
        return
    # No replication factor: the cluster's default is 1 on the embedded broker and should be 3 in production.
    new = [NewTopic(topic.name, partitions, config=topic.config) for topic in topics]
    for name, outcome in admin.create_topics(new, request_timeout=_ADMIN_SECONDS).items():
        try:
            outcome.result()
        except KafkaException as error:
            # Another worker that starts at the same time may have been faster.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicsFailed(f"Kafka did not create topic {name}: {error.args[0].str()}.") from None
    _await_served(admin, topics, partitions)


def _await_served(admin: AdminClient, topics: Iterable[Topic], partitions: int) -> None:
    """Wait until every partition is served: before that, reads and writes fail with confusing errors.

    Metadata names a leader before the leader itself knows; only an answer about its log says that it serves.
    """
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    waiting = [TopicPartition(topic.name, number) for topic in topics for number in range(partitions)]
    deadline = time.monotonic() + _SERVED_SECONDS
    while waiting:
        if time.monotonic() > deadline:
            names = ", ".join(sorted({one.topic for one in waiting}))
            raise TopicsFailed(f"Kafka created {names}, but does not serve all their partitions yet. Try again.")
        answers = admin.list_offsets(dict.fromkeys(waiting, OffsetSpec.latest()), request_timeout=_ADMIN_SECONDS)
        waiting = []
        for partition, answer in answers.items():
            try:
                answer.result()
            except KafkaException:
                waiting.append(partition)
        if waiting:
            time.sleep(0.1)


def _mend(admin: AdminClient, topics: Iterable[Topic]) -> list[Drift]:
    """Set what differs from the topic table; settings it doesn't name, and a shorter retention, are the operator's."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    by_name = {topic.name: topic for topic in topics}
    if not by_name:
        return []
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in by_name]
    found: list[Drift] = []
    changes: dict[str, list[ConfigEntry]] = {}
    try:
        for resource, outcome in admin.describe_configs(resources, request_timeout=_ADMIN_SECONDS).items():
            current = outcome.result()
            for setting, value in by_name[resource.name].config.items():
                has = current[setting].value if setting in current else "unknown to this broker"
                if has != value and not _is_kept_shorter(setting, str(has), value):
                    found.append(Drift(resource.name, setting, str(has), value))
                    changes.setdefault(resource.name, []).append(
                        ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
                    )
        altered = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name, entries in changes.items()
        ]
        if altered:
            for outcome in admin.incremental_alter_configs(altered, request_timeout=_ADMIN_SECONDS).values():
                outcome.result()
    except KafkaException as error:
        raise TopicsFailed(f"Kafka did not let us compare or change topics: {error.args[0].str()}.") from None
    return found


def _is_kept_shorter(setting: str, has: str, wanted: str) -> bool:
    """Whether somebody keeps less than we do: how long what people did may be kept is not ours to say."""
    return setting in ("retention.ms", "max.compaction.lag.ms") and has.isdigit() and int(has) < int(wanted)
