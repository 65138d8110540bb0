"""`leadstream tail`: records of topics as lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import DEFAULT_BOOTSTRAP, Bootstrap, SchemaRegistry
from streams.errors import LeadstreamError, UsageError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message
    from confluent_kafka.admin import ClusterMetadata

_BATCH = 1000


class UnknownTopic(UsageError):
    """A topic whose records leadstream can't read."""


class TailFailed(LeadstreamError):
    """Kafka refused to let a topic be read."""


def register(app: typer.Typer) -> None:
    app.command("tail")(tail)


def tail(
    topics: Annotated[list[str], typer.Argument(metavar="TOPIC...", help="Topics to read, all partitions.")],
    json: Annotated[bool, typer.Option("--json", help="JSON lines, as `publish` reads them.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="From the oldest record, not from now on.")
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at what was the end when the command started.")
    ] = False,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Show the records of topics as they come; Ctrl-C ends it.

    Reads committed records only and leaves no trace: no consumer group, no offsets.

    Examples:

        leadstream tail mql-events sql-events

        leadstream tail sql-events --json --from-beginning --until-end > sql-events.jsonl
    """
    import msgspec

    from streams.cli.summary import one_line
    from streams.kafka import require_topics
    from streams.topics import TOPICS
    from streams.wire.bad import BadRecord
    from streams.wire.codec import Codec
    from streams.wire.jsonlines import render_line

    names = list(dict.fromkeys(topics))
    metadata = require_topics(bootstrap, names)
    if strangers := [name for name in names if name not in TOPICS]:
        raise UnknownTopic(f"Can't read {', '.join(strangers)}; these can be read: {', '.join(TOPICS)}.")
    codec = Codec(schema_registry)

    def line(message: Message) -> bytes | None:
        (topic, partition), offset = _place(message)
        key = message.key()
        event = codec.decode(topic, message.value()) if message.value() is not None else None
        if isinstance(event, BadRecord):
            where = f"{topic}, partition {partition}, offset {offset}"
            print(f"{where}: {event.error}: {event.detail}", file=sys.stderr)
            return None
        shown_key = key.decode(errors="replace") if key is not None else None
        if json:
            place = {"partition": partition, "offset": offset, "key": shown_key}
            if event is None:  # a tombstone on a compacted topic
                return msgspec.json.encode({"topic": topic, **place, "event": None})
            return render_line(topic, event, **place)
        return one_line(topic, shown_key, event).encode()

    reader = _Reader(bootstrap, metadata, names, from_beginning)
    try:
        for batch in reader.batches(until_end):
            lines = [text.rstrip(b"\n") for message in batch if (text := line(message)) is not None]
            if lines:
                sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does. Python would flush into the pipe once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        reader.close()


class _Reader:
    """Reads all partitions of some topics from their present end or their beginning."""

    def __init__(self, bootstrap: str, metadata: ClusterMetadata, names: list[str], from_beginning: bool) -> None:
        from confluent_kafka import Consumer, TopicPartition
        from confluent_kafka.admin import OffsetSpec

        from streams.kafka import reader_config

        partitions = [
            TopicPartition(name, partition) for name in names for partition in metadata.topics[name].partitions
        ]
        self._bootstrap = bootstrap
        self._silent = False
        self._ends = self._offsets(partitions, OffsetSpec.latest())
        starts = self._offsets(partitions, OffsetSpec.earliest()) if from_beginning else self._ends
        self._starts = starts
        self._consumer: Consumer = Consumer({**reader_config(bootstrap), "error_cb": self._on_error})
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])

    def batches(self, until_end: bool) -> Iterator[list[Message]]:
        """Lists of messages, for ever or until every partition has come to the end it had at first."""
        from confluent_kafka import KafkaError

        left = {place for place, end in self._ends.items() if self._starts[place] < end}
        while left or not until_end:
            batch = []
            for message in self._consumer.consume(_BATCH, 0.2):
                error = message.error()
                if error is not None and message.topic() is None:  # of the client's, not of a partition's
                    if not error.retriable():
                        raise TailFailed(f"Can't read: {error.str()}.")
                    continue
                place, offset = _place(message)
                if error is None:
                    self._silent = False
                    if not until_end or offset < self._ends[place]:
                        batch.append(message)
                    if offset >= self._ends[place] - 1:
                        left.discard(place)
                elif error.code() == KafkaError._PARTITION_EOF:
                    # The last record may be a transaction's marker, which is no message: only this tells.
                    if offset >= self._ends[place]:
                        left.discard(place)
                elif not error.retriable():
                    raise TailFailed(f"Can't read {place[0]}, partition {place[1]}: {error.str()}.")
            if batch:
                yield batch

    def close(self) -> None:
        self._consumer.close()

    def _offsets(self, partitions: list[Any], which: Any) -> dict[tuple[str, int], int]:
        """Offsets of committed records only: an open transaction's records are beyond the end."""
        from confluent_kafka import IsolationLevel, KafkaException

        from streams.kafka import admin_client

        admin = admin_client(self._bootstrap)  # named: answers only come while the client lives
        try:
            answers = admin.list_offsets(
                dict.fromkeys(partitions, which),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=15,
            )
            offsets = {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}
        except KafkaException as error:
            raise TailFailed(f"Kafka does not tell the offsets to read from: {error.args[0].str()}.") from None
        # A request that ran out of time has a result all the same, which is no offset.
        if any(offset < 0 for offset in offsets.values()):
            raise TailFailed(
                f"Kafka at {self._bootstrap} does not tell the offsets to read from within 15 s. Try again."
            )
        return offsets

    def _on_error(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._ALL_BROKERS_DOWN and not self._silent:
            self._silent = True
            print(f"leadstream: no broker answers at {self._bootstrap}; waiting for one", file=sys.stderr)


def _place(message: Message) -> tuple[tuple[str, int], int]:
    """((topic, partition), offset). The library's types allow for messages that are still to be sent."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return (topic, partition), offset
