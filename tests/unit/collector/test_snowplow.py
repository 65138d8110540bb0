"""Snowplow's tracker protocol becomes our events."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collector import snowplow
from streams.collector.events import Accepted, BadBody, Implied, Outcome, Refused, Visit
from streams.collector.mapping import read_mapping
from streams.collector.snowplow import decode_get, decode_post
from streams.wire.codec import Codec

MAPPING = read_mapping()
CODEC = Codec()
NOW = 1_795_521_600_000
VISIT = Visit(NOW, "203.0.113.9", "Mozilla/5.0", None)
ENVELOPE = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"


def payload(*events: Any) -> bytes:
    return json.dumps({"schema": ENVELOPE, "data": events}).encode()


def outcomes(event: dict[str, Any], visit: Visit = VISIT) -> list[Outcome]:
    (one,) = decode_post(payload({"eid": "e-1", **event}))
    return snowplow.outcomes(one, visit, MAPPING)


def events(event: dict[str, Any], visit: Visit = VISIT) -> dict[str, dict[str, Any]]:
    found = [one.told() if isinstance(one, Implied) else one for one in outcomes(event, visit)]
    assert all(isinstance(one, Accepted) for one in found), found
    return {one.topic: one.event for one in found if isinstance(one, Accepted)}


def described(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"schema": f"iglu:com.example/{name}/jsonschema/1-0-0", "data": data}


def unstruct(name: str, data: dict[str, Any]) -> str:
    outer = "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0"
    return json.dumps({"schema": outer, "data": described(name, data)})


def contexts(*entities: dict[str, Any]) -> str:
    return json.dumps({"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1", "data": entities})


def in_base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_page_view_has_its_address_campaign_session_and_browser_and_links_the_visitor() -> None:
    url = "https://site.example/pricing?utm_source=news&utm_medium=email"
    found = events({"e": "pv", "url": url, "page": "Pricing", "refr": "https://r.example/", "duid": "d", "uid": "u",
                    "sid": "s-1"})  # fmt: skip
    view = found["page-views"]
    assert (view["event_id"], view["lead_id"], view["anonymous_id"]) == ("e-1", "u", "d")
    assert (view["url"], view["title"], view["referrer"], view["session_id"]) == (
        url,
        "Pricing",
        "https://r.example/",
        "s-1",
    )
    assert (view["utm_source"], view["utm_medium"], view["utm_campaign"]) == ("news", "email", None)
    assert (view["ip"], view["user_agent"]) == ("203.0.113.9", "Mozilla/5.0")
    assert (found["identity-links"]["anonymous_id"], found["identity-links"]["lead_id"]) == ("d", "u")


def test_a_page_ping_is_engagement_of_the_heartbeats_length() -> None:
    ping = events({"e": "pp", "url": "https://site.example/", "duid": "d"})["activities"]
    assert (ping["kind"], ping["value"], ping["subject"], ping["lead_id"]) == (
        "engaged",
        10.0,
        "https://site.example/",
        "d",
    )


def test_a_structured_event_goes_by_its_category_and_action() -> None:
    demo = events({"e": "se", "se_ca": "Demo", "se_ac": "Booked", "se_pr": "b-1", "uid": "u"})["demo-bookings"]
    assert (demo["status"], demo["booking_id"]) == ("BOOKED", "b-1")
    down = events({"e": "se", "se_ca": "content", "se_ac": "download", "se_la": "Guide", "uid": "u"})["downloads"]
    assert (down["asset_id"], down["title"]) == ("Guide", "Guide")
    other = events({"e": "se", "se_ca": "video", "se_ac": "play", "se_va": "3.5", "uid": "u"})["activities"]
    assert (other["kind"], other["value"], other["attributes"]["category"]) == ("play", 3.5, "video")


@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "plain"])
def test_a_self_describing_event_and_its_entities_are_read_in_both_encodings(encoded: bool) -> None:
    event = unstruct("demo_booked", {"booking_id": "b-7", "product": "Plätförm?>"})
    entities = contexts(described("lead", {"email": "Ada@Example.com", "employees": 300, "job_title": "CTO"}))
    fields = {"ue_px": in_base64(event), "cx": in_base64(entities)} if encoded else {"ue_pr": event, "co": entities}
    found = events({"e": "ue", "uid": "u", "duid": "d", **fields})
    assert (found["demo-bookings"]["booking_id"], found["demo-bookings"]["product"]) == ("b-7", "Plätförm?>")
    profile = found["lead-profiles"]
    assert (profile["lead_id"], profile["email"], profile["employees"]) == ("u", "Ada@Example.com", 300)
    assert profile["event_id"] == "e-1:profile"


def test_an_entity_with_an_email_names_the_lead_where_no_user_id_does() -> None:
    entities = contexts(described("user", {"email": "Ada@Example.com"}))
    found = events({"e": "pv", "url": "https://x.example", "duid": "d", "co": entities})
    assert found["page-views"]["lead_id"] == "email:ada@example.com"
    assert found["identity-links"]["anonymous_id"] == "d"


def test_a_self_describing_event_named_after_a_profile_is_a_profile_alone() -> None:
    found = events({"e": "ue", "uid": "u", "ue_pr": unstruct("identify", {"email": "a@b.example"})})
    assert found.keys() == {"lead-profiles"}


def test_the_session_entity_tells_the_visitor_where_the_tracker_does_not() -> None:
    entities = contexts(described("client_session", {"userId": "device-1", "sessionId": "s"}))
    assert events({"e": "pv", "url": "https://x.example", "co": entities})["page-views"]["lead_id"] == "device-1"


def test_a_link_click_becomes_an_activity_about_where_it_led() -> None:
    click = events({"e": "ue", "duid": "d", "ue_pr": unstruct("link_click", {"targetUrl": "https://t.example"})})
    assert (click["activities"]["kind"], click["activities"]["subject"]) == ("link_click", "https://t.example")


def test_a_transaction_is_an_activity_with_its_worth() -> None:
    done = events({"e": "tr", "uid": "u", "tr_id": "o-1", "tr_tt": "99.5"})["activities"]
    assert (done["kind"], done["subject"], done["value"]) == ("transaction", "o-1", 99.5)


def test_the_devices_clock_is_corrected_and_a_true_time_is_believed() -> None:
    view = {"e": "pv", "url": "https://x.example", "duid": "d"}
    wrong = {"dtm": str(NOW + 3_600_000), "stm": str(NOW + 3_605_000)}
    assert events({**view, **wrong})["page-views"]["occurred_at"] == NOW - 5_000
    assert events({**view, **wrong, "ttm": str(NOW - 60_000)})["page-views"]["occurred_at"] == NOW - 60_000
    assert events({**view, "dtm": str(NOW - 1000)})["page-views"]["occurred_at"] == NOW - 1000


def test_our_cookie_names_a_visitor_whom_the_tracker_does_not_name() -> None:
    view = {"e": "pv", "url": "https://x.example"}
    assert events(view, VISIT._replace(visitor="cookie-1"))["page-views"]["lead_id"] == "cookie-1"
    (one,) = outcomes(view)
    assert isinstance(one, Refused)
    assert one.bad.detail == "no uid, duid or nuid: it can't be told whose event it is"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"e": "xx", "uid": "u"}, "e is none of pv, pp, se, ue, tr, ti"),
        ({"e": ["pv"], "uid": "u"}, "e is none of"),
        ({"e": "pv", "uid": "u"}, "pv: no url"),
        ({"e": "se", "uid": "u"}, "se: no action"),
        ({"e": "ue", "uid": "u"}, "ue: no self-describing JSON"),
        ({"e": "ue", "uid": "u", "ue_px": "!!!"}, "ue_px or ue_pr holds no JSON"),
        ({"e": "ue", "uid": "u", "ue_pr": "{"}, "ue_px or ue_pr holds no JSON"),
        ({"e": "pv", "uid": "u", "url": "https://x.example", "cx": "eyI"}, "cx or co holds no JSON"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_reason(event: dict[str, Any], reason: str) -> None:
    (one,) = outcomes(event)
    assert isinstance(one, Refused)
    assert reason in one.bad.detail


@pytest.mark.parametrize("odd", [5, True, "text", {"a": 1}, [5], [[]], {"data": 5}, {"data": True}])
def test_entities_that_are_none_cost_no_event(odd: object) -> None:
    (view,) = outcomes({"e": "pv", "uid": "u", "url": "https://x.example", "co": json.dumps(odd)})
    assert isinstance(view, Accepted)


def test_each_event_of_a_payload_is_judged_by_itself_and_refused_with_its_own_bytes() -> None:
    body = (
        b'{"schema":"%s","data":[{"e":"pv","url":"https://x.example","duid":"d"}, 7, {"e": "?"}]}' % ENVELOPE.encode()
    )
    good, number, odd = (snowplow.outcomes(one, VISIT, MAPPING) for one in decode_post(body))
    assert isinstance(good[0], Accepted)
    assert isinstance(number[0], Refused)
    assert number[0].original == b"7"
    assert isinstance(odd[0], Refused)
    assert odd[0].original == b'{"e": "?"}'


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"schema": "iglu:a/b/jsonschema/1-0-0", "data": []}', b"\xff"])
def test_a_body_that_is_no_payload_data_says_so(body: bytes) -> None:
    with pytest.raises(BadBody, match="no payload_data"):
        decode_post(body)


def test_a_get_holds_one_event_in_its_query() -> None:
    (one,) = decode_get(urlencode({"e": "pv", "url": "https://x.example/?a=b&c=d", "duid": "d", "aid": "shop"}))
    assert one.app_id == "shop"
    (view,) = snowplow.outcomes(one, VISIT, MAPPING)
    assert isinstance(view, Accepted)
    assert view.event["url"] == "https://x.example/?a=b&c=d"


_values = st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.integers(), max_size=2)
_names = st.sampled_from(
    ["eid", "uid", "duid", "url", "dtm", "stm", "ttm", "ue_px", "ue_pr", "cx", "co", "se_ac", "ip"]
)


@given(st.sampled_from(["pv", "pp", "se", "ue", "tr", "ti", "zz"]), st.dictionaries(_names, _values))
def test_whatever_an_event_holds_it_is_events_that_can_be_written_or_a_refusal(
    kind: str, fields: dict[str, Any]
) -> None:
    (one,) = decode_post(payload({"uid": "u", "url": "https://x.example", **fields, "e": kind}))
    found = snowplow.outcomes(one, VISIT, MAPPING)
    assert found
    for each in found:
        if isinstance(each, Accepted):
            assert CODEC.decode(each.topic, CODEC.encode_whole(each.topic, each.event)) == each.event
