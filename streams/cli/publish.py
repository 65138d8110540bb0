"""`leadstream publish`: JSON lines in, records on the input topics out."""

from __future__ import annotations

import gzip
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import DEFAULT_BOOTSTRAP, Bootstrap, SchemaRegistry
from streams.cli.progress import Progress
from streams.errors import LeadstreamError, UsageError

if TYPE_CHECKING:
    from confluent_kafka import Message

_LONGEST_LINE = 16 * 1024 * 1024
_SHOWN_REJECTIONS = 20
_CONFIRM_SECONDS = 60.0


class BadInput(UsageError):
    """The file to publish can't be opened or unpacked."""


class NotConfirmed(LeadstreamError):
    """The broker has not confirmed all that was sent."""


def register(app: typer.Typer) -> None:
    app.command("publish")(publish)


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON lines, gzipped or not; - is standard input.")],
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="At most N events a second.", show_default=False),
    ] = None,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Send events from a file to the input topics.

    One JSON object a line: `{"topic": "page-views", "event": {"lead_id": ..., "occurred_at": ...}}`, times in
    RFC 3339 or epoch milliseconds. Lines that can't be used are reported and passed over; the exit code is
    then 1.

    Examples:

        leadstream publish events.jsonl.gz

        leadstream publish - --rate 50 < events.jsonl
    """
    from streams.kafka import require_topics
    from streams.topics import INPUT_TOPICS
    from streams.wire.codec import Codec

    if file == "-" and sys.stdin is None:
        raise UsageError("standard input is closed: name a file, or pipe events in.")
    opened = nullcontext(sys.stdin.buffer) if file == "-" else _open(file)
    with opened as raw:
        require_topics(bootstrap, [topic.name for topic in INPUT_TOPICS])
        session = _Publishing("-" if file == "-" else file, bootstrap, Codec(schema_registry), rate)
        try:
            try:
                session.send_all(_lines(_unpacked(raw)))
            finally:
                session.finish()  # after Ctrl-C or a torn file too: what was sent is confirmed and counted
        finally:
            print(f"published {session.published} rejected {session.rejected}", flush=True)
    if session.rejected:
        raise typer.Exit(1)


class _Publishing:
    """One run over one file: sends, confirms, counts."""

    def __init__(self, source: str, bootstrap: str, codec: Any, rate: float | None) -> None:
        from confluent_kafka import Producer

        from streams.kafka import producer_config

        self._source = source
        self._codec = codec
        self._seconds_each = 1.0 / rate if rate else 0.0
        self._producer = Producer(
            {
                **producer_config(bootstrap),
                "linger.ms": 5 if rate else 50,
                "delivery.report.only.error": True,  # a call into Python for each record would halve the rate
                "delivery.timeout.ms": int(_CONFIRM_SECONDS * 1000),
                "queue.buffering.max.kbytes": 65_536,
            }
        )
        self._sent = 0
        self._lost = 0
        self._reason_lost = ""
        self._progress = Progress()
        self.rejected = 0

    @property
    def published(self) -> int:
        """Events that the broker has confirmed, once finished."""
        return self._sent - self._lost

    def send_all(self, lines: Iterator[tuple[int, bytes | None]]) -> None:
        """Send every line (number, text; None if it is too long), in order.

        Raises NotConfirmed when the broker is gone for too long.
        """
        from confluent_kafka import KafkaException

        from streams.topics import TOPICS
        from streams.wire.jsonlines import Line, parse_line

        inputs = {name: topic.key_field for name, topic in TOPICS.items() if topic.role == "input"}
        due = time.monotonic()
        for number, text in lines:
            if text is None:
                self._reject(number, f"longer than {_LONGEST_LINE // 1024 // 1024} MB")
                continue
            line = parse_line(text)
            if not isinstance(line, Line):
                self._reject(number, line.reason)
                continue
            key_field = inputs.get(line.topic)
            if key_field is None:
                self._reject(number, f"{line.topic!r} is not an input topic; these are {', '.join(inputs)}")
                continue
            key = line.event[key_field]
            if not key:
                self._reject(number, f"{key_field} is empty")
                continue
            if self._seconds_each:
                self._producer.poll(0)
                due = self._wait_until(due)
            try:
                self._send(line.topic, key.encode(), self._codec.encode(line.topic, line.event))
            except KafkaException as error:
                self._reject(number, error.args[0].str())
            if self._lost:
                raise NotConfirmed(f"{self._source}:{number}: {self._explain_loss()}")

    def finish(self) -> None:
        """Wait until the broker has confirmed everything. Raises NotConfirmed."""
        self._lost += self._producer.flush(_CONFIRM_SECONDS)
        self._progress.clear()
        if self.rejected > _SHOWN_REJECTIONS:
            print(f"... and {self.rejected - _SHOWN_REJECTIONS} more lines rejected", file=sys.stderr)
        if self._lost:
            raise NotConfirmed(self._explain_loss())

    def _send(self, topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._on_delivery)
            except BufferError:
                self._producer.poll(0.1)  # the broker is slower than we are
                if self._lost:
                    return
                continue
            break
        self._sent += 1
        if not self._sent % 1000:
            self._producer.poll(0)
            self._progress.show(f"{self._sent:,} sent")

    def _wait_until(self, due: float) -> float:
        """Wait for the turn of the next event; the turn after it. Lost time is not made up for in a burst."""
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        return max(due, now - 1.0) + self._seconds_each

    def _on_delivery(self, error: Any, message: Message) -> None:
        if error is not None:
            self._lost += 1
            self._reason_lost = f" {message.topic()}: {error.str()}."

    def _reject(self, number: int, reason: str) -> None:
        self.rejected += 1
        if self.rejected <= _SHOWN_REJECTIONS:
            self._progress.clear()
            print(f"{self._source}:{number}: {reason}", file=sys.stderr)

    def _explain_loss(self) -> str:
        return (
            f"the broker has not confirmed {self._lost} of {self._sent} events.{self._reason_lost} "
            "Publish the file again once the broker is well: an event that arrives twice counts once."
        )


def _open(file: str) -> IO[bytes]:
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise BadInput(f"Can't read {file}: {(error.strerror or str(error)).lower()}.") from None


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    """`raw` itself, or what is gzipped in it."""
    if raw.peek(2)[:2] == b"\x1f\x8b":  # type: ignore[attr-defined]  # both kinds of stream are buffered
        return gzip.open(raw)  # type: ignore[return-value]
    return raw


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1, line), blank ones left out; None for one too long to be an event. Memory stays flat."""
    number = 0
    try:
        while line := stream.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
            elif not line.isspace():
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"The gzipped input is torn after line {number}: {error}.") from None
