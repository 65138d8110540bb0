"""Segment's and RudderStack's messages become our events."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collector.events import Accepted, BadBody, Implied, Outcome, Refused, Visit
from streams.collector.mapping import read_mapping
from streams.collector.segment import TYPES, batch_outcomes, message_outcomes
from streams.collector.segment_messages import Message, consent_denied, decode_batch, decode_message
from streams.modelfile import read_model
from streams.qualification.noise import noise_reason
from streams.topics import TOPICS
from streams.wire.codec import Codec
from streams.wire.limits import MAX_ATTRIBUTES

MAPPING = read_mapping()
CODEC = Codec()
#: 2026-11-24T12:00:00Z
NOW = 1_795_521_600_000
BROWSER = Visit(NOW, "203.0.113.9", "Mozilla/5.0 (X11)", None)
SERVER = Visit(NOW)


def outcomes(message: dict[str, Any], visit: Visit = SERVER) -> list[Outcome]:
    body = json.dumps({"messageId": "m-1", **message}).encode()
    return message_outcomes(decode_message(body), visit, MAPPING, body)


def events(message: dict[str, Any], visit: Visit = SERVER) -> dict[str, dict[str, Any]]:
    """Topic -> its only event."""
    found = [one.told() if isinstance(one, Implied) else one for one in outcomes(message, visit)]
    assert all(isinstance(one, Accepted) for one in found), found
    topics = [one.topic for one in found]
    assert len(set(topics)) == len(topics), topics
    return {one.topic: one.event for one in found if isinstance(one, Accepted)}


def refusal(message: dict[str, Any]) -> str:
    (one,) = outcomes(message)
    assert isinstance(one, Refused)
    return one.bad.detail


def test_identify_tells_the_profile_and_links_the_visitor_to_the_lead() -> None:
    traits = {
        "email": "Ada@Example.com",
        "firstName": "Ada",
        "lastName": "Example",
        "title": "VP Sales",
        "company": {"name": "Example Robotics", "employee_count": "1,200", "industry": "Software"},
        "address": {"country": "SE"},
        "website": "https://www.robotics.example/about?x=1",
        "plan": "team",
        "logins": 7,
    }
    found = events({"type": "identify", "userId": "u-1", "anonymousId": "a-1", "traits": traits})
    profile, link = found["lead-profiles"], found["identity-links"]
    assert profile["event_id"] == "m-1"
    assert profile["lead_id"] == "u-1"
    assert (profile["email"], profile["name"], profile["job_title"]) == ("Ada@Example.com", "Ada Example", "VP Sales")
    assert (profile["company"], profile["employees"], profile["industry"]) == ("Example Robotics", 1200, "Software")
    assert (profile["country"], profile["company_domain"]) == ("SE", "robotics.example")
    assert profile["attributes"]["plan"] == "team"
    assert profile["attributes"]["logins"] == "7"
    assert (link["anonymous_id"], link["lead_id"], link["revoked"]) == ("a-1", "u-1", False)
    assert link["event_id"] == "m-1:link"


def test_without_a_user_id_the_email_address_in_lower_case_is_the_lead() -> None:
    found = events({"type": "identify", "anonymousId": "a-1", "traits": {"email": " Ada@Example.com "}})
    assert found["lead-profiles"]["lead_id"] == "email:ada@example.com"
    assert found["identity-links"]["lead_id"] == "email:ada@example.com"


def test_without_either_the_anonymous_id_is_the_lead_and_there_is_nothing_to_link() -> None:
    found = events({"type": "track", "anonymousId": "a-1", "event": "Looked"})
    assert found.keys() == {"activities"}
    assert found["activities"]["lead_id"] == "a-1"


def test_rudderstacks_traits_in_the_context_are_traits() -> None:
    found = events({"type": "identify", "userId": "u", "context": {"traits": {"email": "a@b.example", "employees": 9}}})
    assert found["lead-profiles"]["employees"] == 9


def test_a_number_may_be_a_user_id() -> None:
    assert events({"type": "track", "userId": 17, "event": "x"})["activities"]["lead_id"] == "17"


def test_a_page_is_a_page_view_with_its_campaign_referrer_session_and_browser() -> None:
    context = {
        "page": {"url": "https://site.example/pricing", "referrer": "https://search.example/", "title": "Pricing"},
        "campaign": {"source": "news", "medium": "email", "name": "launch"},
        "sessionId": 1_795_000_000,
    }
    view = events({"type": "page", "anonymousId": "a-1", "context": context}, BROWSER)["page-views"]
    assert (view["url"], view["referrer"], view["title"]) == (
        "https://site.example/pricing",
        "https://search.example/",
        "Pricing",
    )
    assert (view["utm_source"], view["utm_medium"], view["utm_campaign"]) == ("news", "email", "launch")
    assert (view["session_id"], view["anonymous_id"]) == ("1795000000", "a-1")
    assert (view["user_agent"], view["ip"]) == ("Mozilla/5.0 (X11)", "203.0.113.9")


def test_campaign_parameters_are_read_from_the_address_when_the_context_has_none() -> None:
    url = "https://site.example/?utm_source=a&utm_source=b&utm_medium=cpc&utm_campaign=x%20y"
    view = events({"type": "page", "anonymousId": "a", "properties": {"url": url}})["page-views"]
    assert (view["utm_source"], view["utm_medium"], view["utm_campaign"]) == ("a", "cpc", "x y")


def test_the_context_speaks_before_the_connection_and_a_server_has_neither_address_nor_browser() -> None:
    context = {"ip": "198.51.100.1", "userAgent": "Mozilla/5.0 (theirs)"}
    page = {"type": "page", "anonymousId": "a", "properties": {"url": "https://x.example"}}
    theirs = events({**page, "context": context}, BROWSER)["page-views"]
    assert (theirs["ip"], theirs["user_agent"]) == ("198.51.100.1", "Mozilla/5.0 (theirs)")
    none = events(page, SERVER)["page-views"]
    assert (none["ip"], none["user_agent"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "properties", "topic", "fields"),
    [
        ("Demo Booked", {"booking_id": "b-9", "product": "Platform"}, "demo-bookings",
         {"booking_id": "b-9", "status": "BOOKED", "product": "Platform"}),
        ("demo_booked", {}, "demo-bookings", {"booking_id": "m-1", "status": "BOOKED"}),
        ("meeting-cancelled", {"meetingId": 5}, "demo-bookings", {"booking_id": "5", "status": "CANCELLED"}),
        ("Demo Scheduled", {"start_time": "2026-12-01T10:00:00+01:00"}, "demo-bookings",
         {"scheduled_for": 1_796_115_600_000}),
        ("File Downloaded", {"file_name": "guide.pdf", "funnelStage": "bottom"}, "downloads",
         {"asset_id": "guide.pdf", "funnel_stage": "BOTTOM"}),
        ("Price List Downloaded", {"title": "Prices"}, "downloads", {"asset_id": "Prices", "funnel_stage": "BOTTOM"}),
        ("Email Opened", {"email_id": "e-5", "campaign_name": "launch"}, "email-opens",
         {"email_id": "e-5", "campaign": "launch"}),
        ("Trial Started", {"trial_plan_name": "team"}, "activities", {"kind": "trial_started", "subject": "team"}),
        ("Signed In", {"username": "ada"}, "activities", {"kind": "signed_in", "subject": "ada"}),
        ("Invite Sent", {"invitee_role": "admin"}, "activities", {"kind": "invite_sent", "subject": "admin"}),
        ("Account Added User", {"role": "member"}, "activities", {"kind": "account_added_user"}),
        ("Watched Video", {"title": "Tour", "value": "12.5", "speed": 2}, "activities",
         {"kind": "watched_video", "subject": "Tour", "value": 12.5, "attributes": {"speed": "2"}}),
        ("engaged", {"value": 42, "url": "https://x.example"}, "activities", {"kind": "engaged", "value": 42.0}),
    ],
)  # fmt: skip
def test_a_tracked_event_goes_where_the_mapping_says(
    name: str, properties: dict[str, Any], topic: str, fields: dict[str, Any]
) -> None:
    event = events({"type": "track", "userId": "u", "event": name, "properties": properties})[topic]
    assert {field: event[field] for field in fields} == fields
    assert event["event_id"] == "m-1"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, name.lower().replace(" ", "_"))
        for name in (
            "Account Created", "Account Deleted", "Account Added User", "Account Removed User", "Signed Up",
            "Signed In", "Signed Out", "Invite Sent", "Trial Started", "Trial Ended",
        )
    ],
)  # fmt: skip
def test_the_b2b_specifications_events_are_activities_of_their_account(name: str, kind: str) -> None:
    message = {"type": "track", "userId": "u", "event": name, "context": {"groupId": "acct_123"}}
    event = events(message)["activities"]
    assert event["kind"] == kind
    assert "acct_123" in (event["subject"], event["attributes"].get("group_id"))


def test_an_opened_email_tells_who_opened_it_so_that_machines_are_known() -> None:
    """As Segment's email specification has it: the opener's address and browser are in the context."""
    opened = {"type": "track", "userId": "u", "event": "Email Opened", "properties": {"email_id": "e"}}
    proxy = "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    event = events({**opened, "context": {"ip": "198.51.100.1", "user_agent": proxy}})["email-opens"]
    assert (event["ip"], event["user_agent"]) == ("198.51.100.1", proxy)
    assert noise_reason("email_open", event, event["occurred_at"], read_model()) == "machine_open"
    properties = {"email_id": "e", "ip": "198.51.100.2", "userAgent": "Mozilla/5.0 (theirs)"}
    event = events({**opened, "properties": properties, "context": {"ip": "198.51.100.1"}})["email-opens"]
    assert (event["ip"], event["user_agent"]) == ("198.51.100.2", "Mozilla/5.0 (theirs)")


@pytest.mark.parametrize("name", ["Unsubscribed", "Email Marked as Spam"])
def test_an_unsubscription_is_an_activity_and_a_fact(name: str) -> None:
    found = events({"type": "track", "userId": "u", "event": name})
    assert found["activities"]["kind"] == "unsubscribe"
    assert found["lead-profiles"]["unsubscribed"] is True
    assert found["lead-profiles"]["event_id"] != found["activities"]["event_id"]


def test_a_sign_up_tells_the_profile_too() -> None:
    properties = {"type": "invited", "first_name": "Ada", "last_name": "E", "email": "a@b.example", "title": "CTO"}
    found = events({"type": "track", "userId": "u", "event": "Signed Up", "properties": properties})
    assert found["activities"]["kind"] == "signed_up"
    profile = found["lead-profiles"]
    assert (profile["name"], profile["email"], profile["job_title"]) == ("Ada E", "a@b.example", "CTO")


def test_group_tells_of_the_company_and_not_of_the_persons_traits() -> None:
    message = {
        "type": "group",
        "userId": "u",
        "groupId": "g-1",
        "traits": {"name": "Example Bank", "industry": "finance", "employees": 950, "website": "bank.example"},
    }
    profile = events(message)["lead-profiles"]
    assert (profile["company"], profile["industry"], profile["employees"]) == ("Example Bank", "finance", 950)
    assert profile["company_domain"] == "bank.example"
    assert profile["name"] is None
    assert profile["attributes"]["group_id"] == "g-1"


def test_a_groups_email_address_is_the_companys_and_names_nobody() -> None:
    traits = {"name": "Example Bank", "email": "info@bank.example"}
    found = events({"type": "group", "anonymousId": "a", "groupId": "g-1", "traits": traits})
    assert found["lead-profiles"]["lead_id"] == "a"
    assert found["lead-profiles"]["email"] is None
    assert "identity-links" not in found
    known = {
        "type": "group",
        "anonymousId": "a",
        "traits": traits,
        "context": {"traits": {"email": "ada@bank.example"}},
    }
    assert events(known)["lead-profiles"]["lead_id"] == "email:ada@bank.example"


def test_who_is_who_is_meant_by_identify_and_said_by_the_way_elsewhere() -> None:
    both = {"userId": "u", "anonymousId": "a"}
    assert [type(one) for one in outcomes({"type": "identify", **both})] == [Accepted, Accepted]
    assert [type(one) for one in outcomes({"type": "track", "event": "x", **both})] == [Accepted, Implied]


def test_a_page_that_has_a_name_and_no_address_is_an_activity() -> None:
    event = events({"type": "page", "userId": "u", "name": "Pricing", "properties": {"plan": "team"}})["activities"]
    assert (event["kind"], event["subject"], event["attributes"]) == ("page_viewed", "Pricing", {"plan": "team"})


def test_a_timed_message_without_an_id_is_the_same_event_when_it_is_sent_again() -> None:
    timed = {"type": "track", "userId": "u", "event": "x", "messageId": None, "timestamp": "2026-11-24T11:00:00Z"}
    first, again = (events(timed)["activities"]["event_id"] for _ in range(2))
    assert first == again
    later = {**timed, "timestamp": "2026-11-24T11:00:01Z"}
    assert events(later)["activities"]["event_id"] != first
    untimed = {**timed, "timestamp": None}
    assert events(untimed)["activities"]["event_id"] != events(untimed)["activities"]["event_id"]


def test_alias_and_merge_link_the_other_id_to_the_one_that_is_kept() -> None:
    alias = events({"type": "alias", "previousId": "old", "userId": "new"})["identity-links"]
    assert (alias["anonymous_id"], alias["lead_id"]) == ("old", "new")
    ids = [{"type": "email", "value": "A@b.example"}, {"type": "user_id", "value": "u"}]
    merge = events({"type": "merge", "mergeProperties": ids})["identity-links"]
    assert (merge["anonymous_id"], merge["lead_id"]) == ("email:a@b.example", "u")


def test_a_screen_is_an_activity() -> None:
    event = events({"type": "screen", "userId": "u", "name": "Prices"})["activities"]
    assert (event["kind"], event["subject"]) == ("screen_viewed", "Prices")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "track", "userId": "u"}, "track: no event name"),
        ({"type": "track", "event": "x"}, "track: neither userId nor anonymousId"),
        ({"type": "page", "userId": "u"}, "page: no url in properties or context.page, and no name"),
        ({"type": "alias", "userId": "u"}, "alias: previousId and userId are both needed"),
        ({"type": "merge"}, "merge: mergeProperties must be two objects with type and value"),
        ({"type": "dance", "userId": "u"}, "type is none of"),
        ({"type": ["track"]}, "type is none of"),
        ({"userId": "u"}, "type is none of"),
        ({"type": "track", "userId": "u", "event": "Download"}, "gives no asset_id (looked for in asset_id, assetId"),
        ({"type": "track", "userId": "u" * 1001, "event": "x"}, "lead_id is longer than 1,000 bytes"),
        ({"type": "page", "userId": "u", "properties": {"url": "x" * 8001}}, "url is longer than 8,000 bytes"),
        ({"type": "track", "userId": "u", "event": "x", "timestamp": "2020-01-01T00:00:00Z"}, "occurred 2519 days"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_reason(message: dict[str, Any], reason: str) -> None:
    assert reason in refusal(message)


def test_a_message_over_32_kb_is_refused() -> None:
    assert "at most 32,768 are taken" in refusal({"type": "track", "userId": "u", "event": "x", "pad": "y" * 33_000})


def test_many_and_long_properties_do_not_cost_the_event() -> None:
    properties = {f"p{number}": "x" * 300 for number in range(70)} | {"p0": "é" * 900}
    event = events({"type": "track", "userId": "u", "event": "x", "properties": properties})["activities"]
    assert len(event["attributes"]) == MAX_ATTRIBUTES
    assert len(event["attributes"]["p0"].encode()) <= 1000


def test_the_senders_wrong_clock_is_corrected_by_sent_at() -> None:
    """An hour ahead, sent three seconds after it happened, is three seconds before it arrived."""
    message = {
        "type": "track",
        "userId": "u",
        "event": "x",
        "timestamp": "2026-11-24T13:00:00.000Z",
        "sentAt": "2026-11-24T13:00:03.000Z",
    }
    assert events(message)["activities"]["occurred_at"] == NOW - 3000


def test_original_timestamp_comes_before_timestamp_and_no_event_is_later_than_its_arrival() -> None:
    message = {"type": "track", "userId": "u", "event": "x", "timestamp": "2026-11-24T11:00:00Z"}
    assert events(message)["activities"]["occurred_at"] == NOW - 3_600_000
    assert events({**message, "originalTimestamp": "2026-11-24T11:59:00Z"})["activities"]["occurred_at"] == NOW - 60_000
    assert events({**message, "timestamp": "2030-01-01T00:00:00Z"})["activities"]["occurred_at"] == NOW
    assert events({**message, "timestamp": "yesterday"})["activities"]["occurred_at"] == NOW


def test_a_batch_keeps_the_good_and_refuses_the_bad_with_their_own_bytes() -> None:
    good = {"type": "track", "userId": "u", "event": "x"}
    body = b'{"sentAt": "2026-11-24T13:00:03Z", "batch": [%s, {"type": "track"}, 7, {"type": "page", "userId": "u"}]}'
    batch = decode_batch(body % json.dumps({**good, "timestamp": "2026-11-24T13:00:00Z"}).encode())
    found = batch_outcomes(batch, SERVER, MAPPING)
    assert isinstance(found[0], Accepted)
    assert found[0].event["occurred_at"] == NOW - 3000
    refused = [one for one in found[1:] if isinstance(one, Refused)]
    assert [one.original for one in refused] == [b'{"type": "track"}', b"7", b'{"type": "page", "userId": "u"}']
    assert [one.lead_id for one in refused] == [None, None, "u"]
    assert len(found) == 4


def test_half_a_character_and_numbers_that_are_none_cost_nothing_of_a_batch() -> None:
    """As JavaScript writes a title that was cut in the middle of an emoji, and Python a ratio of nothing."""
    odd = b'{"type":"track","userId":"u","event":"x","properties":{"title":"\\ud83d","ratio":NaN}}'
    found = batch_outcomes(
        decode_batch(b'{"batch":[%s,{"type":"track","userId":"v","event":"y"}]}' % odd), SERVER, MAPPING
    )
    assert [one.event["lead_id"] for one in found if isinstance(one, Accepted)] == ["u", "v"]
    assert isinstance(found[0], Accepted)
    assert found[0].event["subject"] == "?"


@pytest.mark.parametrize("odd", [5, True, 1.5, "text", {"a": 1}, [None], [[1]], [{}]])
@pytest.mark.parametrize("field", ["mergeProperties", "context", "properties", "traits"])
@pytest.mark.parametrize("kind", TYPES)
def test_a_field_of_another_type_is_as_good_as_missing(kind: str, field: str, odd: object) -> None:
    message = {"type": kind, "userId": "u", "previousId": "p", "event": "x", "name": "n", field: odd}
    body = json.dumps(message).encode()
    found = message_outcomes(decode_message(body), SERVER, MAPPING, body)
    assert all(isinstance(one, Refused) is (kind == "merge") for one in found)


def test_messages_that_consent_forbids_are_no_outcomes() -> None:
    denied = {"consent": {"categoryPreferences": {"analytics": False, "ads": True}}}
    rudder = {"consentManagement": {"deniedConsentIds": ["analytics"]}}
    body = json.dumps(
        {"batch": [{"type": "track", "userId": "u", "event": "x", "context": one} for one in (denied, {})]}
    )
    found = batch_outcomes(decode_batch(body.encode()), SERVER, MAPPING, "analytics")
    assert found[0] is None
    assert isinstance(found[1], Accepted)
    assert consent_denied(rudder, "analytics")
    assert not consent_denied(denied, "ads")
    assert not consent_denied(denied, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'{"batch": 1}', b"[" * 100_000, b"{'batch': []}"])
def test_a_body_that_is_nothing_says_so(body: bytes) -> None:
    with pytest.raises(BadBody):
        decode_batch(body)
    with pytest.raises(BadBody):
        decode_message(body if body != b'{"batch": 1}' else b"1")


def test_a_batch_of_too_many_is_refused() -> None:
    with pytest.raises(BadBody, match=r"2,501 messages; at most 2,500"):
        decode_batch(b'{"batch":[' + b",".join([b"{}"] * 2501) + b"]}")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_fields = [
    field.encode_name if hasattr(field, "encode_name") else field.name for field in msgspec.structs.fields(Message)
]


@given(
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(_fields), _json),
    st.dictionaries(st.sampled_from(["email", "company", "address", "url", "value", "ip", "page", "traits"]), _json),
)
def test_whatever_a_message_holds_it_is_events_that_can_be_written_or_a_refusal(
    kind: str, fields: dict[str, Any], inner: dict[str, Any]
) -> None:
    base = {"userId": "u", "event": "Signed Up", "properties": inner, "traits": inner, "context": inner}
    body = msgspec.json.encode({**base, **fields, "type": kind})
    found = message_outcomes(decode_message(body), BROWSER, MAPPING, body)
    assert found or kind == "alias"
    for one in found:
        if isinstance(one, Accepted):
            written = CODEC.encode_whole(one.topic, one.event)
            assert CODEC.decode(one.topic, written) == one.event
            assert one.event[TOPICS[one.topic].key_field]
        else:
            assert one.original == body
            assert isinstance(one, Refused) or one.told()
