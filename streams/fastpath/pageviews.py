"""What the compiled short way needs to know of the schema and of the model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network
from types import ModuleType
from typing import Any, Protocol

from streams.engine import envelope
from streams.engine.compiled import compiled
from streams.engine.envelope import READ
from streams.engine.seam import Item, PackedBatch, Ran, Record
from streams.qualification.due import thresholds_of
from streams.qualification.interest import MAX_AGE_DAYS, STRONGEST
from streams.qualification.lead import LONGEST_TEXT, VISITOR, Lead
from streams.qualification.memory import REMEMBERED_EVENTS, host_of
from streams.qualification.model.values import LOWEST_BAND, Model, Rule
from streams.qualification.noise import is_bot, is_internal
from streams.qualification.state import pack
from streams.topics import TOPICS
from streams.wire.codec import Codec
from streams.wire.limits import MAX_VALUE_BYTES, limits_of
from streams.wire.schemas import shipped
from streams.wire.validation import MAX_AGE_MS

log = logging.getLogger(__name__)

#: Where the compiled part is.
MODULE = "streams.fastpath._native"
TOPIC = "page-views"
_KIND = "page_view"
#: Verdicts on pages, user agents and addresses that are remembered, each: as many as a large site has.
_REMEMBERED = 16_384
#: The only number of a page view that points can be measured by.
_MEASURED = "duration_ms"


class Counter(Protocol):
    """What hears of what is done here."""

    def ignored(self, reason: str, records: int, partition: int) -> None: ...


class ViewReader:
    """Reads chunks of page views. `under` gives the way on from there, for one model."""

    def __init__(self, codec: Codec, native: ModuleType) -> None:
        self.codec = codec
        self.native = native
        self.decoder = native.Decoder(_shapes(), MAX_VALUE_BYTES, MAX_AGE_MS)
        self._accepted: set[bytes] = set()

    @classmethod
    def compiled(cls, codec: Codec) -> ViewReader | None:
        """None where there is no compiled part."""
        native = compiled(MODULE)
        return None if native is None else cls(codec, native)

    def decode(self, records: Sequence[Record], otherwise: Callable[[Record], Item]) -> list[tuple[Record, Item]]:
        """Each record with its item, by `otherwise` where it is not a plain page view. Of a plain one the item is the
        record, too, where the record was not made into an object before.
        """
        if not records or records[0].topic != TOPIC:
            return [(record, otherwise(record)) for record in records]

        def learn(record: Record) -> Item:
            item = otherwise(record)
            prefix = self.codec.own_prefix(TOPIC, record.value)
            if prefix is not None and prefix not in self._accepted:
                self._accepted.add(prefix)
                self.decoder.accept(prefix)
            return item

        views: list[tuple[Record, Item]] = self.decoder.decode(records, learn)
        return views

    def under(self, model: Model, partitions: int, counter: Counter) -> PageViews | None:
        """The short way under `model`; None for a model that asks more than it can do."""
        try:
            return PageViews(self, model, partitions, counter)
        except (ValueError, OverflowError) as error:
            log.info("page views go the long way: %s", error)
            return None


class PageViews:
    """A `Shortcut` of the engine. Raises ValueError for a model that it can't serve."""

    label = VISITOR

    def __init__(self, reader: ViewReader, model: Model, partitions: int, counter: Counter) -> None:
        if model.facts_on.get(_KIND):
            raise ValueError("the model has facts of page views")
        self._reader = reader
        self._counter = counter
        self._stepper = reader.native.Stepper(**_described(reader, model, partitions))

    def decode(self, records: Sequence[Record], otherwise: Callable[[Record], Item]) -> list[tuple[Record, Item]]:
        """See `ViewReader.decode`."""
        return self._reader.decode(records, otherwise)

    def run(self, items: list[tuple[Record, Item]], start: int, batch: PackedBatch) -> Ran:
        """Take views into their leads, but those that take more: see `engine.seam.Shortcut`."""
        ran = Ran(
            *self._stepper.run(
                items, start, batch.values, batch.opened, batch.packed, batch.stream_time, batch.partition
            )
        )
        if ran.end > start:
            for reason, records in self._stepper.take_ignored().items():
                self._counter.ignored(reason, records, batch.partition)
        return ran


