"""`leadstream explain`: why a lead is what it is."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap, SchemaRegistry
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.explaining import Explained, Told

#: How many of a lead's last lifecycle events are shown.
_MOST_EVENTS = 8


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    lead: Annotated[str, typer.Argument(metavar="LEAD", help="The lead's id, or any id that turned out to be it.")],
    model: Annotated[
        Path | None, typer.Option(help="The workers' model file, or another one to try. Else the default model.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="As of when, if nothing more happens: 2026-12-24T12:00:00Z. Not before what is known. Else now.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    app: App = DEFAULT_APP,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    schema_registry: SchemaRegistry = None,
) -> None:
    """Show why a lead did or did not qualify, and what it lacks.

    Reads what the workers keep of the lead and what they have published of it; nothing is changed. Times are UTC.

    Examples:

        leadstream explain u-1042

        leadstream explain email:jane@example.com --model model.yaml --json

        leadstream explain u-1042 --at 2026-12-24T12:00:00Z
    """
    import msgspec

    from streams.cli.explanation import page
    from streams.cli.progress import Progress
    from streams.explaining import Told, explained, kept_of, told_of
    from streams.modelfile import read_model
    from streams.wire.codec import Codec

    id_, asked_for = _id(lead), _instant(at) if at is not None else None
    judged_by, codec = read_model(model), Codec(schema_registry)
    progress = Progress()
    try:
        kept = kept_of(bootstrap, app, id_, progress.show)
        now = max(time.time_ns() // 1_000_000, kept.lead.as_of)
        found = explained(kept, now if asked_for is None else asked_for, judged_by, now)
        told = told_of(bootstrap, found.explanation.lead_id, codec, progress.show)
    finally:
        progress.clear()
    told = Told(told.qualification, told.lifecycle[-_MOST_EVENTS:])
    if json:
        print(msgspec.json.encode(_object(lead, found, told)).decode())
    else:
        print("\n".join(page(found, told)))


def _id(lead: str) -> str:
    from streams.wire.limits import MAX_ID_BYTES

    try:
        size = len(lead.encode())
    except UnicodeEncodeError:
        raise UsageError("LEAD must be a UTF-8 text.") from None
    if not lead:
        raise UsageError("LEAD is empty: give the id of a lead.")
    if size > MAX_ID_BYTES:
        raise UsageError(
            f"LEAD has {size:,} bytes. Ids have at most {MAX_ID_BYTES:,}: events of longer ones are refused."
        )
    return lead


def _instant(at: str) -> int:
    from streams.wire.times import milliseconds

    try:
        time_ = datetime.fromisoformat(at)
    except ValueError:
        time_ = None
    if time_ is None or time_.tzinfo is None:
        raise UsageError(f"--at: {at!r} is no time with a time zone, such as 2026-12-24T12:00:00Z.")
    return milliseconds(time_)


def _object(asked: str, found: Explained, told: Told) -> dict[str, Any]:
    """What is shown, as one object: README.md describes it."""
    import msgspec

    from streams.processing.outputs import LIFECYCLE_EVENTS, QUALIFICATION_TOPICS
    from streams.wire.jsonlines import render_line

    def line(topic: str, record: dict[str, Any]) -> Any:
        return msgspec.json.decode(render_line(topic, record))["event"]

    last = told.qualification
    return {
        "asked": asked,
        "passed": _with_times([one._asdict() for one in found.passed]),
        "workers_model": found.workers_model,
        **_with_times(msgspec.to_builtins(found.explanation)),
        "qualification": line(QUALIFICATION_TOPICS[last["stage"]], last) if last is not None else None,
        "lifecycle": [line(LIFECYCLE_EVENTS, record) for record in told.lifecycle],
    }


_TIMES = frozenset(
    ["as_of", "since", "at", "after", "until", "occurred_at", "resting_until", "respond_by", "qualified_until"]
)


def _with_times(value: Any) -> Any:
    """The value with its times as RFC 3339; as ms those that it can't write, like `tail`."""
    from streams.wire.times import LATEST, rfc3339

    if isinstance(value, dict):
        return {
            name: rfc3339(one) if name in _TIMES and isinstance(one, int) and one <= LATEST else _with_times(one)
            for name, one in value.items()
        }
    return [_with_times(one) for one in value] if isinstance(value, (list, tuple)) else value
