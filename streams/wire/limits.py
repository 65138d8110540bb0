"""What the fields of an input record may hold: limits that the checks and the compiled decoders share."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Literal, NamedTuple

from streams.topics import TOPICS
from streams.wire.schemas import shipped
from streams.wire.times import LATEST

#: Of a value on a topic, in bytes. Brokers take 1 MB unless told otherwise.
MAX_VALUE_BYTES: Final = 1_000_000
#: Of a key on a topic, and of the texts that are ids, in bytes.
MAX_ID_BYTES: Final = 1_000
MAX_ATTRIBUTES: Final = 64
MAX_ATTRIBUTE_BYTES: Final = 1_000
#: Of any other text, in bytes. A lead's state and the records made of it hold texts, and must fit on their topics.
MAX_TEXT_BYTES: Final = 1_000
#: Of the texts that browsers write, which are long in earnest.
MAX_LONG_TEXT_BYTES: Final = 8_000
_LONG_TEXTS: Final = frozenset({"url", "referrer", "user_agent"})
#: Of a double, either way: more than any sum of money in any currency. Points are made of it, and must stay finite.
MAX_NUMBER: Final = 10**18
#: What an Avro int can hold, and what a double can hold exactly: whoever reads JSON may have no other number.
_MOST: Final = {"int": 2**31 - 1, "long": 2**53 - 1}


class Limit(NamedTuple):
    """`id`: a text that isn't empty, of at most `most` bytes. `text`: at most so many bytes. `count` and `time`: from 0
    to `most`. `number`: from -`most` to `most`. `attributes`: a map of at most `most` keys, each text at most
    MAX_ATTRIBUTE_BYTES.
    """

    kind: Literal["id", "text", "count", "time", "number", "attributes"]
    most: int


@cache
def limits_of(topic: str) -> dict[str, Limit]:
    """The limits of the fields of an input topic's record that have one, in the record's order."""
    ids = {"event_id", "lead_id", TOPICS[topic].key_field}
    found = {}
    for field in shipped().of_topic(topic).declaration["fields"]:
        limit = _limit_of(field, ids)
        if limit is not None:
            found[field["name"]] = limit
    return found


def _limit_of(field: dict[str, Any], ids: set[str]) -> Limit | None:
    avro = field["type"][-1] if isinstance(field["type"], list) else field["type"]
    if field["name"] in ids:
        return Limit("id", MAX_ID_BYTES)
    if avro == "double":
        return Limit("number", MAX_NUMBER)
    if avro == "string":
        return Limit("text", MAX_LONG_TEXT_BYTES if field["name"] in _LONG_TEXTS else MAX_TEXT_BYTES)
    if isinstance(avro, str) and avro in _MOST:  # they count something: milliseconds, employees
        return Limit("count", _MOST[avro])
    if isinstance(avro, dict) and avro.get("logicalType") == "timestamp-millis":
        return Limit("time", LATEST)
    if isinstance(avro, dict) and avro["type"] == "map":
        return Limit("attributes", MAX_ATTRIBUTES)
    return None
