"""A website of another origin than the collector, with the tracker in its pages that the address names."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.browser import ANALYTICS_NEXT, RUDDERSTACK, SNOWPLOW
from tests.integration.collector_bed import KEY
from tests.npm import unpacked

TRAITS = "{email: 'buyer@example.com', employees: 500, title: 'Director of Sales'}"

#: What each tracker needs in a page. `on` is a JavaScript expression: whether consent is given.
SNIPPETS = {
    "segment": """
        <script src="/analytics-next.js"></script>
        <script>
          const analytics = new AnalyticsNext.AnalyticsBrowser();
          analytics.addSourceMiddleware(({ payload, next }) => {
            payload.obj.context.consent = { categoryPreferences: { analytics: ON } };
            next(payload);
          });
          analytics.load({ writeKey: "KEY", cdnSettings: { integrations: { "Segment.io": {
            apiKey: "KEY", apiHost: "HOST/v1", protocol: "http",
            deliveryStrategy: { config: { keepalive: true } } } } } });
          analytics.page();
          const identify = id => analytics.identify(id, TRAITS);
          const track = (name, more) => analytics.track(name, more);
          // As Segment's trackLink does: what a page that goes away has not sent yet goes away with it.
          const leaving = link => link.onclick = click => {
            click.preventDefault();
            const sent = track("Demo Booked", { booking_id: "b-" + Date.now() });
            Promise.race([sent, new Promise(done => setTimeout(done, 500))]).then(() => location.href = link.href);
          };
        </script>""",
    "rudderstack": """
        <script src="/rudderstack.js"></script>
        <script>
          const rudder = new rudderanalytics.RudderAnalytics();
          const off = { enabled: false };
          const config = { statsCollection: { errors: off, metrics: off } };
          rudder.load("KEY", "http://HOST", { getSourceConfig: () => ({ source: {
            id: "s", name: "tests", writeKey: "KEY", enabled: true, workspaceId: "w", config, destinations: [] } }),
            useBeacon: BEACON, beaconQueueOptions: { maxItems: 1 },
            consentManagement: { enabled: true, provider: "custom",
              allowedConsentIds: ON ? ["analytics"] : [], deniedConsentIds: ON ? [] : ["analytics"] } });
          rudder.page();
          const identify = id => rudder.identify(id, TRAITS);
          const track = (name, more) => rudder.track(name, more);
        </script>""",
    "snowplow": """
        <script src="/snowplow.js"></script>
        <script>
          const sp = snowplowBrowserTracking;
          sp.newTracker("t", "http://HOST", { appId: "KEY", keepalive: true,
            anonymousTracking: ON ? false : { withServerAnonymisation: true } });
          sp.enableActivityTracking({ minimumVisitLength: 1, heartbeatDelay: 1 });
          const person = { schema: "iglu:com.example/lead/jsonschema/1-0-0", data: TRAITS };
          sp.trackPageView();
          const identify = id => { sp.setUserId(id); sp.trackSelfDescribingEvent({ event: {
            schema: "iglu:com.example/identify/jsonschema/1-0-0", data: TRAITS } }); };
          const track = (name, more) => sp.trackSelfDescribingEvent({ event: {
            schema: `iglu:com.example/${name.toLowerCase().replaceAll(" ", "_")}/jsonschema/1-0-0`, data: more } });
        </script>""",
    "own": """
        <script src="http://HOST/tracker.js" data-key="KEY" data-consent="CONSENT"></script>
        <script>
          const identify = id => leadstream.identify(id, TRAITS);
          const track = (name, more) => leadstream.track(name, more);
        </script>""",
}


class Site(ThreadingHTTPServer):
    """A website: any path is a page with the tracker that its query names. `localhost`, so that the collector on
    127.0.0.1 is another site, not just another port.
    """

    def __init__(self, collector: str) -> None:
        super().__init__(("127.0.0.1", 0), _SitePage)
        self.host = collector.removeprefix("http://")
        self.url = f"http://localhost:{self.server_port}"
        umd = unpacked(ANALYTICS_NEXT) / "dist" / "umd" / "index.js"
        self.scripts = {
            "/analytics-next.js": umd.read_bytes(),
            "/rudderstack.js": (unpacked(RUDDERSTACK) / "dist/npm/modern/bundled/umd/index.js").read_bytes(),
            "/snowplow.js": (unpacked(SNOWPLOW) / "dist" / "index.umd.min.js").read_bytes(),
        }

    def page(self, path: str) -> bytes:
        """`/pricing?tracker=own&consent=off`."""
        tracker = next((name for name in SNIPPETS if f"tracker={name}" in path), "own")
        off = "consent=off" in path
        beacons = "false" if "beacons=off" in path else "true"
        found = (
            SNIPPETS[tracker]
            .replace("KEY", KEY)
            .replace("HOST", self.host)
            .replace("TRAITS", TRAITS)
            .replace("BEACON", beacons)
        )
        found = found.replace("ON", "false" if off else "true") if tracker != "own" else found
        found = found.replace("CONSENT", "off" if off else "on")
        query = path.partition("?")[2]
        return f"""<!doctype html><title>{path.partition("?")[0]}</title>{found}
            <a id="leave" href="/thanks?{query}">Book</a>
            <script>
              const leave = document.getElementById("leave");
              if (typeof leaving === "undefined")
                leave.onclick = () => {{ track("Demo Booked", {{ booking_id: "b-" + Date.now() }}); }};
              else leaving(leave);
            </script>
            <a id="file" href="/guide.pdf" data-asset="guide" download>Guide</a>
            <p style="height: 3000px">Text</p>""".encode()


class _SitePage(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        script = self.server.scripts.get(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(script or self.server.page(self.path))

    def log_message(self, *_: Any) -> None:
        """A test's output is not a server's."""
