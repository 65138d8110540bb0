"""Making topics what the topic table says, as far as the cluster and this client's rights allow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.errors import LeadstreamError
from streams.topics import Topic

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, ConfigResource

_ADMIN_SECONDS = 15.0
#: A busy single machine takes this long to open the logs of a few hundred new partitions.
_SERVED_SECONDS = 60.0
#: What a drift of it is called.
RETENTION_OF_ERASURES = "retention"


class TopicsFailed(LeadstreamError):
    """Kafka refused to create, compare or change a topic."""


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
    """What was found and done. `mended` were put right; `drift` was not, since it can't be, we may not, or were told to
    change nothing. `longer` are topics that somebody keeps for longer than the table says, and that were left so: to
    shorten that deletes records. `uncompared`: topics whose settings we may not see.
    """

    partitions: int
    created: tuple[str, ...] = ()
    mended: tuple[Drift, ...] = ()
    drift: tuple[Drift, ...] = ()
    longer: tuple[Drift, ...] = ()
    uncompared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replication:
    """How often a topic is kept, and how many copies a write waits for. None: the cluster's default, or what it has."""

    factor: int | None = None
    min_insync: int | None = None

    def of(self, topic: Topic) -> Topic:
        """The topic with these settings among its own."""
        if self.min_insync is None:
            return topic
        return replace(topic, config={**topic.config, "min.insync.replicas": str(self.min_insync)})


def create(admin: AdminClient, topics: list[Topic], partitions: int, replication: Replication) -> None:
    """Create `topics` and wait until they are served. Raises TopicsFailed."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    if not topics:
        return
    more: dict[str, Any] = {} if replication.factor is None else {"replication_factor": replication.factor}
    new = [NewTopic(topic.name, partitions, config=topic.config, **more) for topic in topics]
    for name, outcome in admin.create_topics(new, request_timeout=_ADMIN_SECONDS).items():
        try:
            outcome.result()
        except KafkaException as error:
            cause = error.args[0]
            # Another worker that starts at the same time may have been faster.
            if cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            if is_denied(cause):
                raise TopicsFailed(
                    f"This client does not see a topic {name} and may not create it. Let somebody run `leadstream "
                    "topics` who may; if the topic is there, this client lacks its rights (`leadstream topics --acls`)."
                ) from None
            raise TopicsFailed(f"Kafka did not create topic {name}: {cause.str()}.") from None
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
                served = answer.result().offset >= 0  # it is negative when the request ran out of time
            except KafkaException:
                served = False
            if not served:
                waiting.append(partition)
        if waiting:
            time.sleep(0.1)


class Comparison(NamedTuple):
    """`drift` are settings that differ from the topic table, `longer` those that keep records for longer than it says,
    `unseen` topics whose settings we may not see, `kept` how long each topic is kept, in ms, -1 for ever.
    """

    drift: list[Drift]
    longer: list[Drift]
    unseen: list[str]
    kept: dict[str, int]


def compare(admin: AdminClient, topics: Iterable[Topic]) -> Comparison:
    """The settings of topics that are there, beside the table's.

    Settings that the table doesn't name, and a shorter retention, are the operator's. A longer one is too, until we are
    asked to shorten it: that deletes. Raises TopicsFailed.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType

    by_name = {topic.name: topic for topic in topics}
    comparison = Comparison([], [], [], {})
    if not by_name:
        return comparison
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in by_name]
    for resource, outcome in admin.describe_configs(resources, request_timeout=_ADMIN_SECONDS).items():
        try:
            current = outcome.result()
        except KafkaException as error:
            if not is_denied(error.args[0]):
                raise TopicsFailed(f"Kafka did not let us compare topics: {error.args[0].str()}.") from None
            comparison.unseen.append(resource.name)
            continue
        comparison.kept[resource.name] = int(current["retention.ms"].value)
        for setting, value in by_name[resource.name].config.items():
            has = str(current[setting].value) if setting in current else "unknown to this broker"
            if has == value or _is_kept_shorter(setting, has, value):
                continue
            differs = comparison.longer if _is_kept_longer(setting, has, value) else comparison.drift
            differs.append(Drift(resource.name, setting, has, value))
    return comparison


def mend(admin: AdminClient, drift: Iterable[Drift]) -> bool:
    """Set what differs; whether we may. Raises TopicsFailed."""
    from confluent_kafka import KafkaException

    try:
        for outcome in admin.incremental_alter_configs(_changes(drift), request_timeout=_ADMIN_SECONDS).values():
            outcome.result()
    except KafkaException as error:
        if is_denied(error.args[0]):
            return False
        raise TopicsFailed(f"Kafka did not let us change topics: {error.args[0].str()}.") from None
    return True


def _changes(drift: Iterable[Drift]) -> list[ConfigResource]:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    changes: dict[str, list[ConfigEntry]] = {}
    for one in drift:
        entry = ConfigEntry(one.setting, one.wanted, incremental_operation=AlterConfigOpType.SET)
        changes.setdefault(one.topic, []).append(entry)
    return [ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name, entries in changes.items()]


def shapes(topics: Iterable[Topic], metadata: Mapping[str, Any], partitions: int, factor: int | None) -> list[Drift]:
    """Numbers of partitions and copies that differ from what is wanted; `metadata` as the cluster gives it."""
    drift = []
    for topic in topics:
        placed = metadata[topic.name].partitions
        if len(placed) != partitions:
            drift.append(Drift(topic.name, "number of partitions", str(len(placed)), str(partitions)))
        copies = {len(one.replicas) for one in placed.values()}
        if factor is not None and copies != {factor}:
            drift.append(Drift(topic.name, "replication factor", " to ".join(map(str, sorted(copies))), str(factor)))
    return drift


def outlived(topics: Iterable[Topic], kept: Mapping[str, int]) -> list[Drift]:
    """Whether erasures are forgotten before what they erase: a replay would then bring erased leads back. `kept` as
    compared; a topic that is not in it is kept as the table says.
    """

    def lasts(topic: Topic) -> float:
        found = kept.get(topic.name, int(topic.config["retention.ms"]))
        return float("inf") if found < 0 else found

    def said(lasting: float) -> str:
        return "for ever" if lasting == float("inf") else f"{lasting:.0f} ms"

    inputs = {topic.name: lasts(topic) for topic in topics if topic.role == "input"}
    if "erasures" not in inputs or inputs["erasures"] >= max(inputs.values()):
        return []
    name = max(inputs, key=inputs.__getitem__)
    wanted = f"at least {said(inputs[name])}, as {name}"
    return [Drift("erasures", RETENTION_OF_ERASURES, said(inputs["erasures"]), wanted)]


def is_denied(error: Any) -> bool:
    """Whether Kafka says that this client has no right to it."""
    from confluent_kafka import KafkaError

    return error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)


def _is_kept_shorter(setting: str, has: str, wanted: str) -> bool:
    """Whether somebody keeps less than we do: how long what people did may be kept is not ours to say."""
    return setting in ("retention.ms", "max.compaction.lag.ms") and has.isdigit() and int(has) < int(wanted)


def _is_kept_longer(setting: str, has: str, wanted: str) -> bool:
    """Whether somebody keeps records for longer than we do. -1 is for ever."""
    return setting == "retention.ms" and (has == "-1" or (has.isdigit() and int(has) > int(wanted)))
