"""`leadstream dead-letters`: what could not be used or delivered, and the way back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap, SchemaRegistry
from streams.errors import LeadstreamError, UsageError

DEAD_LETTERS = "dead-letters"
#: On a retried letter's record: which letter it was.
LETTER_HEADER = "letter"


class RetryFailed(LeadstreamError):
    """A dead letter could not be sent on its way again."""


class Letter(NamedTuple):
    """A dead letter; `id` is its own `partition:offset`."""

    id: str
    record: dict[str, Any]
    key: bytes | None
    raw: bytes


def register(app: typer.Typer) -> None:
    family = typer.Typer(no_args_is_help=True, help="What could not be used or delivered, and the way back.")
    family.command("list")(list_letters)
    family.command("retry")(retry)
    app.add_typer(family, name="dead-letters")


Consumer = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those of this consumer: worker, collector or relay:TARGET.")
]
Lead = Annotated[str | None, typer.Option(metavar="LEAD", help="Only those of this lead.")]


def list_letters(
    consumer: Consumer = None,
    lead: Lead = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, with the original bytes as base64.")] = False,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    app: App = DEFAULT_APP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Show dead letters, the newest last, with the id that `retry` takes.

    Examples:

        leadstream dead-letters list --consumer relay:crm
    """
    from streams.wire.jsonlines import render_line
    from streams.wire.times import rfc3339

    retried = _retried(bootstrap, app)
    for letter in sorted(_letters(bootstrap, schema_registry, consumer, lead), key=lambda one: one.record["seen_at"]):
        one = letter.record
        if json:
            line = render_line(DEAD_LETTERS, one, id=letter.id, retried=letter.id in retried)
            sys.stdout.buffer.write(line + b"\n")
            continue
        again = " (retried)" if letter.id in retried else ""
        place = f"{one['topic']} {one['partition']}/{one['offset']}"
        who = f" lead {one['lead_id']}" if one["lead_id"] else ""
        what = f"{place}{who}: {one['error']}: {one['detail']}{again}"
        print(f"{letter.id} {rfc3339(one['seen_at'])} {one['consumer']} {what}")
    sys.stdout.flush()


def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Letters, as `list` names them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were not retried yet.")] = False,
    consumer: Consumer = None,
    lead: Lead = None,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    app: App = DEFAULT_APP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Send dead letters on their way again.

    A relay's letter goes back to its target alone, a worker's or collector's record to the topic it came from.
    `--all` passes over letters that were retried before; naming one retries it again.

    Examples:

        leadstream dead-letters retry 3:17

        leadstream dead-letters retry --all --consumer relay:crm
    """
    if bool(ids) == every:
        raise UsageError("name the letters to retry, or give --all; `leadstream dead-letters list` shows them")
    letters = list(_letters(bootstrap, schema_registry, consumer, lead))
    if ids:
        if unknown := sorted(set(ids) - {letter.id for letter in letters}):
            raise UsageError(f"no dead letter {', '.join(unknown)}; `leadstream dead-letters list` shows them")
        letters = [letter for letter in letters if letter.id in ids]
    else:
        done = _retried(bootstrap, app)
        letters = [letter for letter in letters if letter.id not in done]
    sent, kept = _send(bootstrap, app, letters)
    for letter, reason in kept:
        print(f"{letter.id}: {reason}", file=sys.stderr)
    print(f"retried {sent} kept {len(kept)}")
    if kept:
        raise typer.Exit(1)


def _send(bootstrap: str, app: str, letters: list[Letter]) -> tuple[int, list[tuple[Letter, str]]]:
    from confluent_kafka import Producer

    from streams.kafka import ensure_topics, producer_config
    from streams.topics import TOPICS, relay_retries_topic

    retries = relay_retries_topic(app)
    ensure_topics(bootstrap, app_id=app, also=(retries,))
    producer = Producer(producer_config(bootstrap))
    kept: list[tuple[Letter, str]] = []
    failures: list[str] = []

    def on_delivery(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error.str())

    def produce(topic: str, value: bytes, key: bytes | None, headers: Any = None) -> None:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=on_delivery, headers=headers)
            except BufferError:  # more than a producer holds at a time
                producer.poll(1.0)
            else:
                producer.poll(0)
                return

    for letter in letters:
        one = letter.record
        if one["value"] is None or len(one["value"]) != one["size"]:
            kept.append((letter, "its value was too large to be kept whole; publish it again from where it came from"))
        elif one["partition"] < 0:
            kept.append((letter, "it came by HTTP and never was a record; have its sender mend it and send it again"))
        elif one["topic"] not in TOPICS:
            kept.append((letter, f"it came from {one['topic']}, which is no topic of leadstream's"))
        else:
            if not one["consumer"].startswith("relay:"):
                produce(one["topic"], one["value"], one["key"])
            # For a relay's letter this is the way back; for others, the note that it was retried.
            produce(retries.name, letter.raw, one["key"], [(LETTER_HEADER, letter.id.encode())])
    if producer.flush(60) or failures:
        raise RetryFailed(f"Kafka did not take all of them: {failures[0] if failures else 'no answer'}. Try again.")
    return len(letters) - len(kept), kept


def _letters(bootstrap: str, schema_registry: str | None, consumer: str | None, lead: str | None) -> Iterator[Letter]:
    from streams.wire.bad import BadRecord
    from streams.wire.codec import Codec

    codec = Codec(schema_registry)
    for message in _messages(bootstrap, DEAD_LETTERS):
        raw = message.value()
        record = codec.decode(DEAD_LETTERS, raw)
        where = f"{message.partition()}:{message.offset()}"
        if isinstance(record, BadRecord):
            print(f"{where}: {record.detail}", file=sys.stderr)
        elif consumer in (None, record["consumer"]) and lead in (None, record["lead_id"]):
            yield Letter(where, record, message.key(), raw)


def _retried(bootstrap: str, app: str) -> set[str]:
    """The ids of the letters that were retried."""
    from streams.kafka import require_broker
    from streams.topics import relay_retries_topic

    name = relay_retries_topic(app).name
    if name not in require_broker(bootstrap).topics:
        return set()
    headers = [dict(message.headers() or []) for message in _messages(bootstrap, name)]
    return {header[LETTER_HEADER].decode() for header in headers if LETTER_HEADER in header}


def _messages(bootstrap: str, topic: str) -> Iterator[Any]:
    from streams.kafka import reader_config, require_topics
    from streams.reading import read_to_end

    numbers = require_topics(bootstrap, [topic]).topics[topic].partitions
    return read_to_end(reader_config(bootstrap), [(topic, number) for number in numbers])
