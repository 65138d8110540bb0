"""How leadstream's clients reach Kafka, and the topics it needs there."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from streams.errors import LeadstreamError, UsageError
from streams.provisioning import Drift, Replication, TopicReport, compare, create, mend, outlived, shapes
from streams.security import login
from streams.topics import DEFAULT_PARTITIONS, TOPICS, Topic, changelog_topic

if TYPE_CHECKING:
    from confluent_kafka import KafkaError
    from confluent_kafka.admin import AdminClient, ClusterMetadata

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"
DEFAULT_APP = "leadstream"
#: The library demands a group, and asks for its coordinator; it is never joined.
READER_GROUP = "leadstream-reader"
AS_IT_IS = Replication()
#: A name or an address; what it may not hold is what makes an URL or a slip of the keyboard.
_HOST = re.compile(r"[\w.-]{1,253}|\[?[0-9A-Fa-f:.]+(%\w+)?\]?")

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


class LoginRefused(LeadstreamError):
    """Kafka does not believe who this client says it is, or the client does not believe Kafka."""


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
        **login().librdkafka(),
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
        "group.id": READER_GROUP,
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

    Raises BrokerUnreachable after `timeout` seconds without an answer, BadBootstrap and LoginRefused at once.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    refusals: list[KafkaError] = []

    def heard(error: KafkaError) -> None:
        # That Kafka wants a certificate comes as an alert in the middle of a connection that seems to stand.
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL) or "SSL alert" in error.str():
            refusals.append(error)

    addresses = _addresses(bootstrap)
    config = client_config(bootstrap)
    config["error_cb"] = heard
    admin = AdminClient(config)
    deadline = time.monotonic() + timeout
    while True:
        try:
            return admin.list_topics(timeout=max(0.1, min(1.0, deadline - time.monotonic())))
        except KafkaException as error:
            admin.poll(0)
            if refusals:
                raise LoginRefused(_refusal(bootstrap, refusals[0])) from None
            if time.monotonic() < deadline:
                continue
            reason = _why_not(addresses) or f"something listens there, but: {error.args[0].str()}"
            raise BrokerUnreachable(
                f"No Kafka broker answers at {bootstrap} ({reason}). Start one with `leadstream broker`, "
                "or name another with --bootstrap HOST:PORT or LEADSTREAM_BOOTSTRAP."
            ) from None


def _refusal(bootstrap: str, error: KafkaError) -> str:
    from confluent_kafka import KafkaError

    how = login().speaks
    if error.code() != KafkaError._AUTHENTICATION:
        return (
            f"No secure connection to {bootstrap}: {error.str()}. Check that Kafka speaks {how} there, that --ssl-ca "
            "is its authority, that its certificate has not expired and holds the name of the address, and --ssl-cert "
            "if it asks for one."
        )
    return (
        f"Kafka at {bootstrap} refused the login: {error.str()}. Check --sasl-username, the password, --sasl-mechanism "
        f"and --security-protocol (now {how})."
    )


def require_topics(bootstrap: str, names: Iterable[str]) -> ClusterMetadata:
    """The cluster's metadata, in which all of `names` are. Raises TopicsMissing, and as `require_broker`."""
    metadata = require_broker(bootstrap)
    if missing := [name for name in names if name not in metadata.topics]:
        # To whom Kafka allows nothing with a topic, it is as if there were none.
        hidden = "" if login().speaks == "PLAINTEXT" else ", or nothing with it is allowed to this user"
        raise TopicsMissing(
            f"No topic {', '.join(missing)} at {bootstrap}{hidden}. "
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


def ensure_topics(
    bootstrap: str,
    partitions: int | None = None,
    app_id: str = DEFAULT_APP,
    also: Iterable[Topic] = (),
    *,
    topics: Iterable[Topic] | None = None,
    replication: Replication = AS_IT_IS,
    change: bool = True,
    shorten: bool = False,
) -> TopicReport:
    """Create the topics that are missing and put the settings of the others right; without `change` just look. A
    retention that is longer than the table's is left, and reported, unless we are to `shorten` it.

    `topics` are by default all of the topic table and the workers' changelog. Without `partitions`, new topics get as
    many as the existing ones have, or 12. A topic with another number of partitions is left alone and reported as
    drift: more partitions would part leads from their state. So is a replication factor, which no client can change.
    A client that may not see or change settings reports that. Raises BrokerUnreachable, LoginRefused and TopicsFailed.
    """
    table = (*TOPICS.values(), changelog_topic(app_id)) if topics is None else topics
    wanted = [replication.of(topic) for topic in (*table, *also)]
    existing = require_broker(bootstrap).topics
    here = [topic for topic in wanted if topic.name in existing]
    missing = [topic for topic in wanted if topic.name not in existing]
    if partitions is None:
        partitions = len(existing[here[0].name].partitions) if here else DEFAULT_PARTITIONS
    admin = admin_client(bootstrap)
    drift = shapes(here, existing, partitions, replication.factor)
    found = compare(admin, here)
    differing, longer = (found.drift + found.longer, []) if shorten else (found.drift, found.longer)
    shortened = {one.topic: int(one.wanted) for one in found.longer if shorten}
    drift += outlived(wanted, {**found.kept, **shortened})
    if change:
        create(admin, missing, partitions, replication)
    else:
        drift = [*(Drift(topic.name, "topic", "missing", "there") for topic in missing), *drift]
    mended = change and differing and mend(admin, differing)
    return TopicReport(
        partitions,
        created=tuple(topic.name for topic in missing) if change else (),
        mended=tuple(differing) if mended else (),
        drift=tuple(drift if mended else [*drift, *differing]),
        longer=tuple(longer),
        uncompared=tuple(found.unseen),
    )
