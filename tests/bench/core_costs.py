"""What the pure core costs, in microseconds of processor time: `python tests/bench/core_costs.py`.

First page views and a mixed stream through `step`, alone and with unpacking and packing the lead each time, as the
worker does. Then each kind of rule: ten rules of it beside the default model, "new" for values that were never seen
before, "seen" for those whose verdict is remembered. The least of many short rounds.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from handmade import activity, download, page_view, pricing

from streams.fastpath import States
from streams.modelfile import read_text
from streams.qualification.events import Event
from streams.qualification.lead import Lead
from streams.qualification.model.loading import load_model
from streams.qualification.model.values import Model
from streams.qualification.step import judged_at, step_owned

ROUNDS, EVENTS, LEADS = 15, 2_000, 500
START = 1_793_523_600_000
STATES = States()
_FILLERS = {
    "pattern": 'when: {{url: "*/never-{n}/*"}}',
    "pattern with several parts": 'when: {{url: "*/a{n}*b*c*|*/d{n}*e*"}}',
    "list": "when: {{utm_source: [never-{n}, no-{n}, nil-{n}]}}",
    "at_least": "when: {{duration_ms: {{at_least: 99{n}00000}}}}",
    "between": "when: {{duration_ms: {{between: [99{n}00000, 99{n}00001]}}}}",
    "has": 'when: {{title: {{has: "never {n}"}}}}',
    "lacks": 'when: {{title: {{lacks: page}}, url: "*/never-{n}/*"}}',
    "regular expression": 'when: {{url: {{matches: "/never-{n}/[a-z]+$"}}}}',
    "two fields": 'when: {{url: "*/pricing*", utm_source: never-{n}}}',
    "also, points_per": 'when: {{url: "*/never-{n}/*"}}, also: true',
    "at_most (matches)": 'when: {{url: "*"}}, also: true, at_most: 3 per day',
    "also (matches)": 'when: {{url: "*"}}, also: true',
}


def main() -> None:
    text, _ = read_text()
    model = load_model(text, "default.yaml")
    views = views_of(seen=True)
    for name, events in (("page views", views), ("mixed", mixed_of())):
        alone, packed = cost(model, events), cost(model, events, packed=True)
        print(
            f"{name}: {alone:.1f} us an event, {packed:.1f} with the lead unpacked and packed; "
            f"{1e6 / alone:,.0f} and {1e6 / packed:,.0f} events a second and core"
        )
    sizes = [len(STATES.pack(lead)) for lead in told(model, views).values()]
    print(f"a visitor with {EVENTS // LEADS} views: {sum(sizes) / len(sizes):.0f} bytes packed")
    print("ten more rules that are asked for each page view, us an event:")
    for name, filler in _FILLERS.items():
        points = "points_per: {field: duration_ms, each: 60000, points: 1}" if "points_per" in name else "points: 1"
        rules = "".join(
            f"\n  - {{name: filler {n}, on: page_view, {filler.format(n=n)}, group: web, {points}}}" for n in range(10)
        )
        more = load_model(text.replace("\ninterest:", "\ninterest:" + rules, 1), "bench.yaml")
        found = {}
        for seen in (True, False):
            events = views_of(seen)
            base, longer = least(model, more, events)
            found[seen] = longer - base
        print(f"  {name:28} seen {found[True]:5.1f}   new {found[False]:5.1f}")


def views_of(seen: bool) -> list[Event]:
    """Page views of many leads; `seen`: of few pages."""
    chance = random.Random(1)
    made = []
    for number in range(EVENTS):
        at = START + number * 1_000
        page = f"https://example.com/page-{number if not seen else number % 50}"
        fields: dict[str, Any] = {"duration_ms": 30_000, "title": "A page", "utm_source": "mail"}
        one = pricing(at, **fields) if chance.random() < 1 / 6 else page_view(at, page, **fields)
        made.append(one)
    return made


def mixed_of() -> list[Event]:
    chance, made = random.Random(2), []
    for number in range(EVENTS):
        at = START + number * 1_000
        drawn = chance.random()
        if drawn < 0.8:
            made.append(page_view(at, f"https://example.com/page-{number % 50}"))
        elif drawn < 0.9:
            made.append(download(at))
        else:
            made.append(activity(at, "webinar_attended"))
    return made


def told(model: Model, events: Sequence[Event], packed: bool = False) -> dict[int, Any]:
    """Every lead's state after all events; the n-th lead has every n-th event."""
    leads: dict[int, Any] = {}
    due: dict[int, int | None] = {}
    stream_time = 0
    for number, event in enumerate(events):
        who = number % LEADS
        lead = leads.get(who)
        if packed and lead is not None:
            lead = STATES.unpack(lead)
        assert lead is None or isinstance(lead, Lead)
        at = judged_at(lead, event, stream_time, model)
        after = step_owned(lead, event, at, model, due.get(who))
        stream_time = max(stream_time, event.occurred_at)
        assert after.lead is not None
        leads[who], due[who] = STATES.pack(after.lead) if packed else after.lead, after.due
    return leads


def cost(model: Model, events: Sequence[Event], packed: bool = False) -> float:
    """Microseconds an event, of the best round."""
    return min(_round(model, events, packed) for _ in range(ROUNDS))


def least(one: Model, other: Model, events: Sequence[Event]) -> tuple[float, float]:
    """The best rounds of two models, taken in turns. Verdicts on new values are remembered: each round forgets them."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for index, model in enumerate((one, other)):
            model._matchers.clear()
            best[index] = min(best[index], _round(model, events, False))
    return best[0], best[1]


def _round(model: Model, events: Sequence[Event], packed: bool) -> float:
    began = time.process_time()
    told(model, events, packed)
    return (time.process_time() - began) / len(events) * 1e6


if __name__ == "__main__":
    main()
