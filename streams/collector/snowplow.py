"""The Snowplow tracker protocol: page views, page pings, structured and self-describing events, with their entities.

Fields by their names in the protocol: `e` event, `eid` id, `dtm`, `stm`, `ttm` times, `uid` user, `duid` the browser's
own visitor id, `nuid` the collector's, `aid` application, `ue_px` and `cx` base64, `ue_pr` and `co` plain JSON.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from streams.collector import values
from streams.collector.events import BadBody, Implied, Outcome, Refused, Unusable, Visit, event_of, judged
from streams.collector.lenient import read_leniently
from streams.collector.mapping import TrackerMapping, mapped_fields, profile_fields
from streams.collector.values import instant, mapping, sequence, text
from streams.wire.bad import BadRecord

PROTOCOL: Final = "snowplow"
MAX_EVENTS: Final = 2_500
_MAX_PARAMETERS: Final = 200
_IDS: Final = ("uid", "duid", "nuid", "tnuid")
_SESSION: Final = "client_session"


class _Payload(msgspec.Struct):
    """The self-describing JSON around events; they stay bytes, so that each can be refused by itself."""

    schema: str
    data: list[msgspec.Raw]


class Payload(NamedTuple):
    """One event as it came: its parameters, or why there are none, and its bytes."""

    parameters: Mapping[str, Any] | BadRecord
    original: bytes

    @property
    def app_id(self) -> str | None:
        """The application that it says it comes from."""
        return None if isinstance(self.parameters, BadRecord) else text(self.parameters.get("aid"))


_PAYLOAD: Final = msgspec.json.Decoder(_Payload)
_EVENT: Final = msgspec.json.Decoder(dict[str, Any])
_JSON: Final = msgspec.json.Decoder()
_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_post(body: bytes) -> list[Payload]:
    """The events in the body of a POST. Raises BadBody when it is no payload_data."""
    try:
        payload = read_leniently(_PAYLOAD, body)
    except _FAULTS as error:
        raise BadBody(f"no payload_data: {error}".replace("`", "")) from None
    if "/payload_data/" not in payload.schema:
        raise BadBody("no payload_data: its schema is another one")
    if len(payload.data) > MAX_EVENTS:
        raise BadBody(f"the payload has {len(payload.data):,} events; at most {MAX_EVENTS:,} are taken")
    found = []
    for raw in payload.data:
        original = bytes(raw)
        try:
            found.append(Payload(read_leniently(_EVENT, original), original))
        except _FAULTS as error:
            found.append(Payload(BadRecord("UNDECODABLE", f"no event: {error}".replace("`", "")), original))
    return found


def decode_get(query: str) -> list[Payload]:
    """The event in the query of a GET."""
    original = query.encode("utf-8", "replace")
    try:
        pairs = dict(parse_qsl(query, max_num_fields=_MAX_PARAMETERS))
    except ValueError:
        return [Payload(BadRecord("INVALID", f"more than {_MAX_PARAMETERS} parameters"), original)]
    return [Payload(pairs, original)]


def unnamed(payload: Payload) -> bool:
    """Whether the tracker says nothing of whose event it is, so that a cookie of ours has to."""
    found = payload.parameters
    return not isinstance(found, BadRecord) and not any(text(found.get(name)) for name in _IDS)


def outcomes(payload: Payload, visit: Visit, names: TrackerMapping) -> list[Outcome]:
    """The events of one payload, or its refusal."""
    parameters, original = payload
    if isinstance(parameters, BadRecord):
        return [Refused(PROTOCOL, parameters, original)]
    reading = _Reading(parameters, visit, names, original)
    try:
        reading.read()
    except Unusable as error:
        return [Refused(PROTOCOL, BadRecord("INVALID", str(error)), original, reading.lead_id)]
    return reading.outcomes


class _Described(NamedTuple):
    """A self-describing JSON: the name in its schema, and its data."""

    name: str
    data: Mapping[str, Any]


def _described(value: Any) -> _Described | None:
    """`{"schema": "iglu:vendor/name/jsonschema/1-0-0", "data": {...}}`."""
    found = mapping(value)
    schema = found.get("schema")
    parts = schema.removeprefix("iglu:").split("/") if isinstance(schema, str) else []
    return _Described(parts[1], mapping(found.get("data"))) if len(parts) == 4 else None


class _Reading:
    """One event on its way: who it is about and when it happened, worked out once."""

    __slots__ = (
        "_found",
        "_names",
        "_original",
        "_profile",
        "_visit",
        "anonymous_id",
        "at",
        "event_id",
        "lead_id",
        "outcomes",
        "user_id",
    )

    def __init__(self, found: Mapping[str, Any], visit: Visit, names: TrackerMapping, original: bytes) -> None:
        self._found = found
        self._visit = visit
        self._names = names
        self._original = original
        self._profile: Mapping[str, Any] | None = None
        self.outcomes: list[Outcome] = []
        self.event_id = text(found.get("eid")) or str(uuid.uuid4())
        self.at = self._happened()
        self.user_id = text(found.get("uid"))
        self.anonymous_id = text(found.get("duid")) or text(found.get("nuid")) or text(found.get("tnuid"))
        self.lead_id = self.user_id or self.anonymous_id

    def read(self) -> None:
        kind = self._found.get("e")
        described = self._self_describing() if kind == "ue" else None
        self._entities(described)
        if kind == "pv":
            self._page_view()
        elif kind == "pp":
            self._add("activities", kind="engaged", subject=self._url(), value=self._names.page_ping_seconds)
        elif kind == "se":
            self._structured()
        elif described is not None:
            if described.name not in self._names.profiles:
                self._tracked(described.data, described.name)
        elif isinstance(kind, str) and kind in _TRANSACTIONS:
            name, subject, value = _TRANSACTIONS[kind]
            worth = values.number(self._found.get(value))
            self._add("activities", kind=name, subject=text(self._found.get(subject)), value=worth)
        else:
            raise Unusable("e is none of pv, pp, se, ue, tr, ti")
        self._links()

    def _happened(self) -> int:
        true = instant(self._found.get("ttm"))
        if true is not None:
            return min(true, self._visit.received_at)
        device, sent = instant(self._found.get("dtm")), instant(self._found.get("stm"))
        return values.corrected(device, sent, self._visit.received_at)

    def _add(self, topic: str, suffix: str = "", /, **fields: Any) -> None:
        if self.lead_id is None:
            raise Unusable("no uid, duid or nuid: it can't be told whose event it is")
        event = event_of(topic, self.event_id + suffix, self.lead_id, self.at, **fields)
        self.outcomes.append(judged(topic, event, self._visit.received_at, self._original))

    def _url(self) -> str | None:
        return text(self._found.get("url"))

    def _page_view(self) -> None:
        url = self._url()
        if url is None:
            raise Unusable("pv: no url")
        source, medium, campaign = values.campaign_of(url)
        self._add(
            "page-views",
            url=url,
            title=text(self._found.get("page")),
            referrer=text(self._found.get("refr")),
            utm_source=source,
            utm_medium=medium,
            utm_campaign=campaign,
            session_id=text(self._found.get("sid")),
            anonymous_id=self.anonymous_id,
            user_agent=text(self._found.get("ua")) or self._visit.user_agent,
            ip=text(self._found.get("ip")) or self._visit.ip,
        )

    def _structured(self) -> None:
        category, action = text(self._found.get("se_ca")), text(self._found.get("se_ac"))
        if action is None:
            raise Unusable("se: no action")
        told = {"category": category, "label": text(self._found.get("se_la"))}
        told |= {"property": text(self._found.get("se_pr")), "value": text(self._found.get("se_va"))}
        # Labels and properties of structured events are named by nobody: each may be what an asset or booking needs.
        told |= {"title": told["label"], "id": told["property"]}
        self._tracked({name: value for name, value in told.items() if value}, action, f"{category} {action}")

    def _tracked(self, properties: Mapping[str, Any], name: str, fuller: str = "") -> None:
        targets = self._names.targets(fuller, name) or (self._names.otherwise,)
        for number, target in enumerate(targets):
            suffix = f":{number}" if number else ""
            if target.topic == "lead-profiles":
                self._add("lead-profiles", suffix, **profile_fields(target, properties))
            else:
                self._add(target.topic, suffix, **mapped_fields(target, properties, name, self.event_id))

    def _entities(self, described: _Described | None) -> None:
        """What entities tell: the session's own visitor id, and a person's traits."""
        for one in (described, *self._contexts()):
            if one is None:
                continue
            if one.name in self._names.profiles:
                self._profile = one.data
            elif one.name == _SESSION and self.anonymous_id is None:
                self.anonymous_id = text(one.data.get("userId"))
        self.anonymous_id = self.anonymous_id or self._visit.visitor
        email = values.email_address(self._profile.get("email")) if self._profile else None
        self.lead_id = self.user_id or (f"email:{email}" if email else self.anonymous_id)
        if self._profile is not None:
            self._add("lead-profiles", ":profile", **profile_fields(self._names.traits, self._profile))

    def _contexts(self) -> Iterator[_Described | None]:
        for one in sequence(mapping(self._json("cx", "co")).get("data")):
            yield _described(one)

    def _self_describing(self) -> _Described:
        outer = mapping(self._json("ue_px", "ue_pr"))
        inner = _described(outer.get("data"))
        if inner is None:
            raise Unusable("ue: no self-describing JSON in ue_px or ue_pr")
        return inner

    def _json(self, encoded: str, plain: str) -> Any:
        value = self._found.get(encoded)
        try:
            if isinstance(value, str) and value:
                padded = value + "=" * (-len(value) % 4)
                plain_bytes = base64.b64decode(padded.replace("+", "-").replace("/", "_"), b"-_", validate=True)
                return read_leniently(_JSON, plain_bytes)
            value = self._found.get(plain)
            return read_leniently(_JSON, value.encode()) if isinstance(value, str) and value else None
        except (*_FAULTS, binascii.Error, ValueError):
            raise Unusable(f"{encoded} or {plain} holds no JSON") from None

    def _links(self) -> None:
        if self.anonymous_id and self.lead_id and self.anonymous_id != self.lead_id:
            received_at = self._visit.received_at
            self.outcomes.append(
                Implied(self.event_id, self.anonymous_id, self.lead_id, self.at, received_at, self._original)
            )


#: Event -> (kind of activity, parameter with the subject, parameter with the value).
_TRANSACTIONS: Final[dict[Any, tuple[str, str, str]]] = {
    "tr": ("transaction", "tr_id", "tr_tt"),
    "ti": ("transaction_item", "ti_sk", "ti_pr"),
}
