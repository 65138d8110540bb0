"""Page views of many leads, made of a seed and loaded onto a broker."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate

from confluent_kafka import Producer

from streams.kafka import producer_config
from streams.wire.codec import Codec

#: population -> number of leads
LEADS = {"zipf": 50_000, "uniform": 200_000}
_PAGES = ("", "blog/decay", "blog/intent", "docs", "docs/api", "about", "features", "contact")
_WARM_PAGES = ("pricing", "case-studies/robotics", "case-studies/airways")
_BROWSERS = tuple(
    f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for version in range(100, 160)
)


def page_views(population: str, count: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """`count` (key, value) pairs over the last day, in order of time. A sixth are pricing pages and case studies."""
    chance, codec = random.Random(f"{population}/{seed}"), Codec()
    leads = LEADS[population]
    weights = list(accumulate(1 / (rank + 1) if population == "zipf" else 1.0 for rank in range(leads)))
    now = time.time_ns() // 1_000_000
    for number, (lead,) in enumerate(chance.choices(range(leads), cum_weights=weights, k=1) for _ in range(count)):
        lead_id = f"visitor-{population}-{lead:06}"
        view = {
            "event_id": f"{chance.getrandbits(128):032x}",
            "lead_id": lead_id,
            "occurred_at": now - 86_400_000 + 86_000_000 * number // count,
            "url": f"https://www.example.com/{chance.choice(_WARM_PAGES if chance.random() < 1 / 6 else _PAGES)}",
            "duration_ms": chance.choice((None, 30_000, 95_000)),
            "session_id": f"{lead_id}/{number % 7}",
            "referrer": chance.choice((None, "https://search.example/", "https://www.example.com/")),
            "title": "A page of the site",
            "anonymous_id": f"{chance.getrandbits(64):016x}",
            "user_agent": chance.choice(_BROWSERS),
            "ip": f"203.0.113.{lead % 255}",
        }
        yield lead_id.encode(), codec.encode("page-views", view)


def load(bootstrap: str, population: str, count: int) -> None:
    """Put the views onto page-views as they are made, some 50,000 a second."""
    publish(bootstrap, page_views(population, count))


def publish(bootstrap: str, views: Iterable[tuple[bytes, bytes]]) -> None:
    """Put (key, value) pairs onto page-views."""
    producer = Producer({**producer_config(bootstrap), "linger.ms": 50, "batch.num.messages": 10_000})
    for key, value in views:
        while True:
            try:
                producer.produce("page-views", value, key)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0, "not everything was published"
