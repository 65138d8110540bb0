"""Trackers in a real browser, on a real page of another origin: consent, navigation, and what becomes of a visit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from streams.local.broker import EmbeddedBroker
from tests.browser import USER_AGENT, chromium, running_browser
from tests.integration.collector_bed import RunningCollector, events_of, running_collector
from tests.processes import eventually, running_worker
from tests.tracked_site import SNIPPETS, Site

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedBroker() as broker, running_worker(broker.bootstrap, tmp_path_factory.mktemp("worker") / "log"):
        yield broker.bootstrap


@pytest.fixture(scope="module")
def collector(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    folder = tmp_path_factory.mktemp("collector")
    with running_collector(address, folder, "--consent-category", "analytics") as running_one:
        yield running_one


@pytest.fixture(scope="module")
def site(collector: RunningCollector) -> Iterator[Site]:
    with Site(collector.url) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser(chromium()) as running_one:
        yield running_one


def _elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "http://localhost"))


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """Somebody who was never here before."""
    context = browser.new_context(user_agent=USER_AGENT)
    # Trackers look for news of their own on the internet, which these tests do without.
    context.route(_elsewhere, lambda route: route.abort())
    yield context
    context.close()


def confirmed(page: Page, do: Callable[[], object], path: str) -> None:
    """Do it, and wait until the collector has confirmed a request to `path`."""
    with page.expect_response(lambda answer: path in answer.url and answer.request.method == "POST") as got:
        do()
    assert got.value.status == 200


def found(address: str, topic: str, lead_id: str, patience: float = 60) -> list[dict[str, Any]]:
    eventually(lambda: events_of(address, topic, lead_id), f"{lead_id} is not on {topic}", patience)
    return events_of(address, topic, lead_id)


PATHS = {"segment": "/v1/", "rudderstack": "/beacon/v1/batch", "snowplow": "/tp2", "own": "/v1/b"}


@pytest.mark.parametrize("tracker", list(SNIPPETS))
def test_a_visit_that_ends_in_a_booking_makes_an_mql_and_then_an_sql(
    visitor: BrowserContext, site: Site, address: str, tracker: str
) -> None:
    lead, query = f"browser-{tracker}", f"tracker={tracker}&utm_source=news&utm_campaign=launch"
    page = visitor.new_page()
    confirmed(page, lambda: page.goto(f"{site.url}/?{query}"), PATHS[tracker])
    confirmed(page, lambda: page.evaluate(f"identify('{lead}')"), PATHS[tracker])
    for _ in range(2):
        confirmed(page, lambda: page.goto(f"{site.url}/pricing?{query}"), PATHS[tracker])
    if tracker == "snowplow":  # its user id lives as long as the page, as its documentation says
        for _ in range(3):
            page.evaluate(f"sp.setUserId('{lead}')")
            confirmed(page, lambda: page.evaluate("sp.trackPageView()"), PATHS[tracker])
    mql = found(address, "mql-events", lead)[0]
    assert mql["profile"]["email"] == "buyer@example.com"
    # The click is tracked while the browser is leaving the page.
    if tracker == "snowplow":
        page.evaluate(f"sp.setUserId('{lead}')")
    page.click("#leave")
    page.wait_for_url("**/thanks?**")
    sql = found(address, "sql-events", lead)[0]
    assert sql["path"] == "demo"
    views = events_of(address, "page-views", lead)
    assert {view["utm_campaign"] for view in views} == {"launch"}
    assert all(view["user_agent"].startswith("Mozilla/5.0") and view["ip"] == "127.0.0.1" for view in views)
    (link,) = {(one["anonymous_id"], one["lead_id"]) for one in events_of(address, "identity-links", lead)}
    assert link[0] not in ("", lead)


@pytest.mark.parametrize("tracker", list(SNIPPETS))
def test_without_consent_nothing_of_a_visit_is_kept(
    visitor: BrowserContext, site: Site, address: str, tracker: str
) -> None:
    page = visitor.new_page()
    before = {topic: len(events_of(address, topic)) for topic in ("page-views", "activities", "lead-profiles")}
    private = f"{site.url}/private?tracker={tracker}&consent=off"
    if tracker == "own":
        page.goto(private)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("Object.keys(localStorage)") == []
    else:  # it sends all the same, and says that nobody agreed
        confirmed(page, lambda: page.goto(private), PATHS[tracker])
    assert visitor.cookies("http://127.0.0.1") == []
    # The same page with consent is heard: what was silent before was silent for its want.
    confirmed(page, lambda: page.goto(f"{site.url}/public?tracker={tracker}"), PATHS[tracker])
    eventually(
        lambda: [v for v in events_of(address, "page-views") if "/public" in v["url"] and tracker in v["url"]], "silent"
    )
    assert not [view for view in events_of(address, "page-views") if "/private" in view["url"]]
    assert len(events_of(address, "page-views")) == before["page-views"] + 1
    assert len(events_of(address, "lead-profiles")) == before["lead-profiles"]


def test_our_tracker_asks_for_consent_keeps_it_and_lets_go_of_everything_when_it_is_withdrawn(
    visitor: BrowserContext, site: Site, address: str
) -> None:
    page = visitor.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/v1/" in request.url else None)
    page.goto(f"{site.url}/asked?consent=off")
    page.evaluate("leadstream.track('Too Early')")
    page.wait_for_load_state("networkidle")
    assert sent == []
    confirmed(page, lambda: page.evaluate("leadstream.consent(true)"), "/v1/b")
    assert page.evaluate("Object.keys(localStorage).length") > 0
    page.evaluate("leadstream.consent(false)")
    assert page.evaluate("Object.keys(localStorage).length") == 0
    sent.clear()
    page.evaluate("leadstream.track('Too Late')")
    page.evaluate("leadstream.optOut(); leadstream.consent(true)")
    page.goto(f"{site.url}/after")
    page.wait_for_load_state("networkidle")
    assert sent == []
    kinds = {one["kind"] for one in events_of(address, "activities")}
    assert not {"too_early", "too_late"} & kinds


def test_our_tracker_honours_global_privacy_control(visitor: BrowserContext, site: Site) -> None:
    visitor.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })")
    page = visitor.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/v1/" in request.url else None)
    page.goto(f"{site.url}/private")
    page.evaluate("leadstream.track('Nothing')")
    page.wait_for_load_state("networkidle")
    assert sent == []
    assert page.evaluate("Object.keys(localStorage)") == []


def test_our_tracker_counts_downloads_time_and_pages_without_a_load(
    visitor: BrowserContext, site: Site, address: str
) -> None:
    page = visitor.new_page()
    confirmed(page, lambda: page.goto(f"{site.url}/app"), "/v1/b")
    confirmed(page, lambda: page.evaluate("history.pushState({}, '', '/app/two')"), "/v1/b")
    with page.expect_download():
        confirmed(page, lambda: page.click("#file"), "/v1/b")
    lead = page.evaluate("localStorage.leadstream_id")
    page.wait_for_timeout(1100)  # time is what is measured here
    page.close(run_before_unload=True)
    engaged = found(address, "activities", lead)[0]
    assert (engaged["kind"], engaged["subject"]) == ("engaged", f"{site.url}/app/two")
    assert engaged["value"] >= 1
    (download,) = found(address, "downloads", lead)
    assert (download["asset_id"], download["title"]) == ("guide", "Guide")
    urls = {view["url"].removeprefix(site.url) for view in found(address, "page-views", lead)}
    assert urls == {"/app", "/app/two"}


def test_our_tracker_tells_parts_of_a_page_from_pages_that_are_routed_by_the_hash(
    visitor: BrowserContext, site: Site, address: str
) -> None:
    page = visitor.new_page()
    confirmed(page, lambda: page.goto(f"{site.url}/parts"), "/v1/b")
    lead = page.evaluate("localStorage.leadstream_id")
    for part in ("#prices", "#team", "#/two", "#!three", "#prices"):
        page.evaluate("part => { location.hash = part }", part)
        page.evaluate("new Promise(then => setTimeout(then))")  # what it makes happen has happened
        page.evaluate("history.pushState({}, '', location.href)")  # as frameworks do to keep a state
    page.evaluate("leadstream.track('Looked Around')")
    eventually(lambda: not page.evaluate("localStorage.leadstream_queue"), "it is kept for ever")
    found(address, "activities", lead)
    urls = [view["url"].removeprefix(site.url) for view in found(address, "page-views", lead)]
    assert sorted(urls) == ["/parts", "/parts#!three", "/parts#/two", "/parts#prices"]


def test_our_tracker_keeps_what_the_collector_could_not_take_and_sends_it_later(
    visitor: BrowserContext, site: Site, address: str
) -> None:
    page = visitor.new_page()
    page.route("**/v1/b", lambda route: route.fulfill(status=503, headers={"access-control-allow-origin": site.url}))
    page.goto(f"{site.url}/kept")
    eventually(lambda: page.evaluate("(localStorage.leadstream_queue || '').length"), "nothing is kept")
    lead = page.evaluate("localStorage.leadstream_id")
    page.unroute("**/v1/b")
    confirmed(page, lambda: page.goto(f"{site.url}/later"), "/v1/b")
    eventually(lambda: len({v["url"] for v in events_of(address, "page-views", lead)}) == 2, "what was kept is lost")
    eventually(lambda: not page.evaluate("localStorage.leadstream_queue"), "it is kept for ever")


def test_while_the_broker_is_away_every_tracker_keeps_its_events_and_then_delivers_them(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        EmbeddedBroker(data_dir=tmp_path / "kafka") as broker,
        running_collector(broker.bootstrap, tmp_path) as collector,
        Site(collector.url) as site,
        ExitStack() as visits,
    ):
        threading.Thread(target=site.serve_forever, daemon=True).start()
        visits.callback(site.shutdown)
        pages: dict[str, Page] = {}
        refused: set[str] = set()

        def opened(tracker: str) -> Page:
            context = visits.enter_context(closing(browser.new_context(user_agent=USER_AGENT)))
            context.route(_elsewhere, lambda route: route.abort())
            page = context.new_page()
            # Nobody hears what becomes of a beacon: it can't be sent again.
            path = PATHS[tracker] if tracker != "rudderstack" else "/v1/"
            confirmed(page, lambda: page.goto(f"{site.url}/?tracker={tracker}&beacons=off"), path)
            page.on("response", lambda answer: refused.add(tracker) if answer.status == 503 else None)
            return page

        def live() -> None:
            """A page's timers, and what it hears, run only while it is looked at."""
            for page in pages.values():
                page.wait_for_timeout(100)
            # Snowplow's tracker sends what it keeps along with the next event, and has no timer of its own: neither for
            # what was refused, nor for a request on which it gave up before it had an answer.
            pages["snowplow"].evaluate("sp.trackPageView()")

        def all_refused() -> bool:
            live()
            return refused == set(PATHS)

        def delivered() -> bool:
            live()
            missing.difference_update(event["kind"] for event in events_of(broker.bootstrap, "activities"))
            return not missing

        for tracker in PATHS:
            pages[tracker] = opened(tracker)
        broker.kill()
        for tracker, page in pages.items():
            for number in range(3):
                page.evaluate(f"track('Kept {tracker} {number}', {{}})")
        eventually(all_refused, "not everyone was told to come back")
        broker.start()
        missing = {f"kept_{tracker}_{number}" for tracker in PATHS for number in range(3)}
        with suppress(AssertionError):
            eventually(delivered, "not everything was delivered", 150)  # Segment's waits twice as long each time
        assert not missing


def test_a_snowplow_ping_is_engagement(visitor: BrowserContext, site: Site, address: str) -> None:
    page = visitor.new_page()
    confirmed(page, lambda: page.goto(f"{site.url}/long?tracker=snowplow"), "/tp2")
    visitor_id = page.evaluate("document.cookie.match(/_sp_id[^=]*=([^.]+)/)[1]")

    def pinged() -> bool:
        page.mouse.wheel(0, 200)
        return any(one["kind"] == "engaged" for one in events_of(address, "activities", visitor_id))

    eventually(pinged, "no ping")
