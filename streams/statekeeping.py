"""Keeping the workers' state: a backup, a move to another cluster, more partitions.

What each needs and in which order it is done by people is in deploy/operations.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.engine.seam import Progress
from streams.engine.snapshot import Origin, SnapshotFailed, export_state, import_state, read_origin, written
from streams.errors import LeadstreamError, UsageError
from streams.kafka import READER_GROUP, admin_client, client_config, ensure_topics, reader_config, require_topics
from streams.partitioning import partition_of
from streams.processing.note import Note, noted
from streams.topics import (
    SOURCE_TOPICS,
    TOPICS,
    changelog_topic,
    relay_memory_topic,
    relay_retries_topic,
)

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, ClusterMetadata

_STRAYS = "strays"
_ADMIN_SECONDS = 15.0
#: A worker with a name of its own does not leave its group when it ends: that is noticed after the session time-out.
_GONE_SECONDS = 15.0
_DELETED_SECONDS = 40.0


class Busy(LeadstreamError):
    """Workers or relays still run, or left something undone."""


class Kept(NamedTuple):
    """What was done: keys written, and the partitions that they are spread over."""

    keys: int
    partitions: int


def take_snapshot(bootstrap: str, app_id: str, file: Path) -> Kept:
    """Write the state of the workers `app_id` to `file`. Raises SnapshotFailed and as `require_topics`."""
    metadata = require_topics(bootstrap, [changelog_topic(app_id).name])
    origin = _export(bootstrap, app_id, metadata, file)
    return Kept(origin.keys, len(origin.progress))


def put_back(bootstrap: str, app_id: str, file: Path, handled: bool = False) -> Kept:
    """Write the state in `file` to the empty changelog of `app_id`, for as many partitions as there are.

    Workers then go on behind what was applied when the snapshot was taken. On another cluster those offsets mean
    nothing: `handled` says that what is on the source topics there now is all applied.

    Raises SnapshotFailed, UsageError.
    """
    origin = read_origin(file)
    names = [changelog_topic(app_id).name, *(topic.name for topic in SOURCE_TOPICS)]
    metadata = require_topics(bootstrap, names)
    counts = {name: len(metadata.topics[name].partitions) for name in names}
    partitions = counts[names[0]]
    if set(counts.values()) != {partitions}:
        raise SnapshotFailed(f"Source topics and changelog differ in partitions ({counts}): `leadstream topics` tells.")
    if handled:
        progress = _from_here(bootstrap, origin, partitions)
    elif _cluster_of(metadata) != origin.cluster:
        raise UsageError(
            f"{file} is of another cluster, whose offsets mean nothing here. Give --handled if all that is on the "
            "input topics here was applied there; else publish the history instead (deploy/operations.md)."
        )
    else:
        progress = _from_there(bootstrap, origin, partitions)
    spread: Callable[[bytes], int] = lambda key: partition_of(key, partitions)  # noqa: E731
    keys = import_state(client_config(bootstrap), app_id, names[0], file, progress, spread)
    return Kept(keys, partitions)


def grow(bootstrap: str, app_id: str, partitions: int, file: Path) -> Kept:
    """Give every topic `partitions` partitions, and every lead's state its new place. `file` keeps the state meanwhile.

    Nothing may run. When it fails on the way, the same call goes on where it stopped. What the relay remembers of leads
    begins anew. Raises Busy, SnapshotFailed, UsageError.
    """
    changelog, memory = changelog_topic(app_id), relay_memory_topic(app_id)
    metadata = require_topics(bootstrap, [*TOPICS, changelog.name] if not file.exists() else TOPICS)
    counts = {name: len(topic.partitions) for name, topic in metadata.topics.items()}
    if max(counts[name] for name in TOPICS) > partitions:
        raise UsageError(f"There are {max(counts[name] for name in TOPICS)} partitions, and Kafka only adds some.")
    admin = admin_client(bootstrap)
    _refuse_members(admin, app_id)
    origin = read_origin(file) if file.exists() else _export(bootstrap, app_id, metadata, file)
    if origin.cluster != _cluster_of(metadata) or origin.app_id != app_id:
        raise UsageError(f"{file} is of {origin.app_id} on another cluster or of another name. Give another file.")
    _refuse_strays(bootstrap, origin)
    _one_model(origin)
    for name in (*TOPICS, relay_retries_topic(app_id).name):
        if counts.get(name, partitions) < partitions:
            _add_partitions(admin, name, partitions)
    begun = _begun(bootstrap, app_id, counts.get(changelog.name), partitions)
    for name in (changelog.name, memory.name):
        if counts.get(name, partitions) != partitions or (begun and name == changelog.name):
            _delete(admin, name)
    ensure_topics(bootstrap, partitions, app_id, (memory, relay_retries_topic(app_id)))
    return put_back(bootstrap, app_id, file)


def _begun(bootstrap: str, app_id: str, has: int | None, partitions: int) -> bool:
    """Whether an import into the new changelog was begun and not brought to its end. Raises UsageError when there is
    nothing left to do: the changelog may hold what workers have made since.
    """
    if has != partitions:
        return False
    found = written(client_config(bootstrap), READER_GROUP, changelog_topic(app_id).name, partitions)
    if len(found) == partitions:
        raise UsageError(f"There are {partitions} partitions, and all of the state is there: nothing is left to do.")
    return bool(found)


def _export(bootstrap: str, app_id: str, metadata: ClusterMetadata, file: Path) -> Origin:
    name = changelog_topic(app_id).name
    count = len(metadata.topics[name].partitions)
    return export_state(client_config(bootstrap), app_id, name, count, _cluster_of(metadata), file, READER_GROUP)


def _cluster_of(metadata: Any) -> str:
    return str(metadata.cluster_id)


def _from_there(bootstrap: str, origin: Origin, partitions: int) -> list[Progress]:
    """Go on behind what was applied; added partitions have nothing applied."""
    if partitions == len(origin.progress):
        return [known or Progress({}, None, False, partitions) for known in origin.progress]
    if partitions < len(origin.progress):
        raise SnapshotFailed(f"The snapshot has {len(origin.progress)} partitions, the topics have {partitions}.")
    _refuse_strays(bootstrap, origin)
    applied = [known.applied if known is not None else {} for known in origin.progress]
    return [
        _merged(origin, applied[number] if number < len(applied) else {}, partitions) for number in range(partitions)
    ]


def _from_here(bootstrap: str, origin: Origin, partitions: int) -> list[Progress]:
    """Go on behind what is on the source topics now."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(reader_config(bootstrap))
    try:
        progress = []
        for number in range(partitions):
            applied = {}
            for topic in SOURCE_TOPICS:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic.name, number), timeout=30.0)
                if end > 0:
                    applied[topic.name] = end - 1
            progress.append(_merged(origin, applied, partitions))
    finally:
        consumer.close()
    return progress


