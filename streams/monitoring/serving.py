"""The HTTP port of worker and collector for those who watch: `/metrics` and `/health/*`, on threads of their own.

They answer while the event loop is busy, before it runs, and when it stands still.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from streams.errors import LeadstreamError
from streams.monitoring.health import Standing

Probe = Callable[[], Standing]

log = logging.getLogger(__name__)


class _Server(ThreadingWSGIServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up early, or speaks no HTTP, is no incident; the library would print a traceback of it."""
        log.debug("a connection to the metrics port broke", exc_info=True)


class _Quiet(WSGIRequestHandler):
    """A probe every second is no incident."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve(registry: CollectorRegistry, host: str, port: int, probes: dict[str, Probe]) -> ThreadingWSGIServer:
    """Serve `/metrics` of `registry` and each of `probes` under its path (200, or 503 when not well).

    Raises LeadstreamError when the port can't be had.
    """
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        probe = probes.get(path)
        if path == "/metrics":
            return metrics(environ, start_response)
        if probe is None:
            status, says = "404 Not Found", f"there is {', '.join(('/metrics', *probes))}"
        else:
            well, says = probe()
            status = "200 OK" if well else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{says}\n".encode()]

    try:
        server: ThreadingWSGIServer = make_server(host, port, app, _Server, _Quiet)
    except OSError as error:
        raise LeadstreamError(
            f"metrics port {port} can't be opened ({error.strerror}): choose another --metrics-port"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
