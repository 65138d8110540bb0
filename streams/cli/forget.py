"""`leadstream forget`: ask for the erasure of a lead."""

from __future__ import annotations

import time
from typing import Annotated
from uuid import uuid4

import typer

from streams.cli.options import DEFAULT_BOOTSTRAP, Bootstrap, SchemaRegistry
from streams.errors import LeadstreamError, UsageError

_TOPIC = "erasures"
_CONFIRM_SECONDS = 30.0


class NotRequested(LeadstreamError):
    """The broker has not confirmed the request."""


def register(app: typer.Typer) -> None:
    app.command("forget")(forget)


def forget(
    lead: Annotated[str, typer.Argument(metavar="LEAD", help="The lead's id, or any id that turned out to be it.")],
    requested_by: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="Who asked for it, for the record.", show_default=False),
    ] = None,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Erase what is known of a lead, under all its ids.

    The workers do it when they come to it: the state and the score go, subscribers hear of it by a lifecycle event
    with cause ERASED, and what the lead does later begins from nothing. Events on the topics stay as long as the
    topics keep them; README.md says how to shorten that.

    Examples:

        leadstream forget u-1042

        leadstream forget email:jane@example.com --requested-by "ticket 4711"
    """
    from streams.kafka import require_topics
    from streams.wire.codec import Codec
    from streams.wire.validation import invalid

    key, now = lead.encode("utf-8", "surrogateescape"), time.time_ns() // 1_000_000
    event = {"event_id": str(uuid4()), "lead_id": lead, "occurred_at": now, "requested_by": requested_by}
    try:
        bad = invalid(_TOPIC, event, now, key)
    except UnicodeEncodeError:
        raise UsageError("LEAD and WHO must be UTF-8 texts.") from None
    if bad is not None:
        raise UsageError(f"That can't be asked for: {bad.detail}.")
    require_topics(bootstrap, [_TOPIC])
    _request(bootstrap, key, Codec(schema_registry).encode(_TOPIC, event))
    print(f"asked for the erasure of {lead}")


def _request(bootstrap: str, key: bytes, value: bytes) -> None:
    """Write the request and wait until the broker has it. Raises NotRequested."""
    from confluent_kafka import KafkaError, Message, Producer

    from streams.kafka import producer_config

    failures: list[str] = []

    def heard(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error.str())

    producer = Producer({**producer_config(bootstrap), "delivery.timeout.ms": int(_CONFIRM_SECONDS * 1000)})
    producer.produce(_TOPIC, value, key, on_delivery=heard)
    if producer.flush(_CONFIRM_SECONDS) or failures:
        reason = f": {failures[0]}" if failures else ""
        raise NotRequested(f"The broker has not confirmed the request{reason}. Ask again: it does no harm twice.")
