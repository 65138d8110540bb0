"""Where a batch is cut makes no difference: what is left of a window is handled as if all had come one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from both_ways import AGENTS, CODEC, PARTITIONS, PATHS, SHIPPED, SITES, Way, models, others, views
from handmade import DAY, HOUR, MINUTE, START
from hypothesis import given
from hypothesis import strategies as st
from model_events import drawn_event

from streams.engine.compiled import compiled
from streams.engine.seam import Output, PlainRecord, Progress
from streams.fastpath.pageviews import MODULE
from streams.partitioning import partition_of
from streams.qualification.model.values import Model

pytestmark = pytest.mark.skipif(compiled(MODULE) is None, reason="Python is here without its headers")
#: Leads of this partition and, so that some are strays, of the other.
IDS = sorted((f"id-{n}" for n in range(12)), key=lambda one: partition_of(one.encode(), PARTITIONS))[:8]


class Cut:
    """A partition that handles each stretch of a stream in batches and pieces of its own."""

    def __init__(self, model: Model, short: bool, dice: Random | None = None) -> None:
        self.way = Way(model, short)
        self._dice = dice

    def handle(self, records: list[PlainRecord], now: int | None, in_one: bool) -> list[Output]:
        """What leaves, in order. What is due is due at the beginning. `in_one` batch, though maybe in pieces."""
        outputs: list[Output] = []
        for first, end in self._between(len(records), 1.0 if in_one else 0.3):
            part = records[first:end]
            outputs += self.way.batch(part, now, [one for one, _ in self._between(len(part), 0.7)][1:]).outputs
            now = None
        return outputs

    def _between(self, count: int, uncut: float) -> list[tuple[int, int]]:
        dice = self._dice
        if dice is None or dice.random() < uncut or count < 2:
            return [(0, count)]
        places = [0, *sorted(dice.sample(range(1, count), dice.randrange(1, min(count, 12)))), count]
        return list(pairwise(places))


def lives(dice: Random) -> Iterator[tuple[str, dict[str, Any], int]]:
    """(topic, fields, arrival): mostly page views, in bursts of one lead, and between them all else that happens."""
    now, quiet = START, dice.choice([0.0, 0.9])
    for number in range(400):
        now += dice.choice([0, 0, 1, MINUTE, MINUTE, HOUR, dice.randrange(4 * DAY)])
        if number % 7 == 0 or dice.random() < 0.3:
            lead_id = dice.choice(IDS)
        at = now - dice.choice([0] * 8 + [MINUTE, 5 * DAY])
        what = dice.random() * (0.8 if dice.random() < quiet else 1.0)
        if what < 0.8:
            plain = {"url": dice.choice(SITES) + dice.choice(PATHS), "user_agent": AGENTS[2], "ip": None}
            yield "page-views", views(dice, at, lead_id) | (plain if what < 0.7 else {}), now
        elif what < 0.86:
            yield *others(dice, at, lead_id), now
        elif what < 0.94:
            yield *drawn_event(dice, number, at, lead_id, tuple(IDS)), now
        else:
            event = {"event_id": f"x{number}", "lead_id": lead_id, "occurred_at": at}
            odd = [("erasures", event), ("identity-links", event | {"anonymous_id": dice.choice(IDS)})]
            yield *dice.choice(odd), now


def stretches(dice: Random) -> Iterator[list[tuple[str, bytes, bytes, int]]]:
    """(topic, key, value, arrival) of what comes between two looks at the clock."""
    stretch = []
    for topic, fields, arrival in lives(dice):
        key = fields["anonymous_id" if topic == "identity-links" else "lead_id"].encode()
        value = CODEC.encode(topic, fields)
        if dice.random() < 0.02:
            value = value[: dice.randrange(len(value))]
        stretch.append((topic, key, value, arrival))
        if dice.random() < 0.02:
            yield stretch
            stretch = []
    yield stretch


def _by_key(outputs: list[Output]) -> list[Output]:
    """In order for each key: who is woken first depends on who came first into the state, that is on batches."""
    return sorted(outputs, key=lambda one: one.key or b"")


def _plain(progress: Progress) -> Progress:
    """Without labels that no key has any more: a batch leaves no trace of one that came and went in it."""
    return replace(progress, labels={label: count for label, count in (progress.labels or {}).items() if count})


@given(st.integers(0, 2**32))
def test_however_records_are_cut_into_batches_the_same_comes_of_them(seed: int) -> None:
    """Also where models are exchanged between batches; what a partition says to itself comes back to it."""
    dice = Random(seed)
    model = dice.choice([models(dice), *SHIPPED])
    whole, pure = Cut(model, True), Cut(model, False)
    ways = [whole, Cut(model, True, Random(seed)), Cut(model, True, Random(seed + 1)), pure]
    offset, now, echoes = 0, 0, list[Output]()
    for stretch in stretches(dice):
        arrivals = [arrival for *_, arrival in stretch]
        said = [("strays", one.key or b"", one.value or b"", max(arrivals, default=START)) for one in echoes]
        records = []
        for topic, key, value, arrival in said + stretch:
            records.append(PlainRecord(topic, 0, offset, arrival, key, value))
            offset += 1
        exchanged = dice.random() < 0.3  # in one batch: who is there at its end is woken
        if exchanged:
            offered = dice.choice([models(dice), *SHIPPED])
            for one in ways:
                one.way.logic.offer(offered)
        came = [one.handle(records, now, exchanged) for one in ways]
        for one, outputs in zip(ways, came, strict=True):
            assert _by_key(outputs) == _by_key(came[0])
            assert one.way.state.values == whole.way.state.values
            assert _plain(one.way.state.progress) == _plain(whole.way.state.progress)
            assert one.way.counted.counts == whole.way.counted.counts
        echoes = [one for one in came[0] if one.topic == "strays" and partition_of(one.key or b"", PARTITIONS) == 0]
        now = max([now, *arrivals]) - MINUTE
    assert whole.way.handled <= pure.way.handled
