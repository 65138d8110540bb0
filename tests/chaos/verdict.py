"""What must hold when a chaos run is over, each as a function that names the first thing that does not.

The outcome is worked out from the source topics as they are on the broker, by the pure core, lead by lead: no engine,
no partitions, no batches. (The core itself is held to a naive oracle elsewhere.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.engine.seam import Progress
from streams.partitioning import partition_of
from streams.qualification.events import Changed, Event, Qualified, Scored, Transition, event_of
from streams.qualification.messages import Forget, Forward, Link, Merge
from streams.qualification.model.values import Model
from streams.qualification.population import Population
from streams.qualification.state import State
from streams.topics import INPUT_TOPICS, SOURCE_TOPICS, TOPICS
from streams.wire.codec import Codec
from tests.kafka_topics import changelog_of, messages_of, progress_of

Place = tuple[str, int, int]
INPUTS = [topic.name for topic in INPUT_TOPICS]


@dataclass
class Expected:
    """What the source topics say must have come of them."""

    #: leads and aliases
    states: dict[str, State] = field(default_factory=dict)
    #: topic -> the event ids on it
    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: lead -> its last score, None for a tombstone
    scores: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    #: how many states travelled to another id, and how many events were forwarded
    merges: int = 0
    forwards: int = 0
    bad: set[Place] = field(default_factory=set)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    #: partition -> largest time
    times: dict[int, int] = field(default_factory=dict)


def expected_of(bootstrap: str, model: Model, partitions: int) -> Expected:
    """Fold the input topics in the order of time."""
    codec, outcome = Codec(), Expected()
    events: list[Event] = []
    for message in messages_of(bootstrap, INPUTS):
        topic, number, offset = message.topic(), message.partition(), message.offset()
        outcome.ends[topic, number] = max(outcome.ends.get((topic, number), 0), offset + 1)
        if message.headers():
            outcome.bad.add((topic, number, offset))
            continue
        fields = codec.decode(topic, message.value())
        assert isinstance(fields, dict), fields
        event = event_of(TOPICS[topic].kind or "", fields, message.timestamp()[1])
        events.append(event)
        # An event on a wrong partition is seen there, and then where it belongs.
        for partition in (number, partition_of(message.key(), partitions)):
            outcome.times[partition] = max(outcome.times.get(partition, 0), event.occurred_at)
    population = Population(model)
    for event in sorted(events, key=lambda one: one.occurred_at):
        happened = population.take(event, event.occurred_at)
        for one in happened:
            if isinstance(one, Forward | Link | Merge | Forget):
                number = partition_of(one.lead_id.encode(), partitions)
                time = event.occurred_at if isinstance(one, Forward) else one.occurred_at
                outcome.forwards += isinstance(one, Forward)
                outcome.merges += isinstance(one, Merge) and one.lead is not None
                outcome.times[number] = max(outcome.times.get(number, 0), time)
        _note(happened, outcome)
    for lead_id in population.leads:
        clock = outcome.times[partition_of(lead_id.encode(), partitions)] - model.grace_ms
        _note(population.advance(lead_id, clock), outcome)
    outcome.states = population.states
    return outcome


def _note(happened: list[Transition], outcome: Expected) -> None:
    for one in happened:
        if isinstance(one, Qualified):
            outcome.ids[f"{one.record['stage'].lower()}-events"].add(one.record["event_id"])
        elif isinstance(one, Changed):
            outcome.ids["lifecycle-events"].add(one.record["event_id"])
        elif isinstance(one, Scored):
            outcome.scores[one.lead_id] = one.record


def judge(bootstrap: str, model: Model, partitions: int, app: str) -> Expected:
    """All that must hold of a run that has come to its end."""
    expected = expected_of(bootstrap, model, partitions)
    outputs = messages_of(bootstrap, ["mql-events", "sql-events", "lifecycle-events"])
    every_qualification_is_there_once(outputs, expected)
    sequences_have_no_gaps(outputs)
    last_scores_are_right(messages_of(bootstrap, ["lead-scores"]), expected)
    assert expected.merges, "a run without merges proves nothing of them"
    assert expected.forwards, "a run without forwarded events proves nothing of them"
    every_bad_record_is_a_dead_letter_once(messages_of(bootstrap, ["dead-letters"]), expected)
    state, progress = changelog_of(bootstrap, app)
    states_equal_the_fold(state, expected)
    everything_is_applied(progress, expected)
    return expected


def every_qualification_is_there_once(outputs: list[Any], expected: Expected) -> None:
    codec = Codec()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for message in outputs:
        found[message.topic()][codec.decode(message.topic(), message.value())["event_id"]] += 1  # type: ignore[index]
    for topic in ("mql-events", "sql-events", "lifecycle-events"):
        twice = [event_id for event_id, times in found[topic].items() if times > 1]
        assert not twice, f"{topic}: {len(twice)} events are there more than once, {twice[0]} for one"
        missing, extra = expected.ids[topic] - set(found[topic]), set(found[topic]) - expected.ids[topic]
        assert not missing, f"{topic}: {len(missing)} of {len(expected.ids[topic])} events are missing"
        assert not extra, f"{topic}: {len(extra)} events that should not be"
        assert found[topic], f"{topic}: a run without events proves nothing"


def sequences_have_no_gaps(outputs: list[Any]) -> None:
    """From 1 for every life of a lead: an erased or forgotten one begins anew, and so does an alias that was erased."""
    codec = Codec()
    lives: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)
    for message in outputs:
        record = codec.decode(message.topic(), message.value())
        assert isinstance(record, dict)
        ends = record.get("cause") in ("ERASED", "EXPIRED", "MERGED") and record["to_stage"] == "visitor"
        lives[record["lead_id"]].append((record["occurred_at"], record["sequence"], ends))
    for lead_id, records in lives.items():
        numbers = Counter(sequence for _, sequence, _ in records)
        for number, times in numbers.items():
            # A number that comes up n times belongs to n lives, so all numbers before it come up as often.
            assert number == 1 or numbers[number - 1] >= times, f"{lead_id}: number {number} follows no {number - 1}"
        assert numbers[1] <= 1 + sum(ends for *_, ends in records), f"{lead_id}: begins again without an end"


def last_scores_are_right(messages: list[Any], expected: Expected) -> None:
    codec = Codec()
    last: dict[str, Any] = {}
    for message in messages:
        value = message.value()
        last[message.key().decode()] = None if value is None else codec.decode("lead-scores", value)
    for lead_id in {*last, *expected.scores}:
        assert lead_id in last, f"{lead_id} has no score on lead-scores"
        assert last[lead_id] == expected.scores.get(lead_id), f"the last score of {lead_id} is another"


def every_bad_record_is_a_dead_letter_once(messages: list[Any], expected: Expected) -> None:
    codec = Codec()
    places: Counter[Place] = Counter()
    for message in messages:
        letter = codec.decode("dead-letters", message.value())
        assert isinstance(letter, dict)
        places[letter["topic"], letter["partition"], letter["offset"]] += 1
    assert set(places) == expected.bad, f"not dead-lettered: {sorted(expected.bad - set(places))[:3]}, wrongly so: "
    assert set(places.values()) <= {1}, "a bad record became more than one dead letter"
    assert places, "a run without bad records proves nothing"


def states_equal_the_fold(state: dict[str, State], expected: Expected) -> None:
    others = [one for one in {*state, *expected.states} if state.get(one) != expected.states.get(one)]
    assert not others, (
        f"{len(others)} states are not the fold of their events, {others[0]} for one: "
        f"{state.get(others[0])} instead of {expected.states.get(others[0])}"
    )


def everything_is_applied(progress: dict[int, Progress], expected: Expected) -> None:
    for (topic, number), end in expected.ends.items():
        applied = progress[number].applied.get(topic, -1)
        assert applied == end - 1, f"{topic}, partition {number}: {applied} is applied of {end - 1}"
    for number, latest in expected.times.items():
        assert progress[number].stream_time == latest, f"partition {number}: stream time"


class OffsetWatch:
    """Compares, now and then, what the group has committed with what is durably applied."""

    def __init__(self, bootstrap: str, app: str, partitions: int) -> None:
        self._app = app
        self._bootstrap = bootstrap
        topics = [topic.name for topic in SOURCE_TOPICS]
        self._places = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
        self.compared = 0

    def committed(self) -> dict[tuple[str, int], int] | None:
        """The group's offsets; None while the broker, or its group coordinator, is not there."""
        # A consumer that joins nothing: librdkafka's admin client aborts the process when its broker dies at the wrong
        # moment of this question.
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": self._app})
        try:
            places = consumer.committed(self._places, timeout=20)
        except KafkaException:
            return None
        finally:
            consumer.close()
        return {(place.topic, place.partition): place.offset for place in places if place.offset >= 0}

    def compare(self) -> None:
        """Committed is asked first: what is applied can only have grown since."""
        committed = self.committed()
        if committed is None:
            return  # the next look will tell
        progress = progress_of(self._bootstrap, self._app)
        strays = {(one.partition(), one.offset()) for one in messages_of(self._bootstrap, ["strays"])}
        for (topic, number), offset in committed.items():
            applied = progress[number].applied.get(topic, -1) if number in progress else -1
            missed = range(applied + 1, offset)
            if topic == "strays":  # where transactions end there are offsets without a record
                missed = [one for one in missed if (number, one) in strays]
            assert not missed, f"{topic}, partition {number}: {offset} committed, {applied} applied"
            self.compared += 1