def _merged(origin: Origin, applied: dict[str, int], partitions: int) -> Progress:
    """The progress of a partition to which leads of any other may have come: no clock goes back."""
    known = [one for one in origin.progress if one is not None]
    times = [one.stream_time for one in known if one.stream_time is not None]
    return Progress(
        applied,
        max(times, default=None),
        any(one.live for one in known),
        partitions,
        _one_model(origin),
        any(one.waking for one in known),
        None,
    )


def _one_model(origin: Origin) -> bytes:
    """A note for leads of every partition: all changes of models that one of them may still wait for. Raises Busy when
    there are several models.
    """
    notes = [note for one in origin.progress if one is not None and (note := noted(one.note)) is not None]
    if not notes:
        return b""
    if len({note.current.model for note in notes}) > 1:
        raise Busy("The workers were stopped in the middle of a change of models: start them, and wait a minute.")
    changes = {change.identity: change for note in notes for change in note.changes}
    return Note(tuple(sorted(changes.values(), key=lambda change: change.since))).packed()


def _refuse_members(admin: AdminClient, app_id: str) -> None:
    from confluent_kafka import ConsumerGroupState

    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        groups = admin.list_consumer_groups(request_timeout=_ADMIN_SECONDS).result().valid or []
        running = [
            group.group_id
            for group in groups
            if (group.group_id == app_id or group.group_id.startswith(f"{app_id}-relay-"))
            and group.state not in (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
        ]
        if not running:
            return
        if time.monotonic() > deadline:
            raise Busy(f"Somebody still reads as {', '.join(sorted(running))}: stop the workers and relays first.")
        time.sleep(0.5)


def _refuse_strays(bootstrap: str, origin: Origin) -> None:
    """Strays are addressed to partitions: those that wait would find nobody there."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer(reader_config(bootstrap))
    try:
        consumer.assign(
            [
                TopicPartition(_STRAYS, number, known.applied.get(_STRAYS, -1) + 1 if known is not None else 0)
                for number, known in enumerate(origin.progress)
            ]
        )
        left = set(range(len(origin.progress)))
        while left:
            for message in consumer.consume(100, 0.1):
                error = message.error()
                if error is None:
                    raise Busy(
                        "Workers left strays behind. Start them, wait until nothing is behind "
                        "(leads_consumer_lag_records), stop them, remove the file and begin again."
                    )
                if error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
                elif not error.retriable():
                    raise SnapshotFailed(f"{_STRAYS} can't be read: {error.str()}.")
    finally:
        consumer.close()


def _add_partitions(admin: AdminClient, name: str, partitions: int) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import NewPartitions

    (answer,) = admin.create_partitions([NewPartitions(name, partitions)], request_timeout=_ADMIN_SECONDS).values()
    try:
        answer.result()
    except KafkaException as error:
        raise SnapshotFailed(f"Kafka did not add partitions to {name}: {error.args[0].str()}.") from None


def _delete(admin: AdminClient, name: str) -> None:
    from confluent_kafka import KafkaException

    (answer,) = admin.delete_topics([name], request_timeout=_ADMIN_SECONDS).values()
    try:
        answer.result()
    except KafkaException as error:
        raise SnapshotFailed(f"Kafka did not delete {name}: {error.args[0].str()}.") from None
    deadline = time.monotonic() + _DELETED_SECONDS
    while name in admin.list_topics(timeout=_ADMIN_SECONDS).topics:
        if time.monotonic() > deadline:
            raise SnapshotFailed(f"Kafka has not deleted {name} yet. Try again.")
        time.sleep(0.2)
