"""The Faust app around the engine, and how it is run and ended.

Faust owns the app, its agent, group membership and the co-partitioned assignment; the chunks it delivers go
straight to the engine. No Faust table is used: its recovery would restore one event at a time inside the
rebalance, and its changelog writes are not part of a transaction. `streams.engine.partition` and `.restore`
are what a table would have been.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.transport.drivers import TRANSPORTS
from mode import ServiceT

from streams.engine.config import CLIENT_LOG, EngineConfig
from streams.engine.engine import Engine
from streams.engine.preflight import check_topics
from streams.engine.report import EVERY_SECONDS
from streams.engine.seam import Logic, Observer
from streams.engine.security import faust_credentials
from streams.engine.transport import SCHEME, ChunkSchema

log = logging.getLogger(__name__)

_LEAVE_SECONDS = 5.0


class _OnlyConsumer(BootStrategy):
    """No producer, leader election or reply topic of Faust's: the engine writes by itself."""

    enable_kafka_producer = False
    enable_web = False

    def kafka_consumer(self) -> Iterable[ServiceT]:
        return [self.app.consumer]


class EngineApp(faust.App):
    """A Faust app whose source topics are handled by `engine`."""

    logger = logging.getLogger("faust.engine")
    BootStrategy = _OnlyConsumer
    engine: Engine
    config: EngineConfig

    def _create_directories(self) -> None:
        """Nothing is kept on disk."""


def create_app(
    config: EngineConfig,
    logic: Logic,
    observer: Observer | None = None,
    end: Callable[[int], object] = os._exit,
) -> EngineApp:
    """An app that is ready for `run`. Needs no broker yet."""
    # The entry point does this for every installed Faust; a source tree that is not installed has none.
    TRANSPORTS.aliases.setdefault(SCHEME, "streams.engine.transport:Transport")
    app = EngineApp(
        config.app_id,
        broker=[f"{SCHEME}://{address.strip()}" for address in config.bootstrap.split(",")],
        broker_credentials=faust_credentials(config.security),
        broker_session_timeout=config.session_timeout_s,
        broker_heartbeat_interval=config.heartbeat_s,
        broker_request_timeout=max(40.0, config.session_timeout_s * 1.5),
        broker_max_poll_records=2_000,
        broker_commit_interval=2.0,
        consumer_group_instance_id=config.instance_id,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they narrate every step
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # dozens of lines a second while a broker is away
    CLIENT_LOG.disabled = True  # as many, and of what ends the process the engine says it in one line
    app.engine = Engine(config, logic, observer or Observer(), end)
    app.config = config
    topic = app.topic(*config.topics, schema=ChunkSchema(), partitions=config.partitions)

    @app.agent(topic, name=config.agent)
    async def handle(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            try:
                app.engine.accept(message.tp, *message.value)
            except Exception as error:  # Faust would log it and go on with the next chunk
                app.engine.fail(error)
                raise

    return app


def run(app: EngineApp) -> None:
    """Run in the foreground until SIGTERM or SIGINT, then drain: batches in flight end, the rest is left
    for the next start. Raises EngineError when the cluster does not fit; anything worse ends the process
    with status 1.
    """
    check_topics(app.config)
    asyncio.run(_serve(app))


async def _serve(app: EngineApp) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("joining the group %s", app.config.app_id)
    reporting = loop.create_task(_report(app))
    asked = loop.create_task(stop.wait())
    # Starting lasts until the first partitions are assigned; a stop must not have to wait for that.
    started = loop.create_task(app.start())
    await asyncio.wait({started, asked}, return_when=asyncio.FIRST_COMPLETED)
    if started.done() and not stop.is_set():
        error = started.exception()
        if error is not None:
            app.engine.fail(error)
        ended = loop.create_task(app.wait_until_stopped())
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
    if stop.is_set():
        await _drain(app)
    else:
        app.engine.fail(app.crash_reason or RuntimeError("Faust stopped by itself"))
    asked.cancel()
    reporting.cancel()


async def _report(app: EngineApp) -> None:
    while True:
        try:
            app.engine.make_report()
        except Exception as error:  # what is served from it would be wrong for ever, and nobody would know
            app.engine.fail(error)
        await asyncio.sleep(EVERY_SECONDS)


async def _drain(app: EngineApp) -> None:
    log.info("stopping: finishing the batches at hand")
    try:
        async with asyncio.timeout(app.config.drain_s):
            await app.engine.close()
    except TimeoutError:
        log.warning("not drained within %.0f s; the next start goes on from the last commit", app.config.drain_s)
        app.engine.end(1)
    # All that was done is durable. Leaving the group politely spares the others the session time-out, but in the middle
    # of a rebalance it may take longer than who asked us to stop will wait.
    try:
        async with asyncio.timeout(_LEAVE_SECONDS):
            if app.engine.joined:
                await app.consumer.commit()
            await app.stop()
        log.info("stopped")
    except Exception as error:
        log.info("stopped, without taking leave of the group: %s", type(error).__name__)
    app.engine.end(0)  # threads of the clients may still wait for a broker
