"""What the workers know and have said of one lead, read from Kafka, and explained.

A lead's state is the newest value of its key on its partition of the changelog; what was said of it is on the same
partition of the output topics. Nothing keeps an index by lead, so those partitions are read from beginning to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from streams.engine.envelope import PAYLOAD, RESERVED_KEY, check, due_of, unpack_progress
from streams.errors import LeadstreamError, UsageError
from streams.kafka import reader_config, require_topics
from streams.partitioning import partition_of
from streams.processing.note import Note, noted, take_over
from streams.processing.outputs import LIFECYCLE_EVENTS, QUALIFICATION_TOPICS
from streams.qualification.events import Transition
from streams.qualification.explain import Explanation, explain, steps_of
from streams.qualification.identity import carried_over
from streams.qualification.lead import Lead
from streams.qualification.model.values import Model
from streams.qualification.state import Alias, State, unpack
from streams.reading import read_to_end
from streams.topics import changelog_topic
from streams.wire.codec import Codec
from streams.wire.times import rfc3339

if TYPE_CHECKING:
    from confluent_kafka import Message

Say = Callable[[str], None]
_EVERY = 50_000
#: So long (seconds) is waited for a broker that has gone away meanwhile.
_PATIENCE = 30.0
#: Lifecycle events after which an id begins from nothing.
_ENDS = frozenset(("ERASED", "EXPIRED"))


class CannotExplain(LeadstreamError):
    """There is no lead that could be explained, or it can't be read."""


class Passed(NamedTuple):
    """An id that turned out to be another one, `since` (ms)."""

    id: str
    since: int


class Kept(NamedTuple):
    """A lead as its partition of the changelog keeps it: when something is due for it (ms), and the partition's note.

    `passed` are the aliases that led to it.
    """

    lead: Lead
    due: int | None
    note: Note | None
    passed: tuple[Passed, ...]


class Explained(NamedTuple):
    """`workers_model` is the version of the model that the workers judge by, if that is not the one explained by."""

    explanation: Explanation
    passed: tuple[Passed, ...]
    workers_model: str | None


class Told(NamedTuple):
    """What was said of a lead: its last qualification, and its lifecycle events, oldest first."""

    qualification: dict[str, Any] | None
    lifecycle: list[dict[str, Any]]


def kept_of(bootstrap: str, app_id: str, id_: str, say: Say) -> Kept:
    """What is kept of a lead under any of its ids. Raises CannotExplain, TopicsMissing and as `require_broker`."""
    name = changelog_topic(app_id).name
    partitions = len(require_topics(bootstrap, [name]).topics[name].partitions)
    passed: list[Passed] = []
    while True:
        state, due, note = _newest(bootstrap, name, partitions, id_, say)
        if isinstance(state, Lead):
            return Kept(state, due, note, tuple(passed))
        if not isinstance(state, Alias):
            raise CannotExplain(_unknown(id_, app_id, passed))
        if state.to is None:
            raise CannotExplain(_ended(id_, state))
        passed.append(Passed(id_, state.pointing_since))
        if state.to in {one.id for one in passed}:
            circle = ", ".join(one.id for one in passed)
            raise CannotExplain(
                f"These ids are linked in a circle: {circle}. The next event under one of them ends it."
            )
        id_ = state.to


def explained(kept: Kept, at: int, model: Model, now: int) -> Explained:
    """The lead as of `at` (ms), judged by `model`: as if that took over `now` (ms), where the workers have another one.

    `kept.lead` is changed. Raises CannotExplain, and UsageError for an `at` before the lead's own time.
    """
    lead = kept.lead
    if at < lead.as_of:
        raise UsageError(f"{lead.lead_id} is only known as of {rfc3339(lead.as_of)} and later: give a later --at.")
    lead_id, workers_model, note = lead.lead_id, None, kept.note
    if note is None or note.current.model != model.identity:
        workers_model = None if note is None else _version(note.current.model, model)
        since = min(now, at)
        note = take_over(note, model, since, since, waking=True)
        if note is None:
            raise CannotExplain("The workers are in the middle of many changes of models. Try again in a minute.")
    change = note.current
    by = model.again(change.number).knowing(change.names)
    meanwhile: Sequence[Transition] = ()
    if lead.judged_by != by.identity:
        carried = carried_over(lead, kept.due, note.changes, {by.identity: by})
        meanwhile = carried.transitions
        if not isinstance(carried.state, Lead):
            raise CannotExplain(_gone(lead_id, at))
        lead = carried.state
    found = explain(lead, max(at, lead.as_of), by)
    if found is None:
        raise CannotExplain(_gone(lead_id, at))
    found = msgspec.structs.replace(found, meanwhile=(*steps_of(meanwhile), *found.meanwhile))
    return Explained(found, kept.passed, workers_model)


