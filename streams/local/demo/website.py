"""The demo's website: a page with the collector's snippet on it, to click around on and watch yourself warm up."""

from __future__ import annotations

import json
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template
from types import TracebackType
from typing import Any, NamedTuple

_PAGES = {
    "/": ("Home", "Welcome to Example Vendor. Look around: everything that you do here is scored."),
    "/pricing": ("Pricing", "Team: 10 a month. Company: 100 a month. Whoever looks here is thinking of buying."),
    "/case-studies/robotics": ("Case study", "How Example Robotics stopped calling people who only wanted the guide."),
    "/downloads": ("Downloads", "One for those who look around, one for those who decide."),
    "/demo": ("Book a demo", "The quickest way to be called."),
}
_EXTRAS = {
    "/downloads": (
        '<p><a href="#" data-leadstream="Guide Downloaded" data-asset="guide">The guide to lead scoring</a></p>'
        '<p><a href="#" data-leadstream="Price List Downloaded" data-asset="prices">The price list</a></p>'
    ),
    "/demo": '<p><button data-leadstream="Demo Booked">Book a demo</button></p>',
}
#: The snippet is the one of the README; whoever looks is `you` from the first page on, since you filled in the form.
_PAGE = Template(
    """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>$title - Example Vendor</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { font: 18px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
  nav a { margin-right: 1rem; }
  aside { border-top: 1px solid; margin-top: 3rem; padding-top: 1rem; }
  meter { width: 100%; height: 1.5rem; }
</style>
<script>window.leadstream = [["identify", $lead]]</script>
<script async src="$collector/tracker.js" data-key="demo"></script>
<nav>$links</nav>
<h1>$title</h1>
<p>$text</p>
$extra
<aside><strong id="stage">...</strong> <meter id="interest" min="0" max="120" low="20" high="60"></meter>
<p id="line"></p></aside>
<script>
  setInterval(async () => {
    const you = await (await fetch("/you.json")).json();
    stage.textContent = you.stage + ", fit " + you.band + ", interest " + you.interest.toFixed(1);
    interest.value = you.interest;
    line.textContent = you.line;
  }, 500);
</script>
</html>
"""
)


class Standing(NamedTuple):
    """How you stand: your stage, the band of your fit, your interest in points, and what would change it."""

    stage: str
    band: str
    interest: float
    line: str


class Website:
    """Serves while entered, on a free port of 127.0.0.1. `collector` is the collector's address."""

    def __init__(self, collector: str, lead_id: str) -> None:
        self._standing = Standing("visitor", "-", 0.0, "")
        self._server = _Server(self, collector, lead_id)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def show(self, standing: Standing) -> None:
        """From now on the page says this."""
        self._standing = standing

    @property
    def standing(self) -> Standing:
        return self._standing

    def __enter__(self) -> Website:
        threading.Thread(target=self._server.serve_forever, name="website", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, website: Website, collector: str, lead_id: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.website = website
        self._collector = collector
        self._lead_id = lead_id

    def page(self, path: str) -> bytes | None:
        """The page at `path`, if there is one."""
        if path not in _PAGES:
            return None
        title, text = _PAGES[path]
        links = " ".join(f'<a href="{where}">{escape(name)}</a>' for where, (name, _) in _PAGES.items())
        return _PAGE.substitute(
            title=escape(title),
            text=escape(text),
            links=links,
            extra=_EXTRAS.get(path, ""),
            lead=json.dumps(self._lead_id),
            collector=escape(self._collector),
        ).encode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body, kind = self.server.page(path), "text/html; charset=utf-8"
        if path == "/you.json":
            body, kind = json.dumps(self.server.website.standing._asdict()).encode(), "application/json"
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        """The terminal belongs to the demo."""
