"""The collector's process: a server, a producer, and an orderly end.

The server is granian with its own interface (RSGI) on uvloop. Measured once with bare hello-worlds that read a body of
700 bytes, one process each, requests for a second of CPU time (November 2026, two shared cores): granian RSGI 38,400,
uvicorn with httptools 31,400, aiohttp 26,900, granian ASGI 24,600. Under the collector itself they are nearer to each
other (granian 7,300, uvicorn 7,900, aiohttp 5,300 on a busy machine), since the broker and our own work take most of
it. What decides is what is not in those figures: granian bounds headers in size and time, and ends connections that
say nothing, which uvicorn leaves to a proxy. JSON is msgspec's: 1.1 us for such a message into a struct, orjson 1.3 us
into a dictionary, the standard library 4.3 us; and msgspec hands out the bytes of each message of a batch, which a
dead letter needs, at no cost (1.5 us a message; orjson 1.2 without the bytes, 1.6 with).

`tests/bench/collector.py` measures the collector beside a bare hello-world of the same server. On two cores shared with
others, two runs of three rounds: a single event a request costs 101 and 125 us of CPU time (9,900 and 8,000 a CPU
second, 0.18 and 0.17 of hello-world), one of fifty in a request 28 us (36,000, 0.65 and 0.70). Six tenths of
hello-world on single events is not reached. A server that only reads the body, publishes it and awaits the broker's
word has 0.27 to 0.4: granian reads on a thread of its own, so that each body and each confirmation wakes a thread that
waits for the interpreter's lock. Of what a single event costs the interpreter is 60%, in hundreds of small steps of
which none is above 4%, the kernel 20%, librdkafka 4%.

Other ways, side by side on the same two cores with much other work on them (us of CPU time, which is two to three times
what it is alone; for hello-world, and for one that stores the body): granian 45 and 118, uvicorn with httptools 97 and
141, a bare protocol of our own on httptools 26 and 53, and 50 and 93 once it bounds sizes, times and numbers. On the
last the collector took 1.20 times as many single events a CPU second, over fourteen rounds in turn with this one: too
little to own a server for. Tried without a gain that the noise lets through: polling less often, no compression,
asyncio's own loop (10% worse), a shorter switch interval of the interpreter. Records that wait for each other for 10 ms
instead of 2 save a tenth.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop
from granian.constants import HTTPModes
from granian.http import HTTP1Settings
from granian.server.embed import Server

from streams.collector.app import Collector
from streams.collector.delivery import Delivery
from streams.collector.metrics import CollectorMetrics
from streams.collector.publisher import Publisher
from streams.collector.reception import Settings
from streams.errors import LeadstreamError
from streams.kafka import BrokerUnreachable, TopicsMissing, ensure_topics, require_topics
from streams.topics import INPUT_TOPICS
from streams.wire.codec import Codec

log = logging.getLogger(__name__)

#: More connections at once than these wait in the kernel; more requests than `limits` allows are refused.
_CONNECTIONS: Final = 4_096
_HEADER_SECONDS: Final = 10
_HEADER_BYTES: Final = 32 * 1024
_DRAIN_SECONDS: Final = 20.0
#: A request makes some hundred objects, none of them in cycles: to look for those at the usual thresholds takes 7% of
#: the time.
COLLECT_AFTER: Final = (50_000, 50, 100)
_TOPICS: Final = (*(topic.name for topic in INPUT_TOPICS), "dead-letters")


class PortTaken(LeadstreamError):
    """Something else listens where the collector should."""


class Serving(NamedTuple):
    """Where the collector listens, and what it talks to."""

    host: str
    port: int
    bootstrap: str
    schema_registry: str | None
    metrics_host: str
    metrics_port: int | None
    truncate_addresses: bool


def run_collector(serving: Serving, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end what is being handled. Raises LeadstreamError."""
    gc.set_threshold(*COLLECT_AFTER)
    uvloop.run(_run(serving, settings))


