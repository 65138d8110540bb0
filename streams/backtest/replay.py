"""Replay events in memory, in time order, through the core: what the worker would have said of them.

The input counts as one import: all of it arrives when the last of it happened, so no SLA of what an event brings about
runs out within it; one of what time alone brings about (the end of a rest, a rise of interest) begins at its own time,
and may. That, and the order, are the same as when the file is published to a fresh broker and a worker merges its
topics by time. What aliases and leads tell each other arrives at once here, and a little later where it goes from one
partition to another: a worker that imports history with links in it may judge a lead before its visitor's past is
there. Group values are the same in the end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.errors import UsageError
from streams.qualification.events import Changed, Ignored, Qualified, Transition, event_of
from streams.qualification.lead import Lead
from streams.qualification.messages import MOST_PASSED
from streams.qualification.model.values import Model
from streams.qualification.population import Population
from streams.qualification.state import Alias
from streams.topics import INPUT_TOPICS, TOPICS
from streams.wire.bad import BadRecord
from streams.wire.jsonlines import BadLine, Line, read_lines
from streams.wire.validation import invalid

_ORDER = {topic.name: index for index, topic in enumerate(INPUT_TOPICS)}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of the input that is not an event, and why."""

    source: str
    line: int
    reason: str


@dataclass(slots=True)
class Replay:
    """What came of a replay. `leads` are as of `until`, the largest `occurred_at` (ms)."""

    model: Model
    until: int = 0
    events: int = 0
    leads: dict[str, Lead] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    transitions: list[Qualified | Changed] = field(default_factory=list)
    #: sales' answers in order: (lead id, disposition, when)
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)

    def person(self, id_: str) -> str:
        """The lead that an id turned out to be in the end."""
        for _ in range(MOST_PASSED):
            alias = self.aliases.get(id_)
            if alias is None or alias.to is None:
                break
            id_ = alias.to
        return id_


def replay(events: Iterable[tuple[str, dict[str, Any]]], model: Model, now: int) -> Replay:
    """Run `(topic, event)` pairs, in any order, through the core in time order.

    `now` (ms) is when they are imported: what claims to be later than that happened now, as for a worker.
    """
    ordered = sorted(events, key=lambda pair: (pair[1]["occurred_at"], _ORDER[pair[0]]))
    result = Replay(model, events=len(ordered))
    if not ordered:
        return result
    result.until = min(ordered[-1][1]["occurred_at"], now)
    population = Population(model)
    for topic, fields in ordered:
        kind = TOPICS[topic].kind
        assert kind is not None, "inputs have kinds"
        event = event_of(kind, fields, result.until)
        if kind == "sales_feedback":
            result.answers.append((event.lead_id, fields["disposition"], event.occurred_at))
        _count(result, population.take(event, event.occurred_at))
    for id_ in population.leads:
        _count(result, population.advance(id_, result.until))
    result.leads, result.aliases = population.leads, population.aliases
    return result


def read_events(paths: Iterable[Path], rejected: list[Rejected]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The input events in JSON-lines files (gzipped or not); lines that are not go to `rejected`.

    Raises UsageError for a file that can't be read to its end.
    """
    for path in paths:
        for number, line in enumerate(_lines_of(path), start=1):
            if isinstance(line, BadLine):
                rejected.append(Rejected(str(path), number, line.reason))
            elif line.topic not in _ORDER:
                rejected.append(Rejected(str(path), number, f"{line.topic} is not an input topic"))
            elif (bad := _invalid(line)) is not None:
                rejected.append(Rejected(str(path), number, bad.detail))
            else:
                yield line.topic, line.event


def _lines_of(path: Path) -> Iterator[Line | BadLine]:
    try:
        yield from read_lines(path)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path} can't be read: {reason}") from error


def _invalid(line: Line) -> BadRecord | None:
    """What the worker would make a dead letter of. A file says nothing of arrival, so no event is too old."""
    key = line.event[TOPICS[line.topic].key_field].encode()
    return invalid(line.topic, line.event, line.event["occurred_at"], key)


def _count(result: Replay, transitions: Iterable[Transition]) -> None:
    for one in transitions:
        if isinstance(one, Ignored):
            result.ignored[one.reason] = result.ignored.get(one.reason, 0) + 1
        elif isinstance(one, Qualified | Changed):
            result.transitions.append(one)
