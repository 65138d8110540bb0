"""What the relay would send: every record on the topics, planned for every target, the requests printed instead."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from streams.kafka import reader_config, require_topics
from streams.reading import read_to_end
from streams.relay.building import build_dry, pretending
from streams.relay.exchange import Delivered, Request, Response, Skipped
from streams.relay.intake import Raw, Unreadable, item_of, raw_of
from streams.relay.lanes import Item
from streams.relay.memory import NOTHING, Remembered
from streams.relay.settings import TOPICS, Targets
from streams.wire.codec import Codec


class PrintingSender:
    """Prints each request as a JSON line, secrets left out, and answers in the target's place."""

    def __init__(self, target: str, answer: Callable[[Request], Response]) -> None:
        self._target = target
        self._answer = answer

    async def send(self, request: Request) -> Response:
        body = request.body if request.raw is None else msgspec.Raw(request.raw)
        line = {"target": self._target, "method": request.method, "url": str(request.url), "body": body}
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        return self._answer(request)


def dry_run(bootstrap: str, targets: Targets, schema_registry: str | None = None) -> None:
    """Print what each target would be sent of all that is on the topics now, record by record; nothing is sent, no
    offset is kept, no secret is read. Raises BrokerUnreachable, TopicsMissing.
    """
    codec = Codec(schema_registry)
    asyncio.run(rehearse(list(_records(bootstrap)), targets, codec))
    sys.stdout.buffer.flush()


async def rehearse(raws: list[Raw], targets: Targets, codec: Codec) -> None:
    """Plan records for every target, and print the requests; how many there would be goes to standard error."""

    def now() -> int:
        return time.time_ns() // 1_000_000

    for name, settings in targets.targets.items():
        target = build_dry(settings, PrintingSender(name, pretending(settings)), now)
        memory: dict[str, Remembered] = {}
        counts: dict[str, int] = {}
        for item in _in_order(raws, settings.topics, f"relay:{name}", codec):
            known = memory.get(item.lead_id, NOTHING)
            plan: Any = target.plan(item, known, now())
            outcome = plan if isinstance(plan, Skipped) else (await target.deliver([plan]))[0]
            if not isinstance(plan, Skipped) and plan.remember is not None:
                memory[item.lead_id] = _remembered(plan.remember, outcome)
            word = f"skipped ({outcome.reason})" if isinstance(outcome, Skipped) else "would be delivered"
            counts[word] = counts.get(word, 0) + 1
        said = ", ".join(f"{number} {word}" for word, number in sorted(counts.items())) or "nothing on the topics"
        print(f"{name}: {said}", file=sys.stderr)


def _remembered(remember: Remembered, outcome: Any) -> Remembered:
    """As after a delivery: also what asks for no request, such as an erasure that is not passed on, is heard of."""
    return msgspec.structs.replace(remember, crm_id=outcome.crm_id) if isinstance(outcome, Delivered) else remember


def _in_order(raws: list[Raw], topics: tuple[str, ...], consumer: str, codec: Codec) -> Iterator[Item]:
    items = []
    for raw in raws:
        if raw.topic in topics:
            found = item_of(raw, "", consumer, codec, 0.0)
            if isinstance(found, Item):
                items.append(found)
            elif isinstance(found, Unreadable):
                print(f"{raw.topic} {raw.partition}/{raw.offset}: {found.bad.detail}", file=sys.stderr)
    return iter(sorted(items, key=lambda item: item.order))


def _records(bootstrap: str) -> Iterator[Raw]:
    topics = require_topics(bootstrap, TOPICS).topics
    places = [(topic, number) for topic in TOPICS for number in topics[topic].partitions]
    return map(raw_of, read_to_end(reader_config(bootstrap), places))