async def _run(serving: Serving, settings: Settings) -> None:
    port = _free_port(serving.host, serving.port)
    metrics = CollectorMetrics()
    if serving.metrics_port is not None:
        metrics.serve(serving.metrics_host, serving.metrics_port)
    collector = Collector(settings, metrics)
    metrics.in_flight.set_function(lambda: collector.in_flight)
    server = http_server(collector, serving.host, port)
    serve = asyncio.create_task(server.serve())
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    opening = asyncio.create_task(_open(collector, metrics, serving))
    opened = asyncio.create_task(_announced(opening, serving.host, port))
    ended = asyncio.create_task(asked.wait())
    await asyncio.wait({serve, opened, ended}, return_when=asyncio.FIRST_COMPLETED)
    if opened.done():
        opened.result()  # a fault of its own ends the process loudly
        gc.freeze()
        broken = opening.result().broken
        await asyncio.wait({serve, ended, broken}, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            raise LeadstreamError(
                f"The Kafka producer can't go on: {broken.result().str()}. Nothing that was confirmed is lost; "
                "start the collector again."
            )
    if serve.done():
        serve.result()
        raise LeadstreamError("the server ended by itself. Start the collector again, and look at what it logged.")
    opened.cancel()
    opening.cancel()
    await _drain(collector, server, serve, opening)


def http_server(application: Any, host: str, port: int) -> Server:
    """A server for an RSGI application, not yet serving."""
    return Server(
        application,
        address=host,
        port=port,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backlog=1_024,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_SECONDS * 1000, max_buffer_size=_HEADER_BYTES),
    )


async def _announced(opening: asyncio.Task[Publisher], host: str, port: int) -> None:
    await opening
    print(f"ready {host}:{port}", flush=True)


async def _open(collector: Collector, metrics: CollectorMetrics, serving: Serving) -> Publisher:
    """Find the broker and its topics, however long that takes: until then trackers are told to come back."""
    loop = asyncio.get_running_loop()
    said = False
    while True:
        try:
            await loop.run_in_executor(None, _find_topics, serving.bootstrap)
            break
        except BrokerUnreachable as error:
            if not said:
                log.warning("%s Trackers are told to come back until then.", error)
                said = True
            await asyncio.sleep(1.0)
    codec = Codec(serving.schema_registry)
    await loop.run_in_executor(None, codec.prepare, _TOPICS)
    publisher = Publisher(serving.bootstrap)
    metrics.up.set_function(lambda: float(publisher.healthy))
    delivery = Delivery(publisher, codec, metrics, serving.truncate_addresses)
    collector.open(delivery, lambda: publisher.away)
    return publisher


def _find_topics(bootstrap: str) -> None:
    """Created only when they are missing: writing is all that a collector may need to be allowed."""
    try:
        require_topics(bootstrap, _TOPICS)
    except TopicsMissing:
        ensure_topics(bootstrap)


async def _drain(
    collector: Collector, server: Server, serve: asyncio.Task[None], opening: asyncio.Task[Publisher]
) -> None:
    """1. Say that we are ending. 2. Take no more connections. 3. Answer what is here. 4. Have the broker's word."""
    collector.draining = True
    server.stop()  # type: ignore[no-untyped-call]
    try:
        await asyncio.wait_for(serve, _DRAIN_SECONDS)
    except TimeoutError:
        log.warning("connections are still open after %.0f s; they are closed", _DRAIN_SECONDS)
    await collector.idle(_DRAIN_SECONDS)
    if opening.done() and not opening.cancelled():
        await opening.result().close()


def _free_port(host: str, port: int) -> int:
    """`port` if it can be had, a free one for 0. Raises PortTaken: the server itself would only die of it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"{host}:{port} can't be listened on ({(error.strerror or str(error)).lower()}). "
                "Choose another --port or --host."
            ) from None
        return int(probe.getsockname()[1])


def read_secret(path: Path) -> bytes:
    """The first line of a file. Raises LeadstreamError."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise LeadstreamError(f"Can't read {path}: {(error.strerror or str(error)).lower()}.") from None
    if not secret:
        raise LeadstreamError(f"{path} is empty: put the signing secret of the booking webhooks there.")
    return secret
