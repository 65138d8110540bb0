"""Noise: which events no person stands behind."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from handmade import DEFAULT, buyer, days, event, pricing
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from streams.qualification.events import Event, Ignored
from streams.qualification.lead import Lead
from streams.qualification.model.loading import load_model
from streams.qualification.noise import REASONS, _is_internal, noise_reason
from streams.qualification.step import advance, step

MODEL = load_model((files("streams.qualification.model") / "default.yaml").read_text(encoding="utf-8"))
NOW = 1_780_000_000_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36"


def reason(kind: str, **fields: Any) -> str | None:
    return noise_reason(kind, fields, NOW, MODEL)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Barracuda Sentinel (EE)",
        "Mozilla/5.0 (compatible; Proofpoint)",
    ],
)
def test_mail_proxies_and_gateways_open_as_machines(user_agent: str) -> None:
    assert reason("email_open", user_agent=user_agent) == "machine_open"


@pytest.mark.parametrize(
    "user_agent",
    [
        CHROME,
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.8",
        "Outlook-iOS/723.4027091.prod.iphone (4.2405.0)",
        None,
        "",
    ],
)
def test_mail_programs_of_people_are_no_noise(user_agent: str | None) -> None:
    assert reason("email_open", user_agent=user_agent, sent_at=None, ip=None) is None


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [
        (0, "scanner"),
        (10_000, "scanner"),
        (10_001, None),
        (-3_000, "scanner"),
        (-60_000, None),
        (86_400_000, None),
    ],
)
def test_an_open_right_after_the_sending_is_a_scanner(after_ms: int, expected: str | None) -> None:
    assert reason("email_open", user_agent=CHROME, sent_at=NOW - after_ms) == expected


def test_a_window_of_nothing_lets_every_open_through() -> None:
    model = replace(MODEL, noise=replace(MODEL.noise, scanner_window_ms=0))
    assert noise_reason("email_open", {"sent_at": NOW}, NOW, model) is None


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "python-requests/2.31",
        "curl/8.0",
        "Slackbot-LinkExpanding 1.0",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/100.0",
    ],
)
def test_known_crawlers_are_bots_unless_the_model_lets_them_in(user_agent: str) -> None:
    assert reason("page_view", user_agent=user_agent) == "bot"
    lenient = replace(MODEL, noise=replace(MODEL.noise, bots=False))
    assert noise_reason("page_view", {"user_agent": user_agent}, NOW, lenient) is None


def test_a_browser_is_no_bot() -> None:
    assert reason("page_view", user_agent=CHROME) is None
    cubot = "Mozilla/5.0 (Linux; Android 10; CUBOT_X18) AppleWebKit/537.36 Chrome/88 Mobile Safari/537.36"
    assert reason("page_view", user_agent=cubot) is None


def test_apples_proxy_is_told_by_opens_only() -> None:
    assert reason("page_view", user_agent="Mozilla/5.0") is None


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("10.1.2.3", "internal"),
        (" 10.1.2.3 ", "internal"),
        ("::ffff:10.1.2.3", "internal"),
        ("11.1.2.3", None),
        ("2001:db8::1", None),
        ("fe80::1%eth0", None),
        ("not an address", None),
        ("10.1.2.3, 11.1.2.3", None),
        ("", None),
        (None, None),
    ],
)
def test_the_models_own_networks_are_internal(ip: str | None, expected: str | None) -> None:
    assert reason("page_view", user_agent=CHROME, ip=ip) == expected


def test_what_is_too_long_for_an_address_is_none_and_is_not_remembered() -> None:
    _is_internal.cache_clear()
    assert reason("page_view", ip="10.1.2.3" + "0" * 100_000) is None
    assert reason("page_view", ip="10.1.2.3" + " " * 100_000) == "internal"
    assert _is_internal.cache_info().currsize == 1


@given(
    st.sampled_from(["page_view", "email_open", "activity", "lead_profile"]),
    st.fixed_dictionaries(
        {},
        optional={
            "ip": st.none() | st.text(max_size=50),
            "user_agent": st.none() | st.text(max_size=700),
            "sent_at": st.none() | st.integers(0, 2 * NOW),
        },
    ),
)
def test_whatever_an_event_holds_the_answer_is_a_known_reason_or_none(kind: str, fields: dict[str, Any]) -> None:
    assert noise_reason(kind, fields, NOW, MODEL) in (*REASONS, None)


BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
#: What would be the strongest and the first and the last of everything, were it not for what made it.
NOISY: dict[str, tuple[Event, str]] = {
    "a machine's open": (event("email_open", days(1), email_id="m", user_agent="Mozilla/5.0"), "machine_open"),
    "an open at the time of sending": (event("email_open", days(1), email_id="m", sent_at=days(1) - 10_000), "scanner"),
    "a bot's view": (pricing(days(1), user_agent=BOT, utm_source="bot"), "bot"),
    "a view from our own network": (pricing(days(1), ip="10.1.2.3", utm_source="us"), "internal"),
    "a view that came before": (pricing(days(0), event_id="known", utm_source="again"), "duplicate"),
}


@pytest.mark.parametrize(("noise", "why"), NOISY.values(), ids=NOISY)
def test_of_noise_nothing_is_known_but_that_it_was_there(noise: Event, why: str) -> None:
    """No points, no touch, no visit, no evidence, no sign of life, and no word of it."""
    lead: Lead | None = None
    for told in (buyer(days(0)), pricing(days(0), event_id="known", utm_source="news")):
        lead, _ = step(lead, told, days(0), DEFAULT)
    assert lead is not None
    after, out = step(lead, noise, days(1), DEFAULT)
    assert out == [Ignored(why)]
    assert after is not None
    assert replace_struct(after, as_of=lead.as_of) == lead


@pytest.mark.parametrize(("noise", "why"), [one for one in NOISY.values() if one[1] != "duplicate"])
def test_noise_begins_no_life(noise: Event, why: str) -> None:
    assert step(None, noise, days(1), DEFAULT) == (None, [Ignored(why)])


def test_noise_keeps_no_visitor_alive() -> None:
    visitor, _ = step(None, pricing(days(0)), days(0), DEFAULT)
    assert visitor is not None
    visited, _ = step(visitor, pricing(days(170), user_agent=BOT), days(170), DEFAULT)
    assert visited is not None
    gone, _ = advance(visited, days(180), DEFAULT)
    assert gone is None
