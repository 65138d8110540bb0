"""The relay's process: every target's deliveries and the feedback server, side by side, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress

from prometheus_client import CollectorRegistry

from streams.errors import LeadstreamError
from streams.kafka import BrokerUnreachable, ensure_topics
from streams.monitoring.relay import RelayMetrics
from streams.relay.building import Built, build
from streams.relay.delivery import Courier
from streams.relay.feedback.server import feedback_app
from streams.relay.outbox import Outbox
from streams.relay.serving import health_app, serve
from streams.relay.settings import Targets
from streams.relay.surroundings import Membership, Surroundings
from streams.topics import OUTPUT_TOPICS, TOPICS, relay_memory_topic, relay_retries_topic
from streams.wire.codec import Codec
from streams.wire.registry import RegistryUnavailable

log = logging.getLogger(__name__)

_PREPARED = ("dead-letters", "sales-feedback")
#: All that a relay reads and writes, and may be allowed to see.
_TOPICS = (*OUTPUT_TOPICS, TOPICS["sales-feedback"])


def run_relay(
    bootstrap: str,
    targets: Targets,
    *,
    app_id: str,
    metrics_host: str = "127.0.0.1",
    metrics_port: int | None = None,
    instance_id: str | None = None,
    schema_registry: str | None = None,
    session_timeout_s: float = 6.0,
) -> None:
    """Run in the foreground until SIGTERM or SIGINT. Waits for a broker that is away, and creates missing topics.

    A relay that is silent for `session_timeout_s` loses its partitions to others, or to the next one of its own
    `instance_id` at once.

    Raises UsageError for secrets, BrokerRefused and RelayFailed when Kafka fails for good.
    """
    memory, retries = relay_memory_topic(app_id), relay_retries_topic(app_id)
    codec = Codec(schema_registry)

    def prepare() -> None:
        report = ensure_topics(bootstrap, topics=(*_TOPICS, memory, retries))
        codec.prepare(_PREPARED)
        for drift in report.drift:
            log.warning("%s", drift)

    metrics = RelayMetrics(CollectorRegistry())
    with Outbox(bootstrap) as outbox:
        membership = Membership(f"{app_id}-relay", instance_id, session_timeout_s)
        shared = Surroundings(bootstrap, membership, retries.name, memory.name, codec, outbox, metrics)
        try:
            asyncio.run(_run(targets, shared, metrics_host, metrics_port, prepare))
        except* LeadstreamError as group:
            raise _first(group) from None


async def _run(
    targets: Targets,
    shared: Surroundings,
    metrics_host: str,
    metrics_port: int | None,
    prepare: Callable[[], None],
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        built: dict[str, Built] = {}
        for name, target in targets.targets.items():
            built[name] = build(name, target, shared.now)
            stack.push_async_callback(built[name].http.close)
        couriers = [Courier(name, targets.targets[name], one.delivery, shared) for name, one in built.items()]
        for courier in couriers:
            built[courier.name].http.guard = courier.alive
        if metrics_port is not None:
            app = health_app(
                shared.metrics.registry,
                lambda: all(one.joined for one in couriers),
                lambda: all(one.alive() and one.reached for one in couriers),
            )
            await stack.enter_async_context(serve(app, metrics_host, metrics_port, "--metrics-port"))
        await _await_outside(prepare, stopping)
        if stopping.is_set():
            return
        if targets.feedback is not None:
            feedback = targets.feedback
            app = feedback_app(feedback, {name: one.delivery for name, one in built.items()}, shared)
            await stack.enter_async_context(serve(app, feedback.host, feedback.port, "feedback.port"))
        async with asyncio.TaskGroup() as group:
            for courier in couriers:
                group.create_task(courier.run(stopping))
            group.create_task(_announce(couriers, stopping))
            await stopping.wait()


async def _announce(couriers: Sequence[Courier], stopping: asyncio.Event) -> None:
    """The one line on standard output that scripts wait for."""
    while not all(courier.joined for courier in couriers):
        if stopping.is_set():
            return
        await asyncio.sleep(0.05)
    print(f"ready {len(couriers)} targets", flush=True)


async def _await_outside(prepare: Callable[[], None], stopping: asyncio.Event) -> None:
    """Do `prepare` in a thread as soon as broker and registry answer, unless told to stop before."""
    told = False
    while not stopping.is_set():
        try:
            await asyncio.to_thread(prepare)
            return
        except (BrokerUnreachable, RegistryUnavailable) as error:
            if not told:
                log.warning("waiting: %s", error)
                told = True
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), 1.0)


def _first(group: BaseExceptionGroup[LeadstreamError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
