"""The relay's HTTP servers: metrics and health, and whatever app is given."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from streams.errors import LeadstreamError


def health_app(
    registry: CollectorRegistry, started: Callable[[], bool], reached: Callable[[], bool]
) -> web.Application:
    """`/metrics`, `/health/live` (the event loop beats), `/health/started` (every target's group was joined) and
    `/health/ready` (and each is sure of its partitions, and a broker answers). A target that is down changes none of
    them.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def joined(_: web.Request) -> web.Response:
        return web.Response(text="started\n") if started() else web.Response(status=503, text="joining\n")

    async def ready(request: web.Request) -> web.Response:
        if not started():
            return await joined(request)
        waits = "waiting for Kafka or the registry\n"
        return web.Response(text="ready\n") if reached() else web.Response(status=503, text=waits)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/health/started", joined)
    return app


def runner_of(app: web.Application) -> web.AppRunner:
    """What runs an app. No access log: addresses may carry secrets. Bodies are taken as they come: signatures are over
    that, and what is packed badly must not be an error of ours.
    """
    server_logger.addFilter(_is_ours)
    return web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an error is one of the server. What is no HTTP is answered with 400, and strangers fill no logs."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int, setting: str) -> AsyncIterator[None]:
    """Serve `app` while the block runs. Raises LeadstreamError when the port can't be had; `setting` names what to
    change.
    """
    runner = runner_of(app)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise LeadstreamError(
                f"port {port} of {host} can't be opened ({error.strerror}): choose another {setting}"
            ) from None
        yield
    finally:
        await runner.cleanup()