def _described(reader: ViewReader, model: Model, partitions: int) -> dict[str, Any]:
    """The model as the compiled part takes it.

    What it calls must not lead back to it: it is not among what is searched for circles.
    """
    matrix, noise, codec = model.matrix, model.noise, reader.codec
    names, rules = list(model.groups), model.rules.get(_KIND, ())
    looked_at = frozenset[str]().union(*(rule.when.fields for rule in rules))

    def verdict(value: bytes) -> tuple[int, ...]:
        """The rules that give for the page view in a record's value, by their places."""
        fields = codec.decode_valid(TOPIC, value)
        assert fields is not None, "what the compiled decoder takes, this one takes too"
        giving = model.matching(_KIND, fields)
        return tuple(next(place for place, rule in enumerate(rules) if rule is one) for one in giving)

    return {
        "decoder": reader.decoder,
        "identity": model.identity,
        "lead_fields": Lead.__struct_fields__,
        "fresh": pack(Lead("", 0)),
        "groups": tuple((name, one.half_life_ms, one.floor, one.cap) for name, one in model.groups.items()),
        "rules": tuple(_described_rule(rule, names) for rule in rules),
        "paths": tuple(
            (path.fact is not None, path.fit is not None, path.fit or 0.0, path.interest is not None,
             path.interest or 0.0)
            for path in model.sql_paths
        ),
        "bands": model.fit_bands,
        "lowest_band": LOWEST_BAND,
        "cells": (*matrix.high, *matrix.low),
        "thresholds": (matrix.high_fit, matrix.warm, matrix.hot, model.mql.interest, model.mql.fit),
        "inactive_after": model.inactivity.after_ms if model.inactivity is not None else None,
        "times": (model.visitor_ttl_ms, model.grace_ms),
        "limits": (STRONGEST, REMEMBERED_EVENTS, MAX_AGE_DAYS, LONGEST_TEXT),
        "networks": tuple(
            (int(one.network_address), int(one.netmask)) for one in noise.internal if isinstance(one, IPv4Network)
        ),
        "checks_bots": noise.bots,
        "checks_internal": bool(noise.internal),
        "looked_at": tuple(sorted(looked_at)),
        "versions": bytes(READ),
        "version": envelope.VERSION,
        "partitions": partitions,
        "remembered": _REMEMBERED,
        "verdict": verdict,
        "is_bot": is_bot,
        "is_internal": lambda ip: is_internal(ip, noise),
        "same_host": lambda one, other: host_of(one) == host_of(other),
        "watched": lambda stage, low_touch, fit: thresholds_of(model, stage, bool(low_touch), fit),
    }  # fmt: skip


def _described_rule(rule: Rule, groups: Sequence[str]) -> tuple[Any, ...]:
    per = rule.points_per
    if per is not None and per.field != _MEASURED:
        raise ValueError(f"the rule {rule.name} measures {per.field}")
    return (
        rule.name,
        groups.index(rule.group),
        rule.points is not None,
        rule.points or 0.0,
        per.each if per is not None else 1.0,
        per.points if per is not None else 0.0,
        -1 if per is None or per.at_most is None else per.at_most,
        -1 if rule.at_most is None else rule.at_most,
    )


@lru_cache(maxsize=1)
def _shapes() -> tuple[tuple[str, bool, bool, int, int], ...]:
    """(name, is text, nullable, least, most) of each field; sizes of texts are in bytes."""
    limits = limits_of(TOPIC)
    shapes = []
    for field in shipped().of_topic(TOPIC).declaration["fields"]:
        nullable = isinstance(field["type"], list)
        avro = field["type"][-1] if nullable else field["type"]
        limit = limits[field["name"]]
        kind = avro if isinstance(avro, str) else avro["type"]
        if kind not in ("string", "long"):
            raise ValueError(f"{TOPIC} has a field of type {kind}")
        shapes.append((field["name"], kind == "string", nullable, int(limit.kind == "id"), limit.most))
    assert TOPICS[TOPIC].key_field == "lead_id", "the compiled decoder compares the key to the lead's id"
    return tuple(shapes)