def told_of(bootstrap: str, lead_id: str, codec: Codec, say: Say) -> Told:
    """What was said of a lead since its id began from nothing. Raises CannotRead and as `require_topics`."""
    names = [*QUALIFICATION_TOPICS.values(), LIFECYCLE_EVENTS]
    topics = require_topics(bootstrap, names).topics
    key = lead_id.encode()
    places = [(name, partition_of(key, len(topics[name].partitions))) for name in names]
    qualifications: list[dict[str, Any]] = []
    lifecycle: list[dict[str, Any]] = []
    for message in _read(bootstrap, places, "what was said of the lead", say):
        value = message.value()
        if message.key() != key or value is None:
            continue
        record = codec.decode(message.topic() or "", value)
        if isinstance(record, dict):  # what others have written there says nothing of the lead
            (lifecycle if message.topic() == LIFECYCLE_EVENTS else qualifications).append(record)
    return of_this_life(qualifications, lifecycle)


def of_this_life(qualifications: Sequence[dict[str, Any]], lifecycle: Sequence[dict[str, Any]]) -> Told:
    """What was said since the id began from nothing: its lifecycle events, and the last qualification among them.

    The end of a life and a qualification in the next may be of the same instant, so times do not tell them apart.
    """
    ended = max((place for place, record in enumerate(lifecycle) if record["cause"] in _ENDS), default=-1)
    since = list(lifecycle[ended + 1 :])
    granted = {record["qualification_id"] for record in since if record["from_stage"] != record["to_stage"]}
    mine = [record for record in qualifications if ended < 0 or record["event_id"] in granted]
    return Told(max(mine, key=lambda record: (record["occurred_at"], record["sequence"]), default=None), since)


def _newest(
    bootstrap: str, changelog: str, partitions: int, id_: str, say: Say
) -> tuple[State | None, int | None, Note | None]:
    """The newest state under an id, when something is due for it (ms), and the note of its partition."""
    key = id_.encode()
    place = (changelog, partition_of(key, partitions))
    newest: dict[bytes, bytes | None] = {}
    for message in _read(bootstrap, [place], f"partition {place[1]} of {changelog}", say):
        found = message.key()
        if found in (key, RESERVED_KEY):
            newest[bytes(found)] = message.value()
    envelope, progress = newest.get(key), newest.get(RESERVED_KEY)
    try:
        note = noted(unpack_progress(progress).note) if progress is not None else None
        if envelope is None:
            return None, None, note
        check(envelope)
        return unpack(envelope[PAYLOAD:]), due_of(envelope), note
    except (ValueError, msgspec.MsgspecError) as error:
        raise CannotExplain(
            f"{changelog} holds of {id_} what this release can't read: {error}. Use the workers' own release."
        ) from None


def _read(bootstrap: str, places: Sequence[tuple[str, int]], what: str, say: Say) -> Iterator[Message]:
    say(f"reading {what}")
    for number, message in enumerate(read_to_end(reader_config(bootstrap), places, _PATIENCE), start=1):
        if number % _EVERY == 0:
            say(f"reading {what}: {number:,} records")
        yield message


def _version(identity: str, model: Model) -> str:
    """The version in the identity of the workers' model; more of it, where another file has the same version."""
    version, _, digest = identity.rpartition(" ")
    return version if version != model.version else f"{version}, of another file ({digest[:12]})"


def _unknown(id_: str, app_id: str, passed: list[Passed]) -> str:
    if passed:
        return (
            f"{passed[-1].id} is an alias of {id_}, of which nothing is known. What was known under the alias may "
            "still be on its way: try again in a moment."
        )
    address = f" Is it email:{id_.lower()}?" if "@" in id_ and not id_.startswith("email:") else ""
    return (
        f"Nothing is known of a lead {id_}.{address} An id must be as the tracker gives it, in upper and lower case; "
        f"that of an address is email:ADDRESS in lower case. The workers asked are those called {app_id} (--app)."
    )


def _ended(id_: str, alias: Alias) -> str:
    if alias.is_mark and alias.erased is not None:
        return f"{id_} was erased, as of {rfc3339(alias.erased.until)}, and nothing is known of it since."
    return f"{id_} was an alias of a lead until {rfc3339(alias.since)}, and nothing is known of it since."


def _gone(id_: str, at: int) -> str:
    return f"As of {rfc3339(at)} nothing is known of {id_} any more: a visitor that does nothing is forgotten."
