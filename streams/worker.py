"""The worker: input topics -> the pure core -> qualification topics, on the engine. Composition only."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry

from streams.engine.app import EngineApp, create_app, run
from streams.engine.clock import ClockKind
from streams.engine.config import EngineConfig
from streams.engine.report import Report
from streams.errors import LeadstreamError
from streams.kafka import DEFAULT_APP, BrokerUnreachable, ensure_topics
from streams.modelwatch import ModelWatch
from streams.monitoring.health import WorkerHealth
from streams.monitoring.metrics import WorkerMetrics
from streams.monitoring.serving import serve
from streams.processing import LeadLogic
from streams.qualification.model.values import Model
from streams.security import login
from streams.topics import OUTPUT_TOPICS, SOURCE_TOPICS, changelog_topic
from streams.wire.codec import Codec
from streams.wire.registry import RegistryUnavailable

log = logging.getLogger(__name__)
_T = TypeVar("_T")

#: A batch makes tens of thousands of objects, none of them in cycles: to look for those at the usual thresholds takes a
#: fifth of the time.
_COLLECT_AFTER = (100_000, 50, 100)


class _Announcing(WorkerMetrics):
    """Metrics, and the one line on standard output that scripts wait for."""

    def ready(self, partitions: Sequence[int]) -> None:
        super().ready(partitions)
        print(f"ready {len(partitions)} partitions assigned and restored", flush=True)


def run_worker(
    bootstrap: str,
    model: Model,
    *,
    app_id: str = DEFAULT_APP,
    clock: ClockKind = "wall",
    metrics_host: str = "127.0.0.1",
    metrics_port: int | None = None,
    instance_id: str | None = None,
    schema_registry: str | None = None,
    session_timeout_s: float = 10.0,
    model_file: Path | None = None,
) -> None:
    """Run in the foreground until SIGTERM or SIGINT.

    `model_file` is where `model` came from: when it changes while the worker runs, so does the judgement.

    Waits for a broker that is away, answering probes, and creates missing topics. Raises what keeps it from starting.
    """
    topics = tuple(topic.name for topic in SOURCE_TOPICS)
    metrics = _Announcing(
        CollectorRegistry(), topics, tuple(reason for reason, lasts in model.rest.reasons.items() if lasts)
    )
    running: list[EngineApp] = []

    def latest() -> Report | None:
        return running[0].engine.report if running else None

    metrics.watch(latest)
    if metrics_port is not None:
        health = WorkerHealth(latest)
        probes = {"/health/live": health.live, "/health/ready": health.ready, "/health/started": health.started}
        serve(metrics.registry, metrics_host, metrics_port, probes)
    # Nothing is begun yet that would have to be ended; and the first process of a container has no default for this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    found = _awaited(lambda: ensure_topics(bootstrap, app_id=app_id), BrokerUnreachable)
    for drift in found.drift:
        log.warning("%s", drift)
    codec = Codec(schema_registry)
    logic = LeadLogic(codec, model, found.partitions, lambda: time.time_ns() // 1_000_000, metrics, app_id)
    if model_file is not None:
        ModelWatch(model_file, model, logic.offer, metrics.model_changed).start()
    config = EngineConfig(
        app_id=app_id,
        bootstrap=bootstrap,
        topics=topics,
        changelog_topic=changelog_topic(app_id).name,
        partitions=found.partitions,
        grace_ms=model.grace_ms,
        agent="qualify",
        clock=clock,
        instance_id=instance_id,
        session_timeout_s=session_timeout_s,
        heartbeat_s=session_timeout_s / 5,
        security=login().librdkafka(),
    )
    app = create_app(config, logic, metrics)
    running.append(app)
    # Before the first record: in the middle of a batch there is no waiting.
    written = [topic.name for topic in (*OUTPUT_TOPICS, *SOURCE_TOPICS) if topic.role != "input"]
    _awaited(lambda: codec.prepare(written), RegistryUnavailable)
    gc.set_threshold(*_COLLECT_AFTER)
    run(app)


def _awaited(attempt: Callable[[], _T], away: type[LeadstreamError]) -> _T:
    """What `attempt` gives once it no longer raises `away`, however long that takes. The log says once what is away."""
    told = False
    while True:
        try:
            return attempt()
        except away as error:
            if not told:
                log.warning("waiting: %s", error)
                told = True
            time.sleep(1.0)
