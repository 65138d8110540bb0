"""The events of a chaos run, published in rounds: `python workload.py BOOTSTRAP SEED EVENTS SECONDS PARTITIONS`.

What makes the outcome known beforehand, whatever happens to workers and broker:

- Events are published in the order of their time, 60 days of them, by one idempotent producer. A round is on the broker
  before the next one begins, and within a round all events of a lead are on one topic. So whatever a lead did earlier
  is on the broker before what it did later on another topic.
- All of it is history: it happened months before it arrives. Of history the engine believes that another topic is empty
  only when it saw so after it had the record (`streams.engine.merge`), so a lead's events are applied in order.
- Events of different leads may pass each other by up to a round. The model's `grace` is scaled with the time that was
  compressed, and is longer than a round.

Who is who is told at the end, in a day and a half of events, which is less than `grace`: so what goes from one
partition to another is judged as of its own time whenever it arrives. A known lead does nothing by itself after a link
to it, so that all that it does then comes by the alias's partition, in order. Some leads' events are on a wrong one.

Damaged records are among the others, marked with a header that nothing but the verdict reads.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Producer

from streams.kafka import producer_config
from streams.partitioning import partition_of
from streams.wire.codec import Codec

DAY = 86_400_000
SPAN = 60 * DAY
#: 2026-06-01T00:00:00Z
START = 1_780_272_000_000
ROUND = 200
BAD = ("bad", b"1")
_LEADS_PER_EVENT = 1 / 12
#: How much of the events is about people of two ids, or of a wrong partition, and how much time that is.
_PEOPLE = 0.15
_PEOPLE_SPAN = DAY * 3 // 2

_TOPICS = {
    "page-views": 70.0,
    "email-opens": 8.0,
    "downloads": 5.0,
    "activities": 4.0,
    "lead-profiles": 6.0,
    "demo-bookings": 2.0,
    "sales-feedback": 2.0,
    "erasures": 0.3,
}
_BEHAVIOUR = {topic: weight for topic, weight in _TOPICS.items() if topic != "erasures"}


class Made(NamedTuple):
    """A record to be published."""

    topic: str
    key: bytes | None
    value: bytes | None
    bad: bool
    #: None: where its key belongs
    partition: int | None = None


class Step(NamedTuple):
    """Something that a person does under an id: a topic, or a word on who is who."""

    topic: str
    id_: str
    of: str | None = None
    revoked: bool = False
    strays: bool = False


class Workload:
    """`count` records that are a function of `seed` alone, and of the number of partitions."""

    def __init__(self, seed: int, count: int, partitions: int) -> None:
        self._seed = seed
        self._partitions = partitions
        self._random = random.Random(seed)
        self._codec = Codec()
        self._count = count
        leads = max(20, int(count * _LEADS_PER_EVENT))
        self._leads = [f"lead-{seed}-{number}" for number in range(leads)]
        self._weights = list(accumulate(1 / (10 + number) for number in range(leads)))  # a few do most

    def rounds(self) -> Iterator[list[Made]]:
        """The records, in rounds that are to be on the broker one after the other."""
        room: list[Made] = []
        topic_of: dict[str, str] = {}
        for number, (person, step, at) in enumerate(self._all()):
            if topic_of.setdefault(person, step.topic) != step.topic or len(room) >= ROUND:
                yield room
                room, topic_of = [], {person: step.topic}
            room.append(self._made(step, number, at))
        yield room

    def _all(self) -> Iterator[tuple[str, Step, int]]:
        """(person, what they do, when)."""
        people = int(self._count * _PEOPLE)
        others = self._count - people
        for number in range(others):
            (topic,) = self._random.choices(list(_TOPICS), list(_TOPICS.values()))
            (lead,) = self._random.choices(self._leads, cum_weights=self._weights)
            yield lead, Step(topic, lead), START + SPAN * number // others
        begun: dict[str, list[Step]] = {}
        for number in range(people):
            if len(begun) < 40:
                person = f"person-{self._seed}-{number}"
                begun[person] = self._life(person)[::-1]
            person = self._random.choice(list(begun))
            yield person, begun[person].pop(), START + SPAN + _PEOPLE_SPAN * number // people
            if not begun[person]:
                del begun[person]

    def life_of(self, person: str) -> list[tuple[Step, dict[str, Any]]]:
        """What a person does, step by step, each with its event; all of it within less than `grace`."""
        made: list[tuple[Step, dict[str, Any]]] = []
        at = START + SPAN
        for number, step in enumerate(self._life(person)):
            at += self._random.randint(1_000, _PEOPLE_SPAN // 24)
            made.append((step, self._event_of(step, number, at)))
        return made

    def _life(self, person: str) -> list[Step]:
        """A visitor who turns out to be a lead, or a lead whose events stray."""
        if self._random.random() < 0.3:
            return [one._replace(strays=True) for one in self._behaviour(person, 8)]
        visitor, known = f"{person}-visitor", f"{person}-known"
        link = Step("identity-links", visitor, known)
        steps = [Step("lead-profiles", known), *self._behaviour(known, 3)] if self._random.random() < 0.8 else []
        steps += [*self._behaviour(visitor, 4), *[link] * self._random.choice([1, 1, 2]), *self._behaviour(visitor, 3)]
        if self._random.random() < 0.25:
            return steps + self._chain(visitor, f"{person}-older")
        end = self._random.random()
        if end < 0.3:
            steps += [link._replace(revoked=True), *self._behaviour(visitor, 2), link._replace(of=f"{person}-other")]
        elif end < 0.5:
            steps += [Step("erasures", visitor), *self._behaviour(visitor, 2)]
        return steps

    def _chain(self, visitor: str, older: str) -> list[Step]:
        """Somebody who turns out to be the visitor, who does nothing by itself any more: so all comes by one way."""
        link = Step("identity-links", older, visitor)
        steps = [*self._behaviour(older, 2), *[link] * self._random.choice([1, 1, 2]), *self._behaviour(older, 2)]
        if self._random.random() < 0.5:
            steps += [Step("erasures", older), *self._behaviour(older, 2)]
        return steps

    def _behaviour(self, id_: str, times: int) -> list[Step]:
        topics = self._random.choices(list(_BEHAVIOUR), list(_BEHAVIOUR.values()), k=times)
        return [Step(topic, id_) for topic in topics]

    def _made(self, step: Step, number: int, at: int) -> Made:
        topic, id_ = step.topic, step.id_
        if self._random.random() < 0.01:
            return self._bad(topic, id_, number, at)
        event = self._event_of(step, number, at)
        home = partition_of(id_.encode(), self._partitions)
        where = (home + 1) % self._partitions if step.strays else None
        return Made(topic, id_.encode(), self._codec.encode(topic, event), False, where)

    def _event_of(self, step: Step, number: int, at: int) -> dict[str, Any]:
        event = self._event(step.topic, step.id_, number, at)
        if step.topic == "identity-links":
            event |= {"lead_id": step.of, "anonymous_id": step.id_, "revoked": step.revoked}
        return event

    def _bad(self, topic: str, lead: str, number: int, at: int) -> Made:
        good = self._codec.encode(topic, self._event(topic, lead, number, at))
        old = self._codec.encode(topic, self._event(topic, lead, number, at - 800 * DAY))
        key = b"anonymous" if topic == "identity-links" else lead.encode()
        damages = [
            Made(topic, key, good[:-1], True),
            Made(topic, key, good + b"\x00", True),
            Made(topic, key, None, True),
            Made(topic, key, b"", True),
            Made(topic, key, b"\x00\x00\x00\x00\x07" + good[10:], True),
            Made(topic, key, b"\xc3\x01" + bytes(8) + good[10:], True),
            Made(topic, None, good, True),
            Made(topic, b"somebody-else", good, True),
            Made(topic, key, old, True),
        ]
        return self._random.choice(damages)

    def _event(self, topic: str, lead: str, number: int, at: int) -> dict[str, Any]:
        choose = self._random.choice
        made: dict[str, Any] = {"event_id": f"{lead}:{number}", "lead_id": lead, "occurred_at": at}
        if topic == "page-views":
            made |= {
                "url": f"https://www.example.com/{choose(['', 'blog', 'pricing', 'case-studies/one', 'docs'])}",
                "duration_ms": choose([None, 20_000, 130_000]),
                "utm_source": choose([None, None, "newsletter"]),
                "user_agent": choose([None, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Googlebot/2.1"]),
            }
        elif topic == "email-opens":
            made |= {"email_id": f"mail-{number % 50}", "sent_at": at - choose([2_000, 3_600_000])}
        elif topic == "downloads":
            made |= {"asset_id": f"paper-{number % 9}", "funnel_stage": choose(["TOP", "MIDDLE", "BOTTOM"])}
        elif topic == "activities":
            made |= {"kind": choose(["email_reply", "webinar_attended", "unsubscribe", "engaged"])}
        elif topic == "lead-profiles":
            made |= {
                "email": f"{lead}@example.com",
                "employees": choose([None, 5, 900]),
                "industry": choose([None, "software", "fishing"]),
                "job_title": choose([None, "Director of Sales", "student", "Clerk"]),
                "budget": choose(["UNKNOWN", "CONFIRMED", "ABSENT"]),
                "need": choose(["UNKNOWN", "CONFIRMED"]),
            }
        elif topic == "demo-bookings":
            made |= {"booking_id": f"{lead}-{number % 3}", "status": choose(["BOOKED", "CANCELLED", "ATTENDED"])}
        elif topic == "sales-feedback":
            dispositions = ["ACCEPTED", "REJECTED", "MEETING_HELD", "OPPORTUNITY", "WON", "LOST"]
            made |= {"disposition": choose(dispositions), "reason": choose([None, "no_budget", "timing"])}
        elif topic == "identity-links":
            made |= {"anonymous_id": lead}
        return made


def publish(bootstrap: str, workload: Workload, seconds: float, count: int) -> None:
    """Publish all rounds, spread over `seconds`. A broker that is away is waited for."""
    producer = Producer({**producer_config(bootstrap), "delivery.timeout.ms": 600_000, "linger.ms": 5})
    failures: list[KafkaError] = []

    def heard(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    began, sent = time.monotonic(), 0
    for made in workload.rounds():
        for topic, key, value, bad, where in made:
            headers: list[tuple[str, str | bytes | None]] = [BAD] if bad else []
            partition = -1 if where is None else where
            producer.produce(topic, value, key, partition, headers=headers, on_delivery=heard)
        while producer.flush(10):
            pass
        assert not failures, failures
        sent += len(made)
        time.sleep(max(0.0, began + seconds * sent / count - time.monotonic()))


if __name__ == "__main__":
    _, address, seed, events, lasts, spread = sys.argv
    publish(address, Workload(int(seed), int(events), int(spread)), float(lasts), int(events))
