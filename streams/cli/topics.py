"""`leadstream topics`: create what is missing, report drift; and who may do what with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import DEFAULT_APP, DEFAULT_BOOTSTRAP, App, Bootstrap
from streams.errors import UsageError
from streams.provisioning import RETENTION_OF_ERASURES

if TYPE_CHECKING:
    from streams.provisioning import Drift


def register(app: typer.Typer) -> None:
    app.command("topics")(topics)


def topics(
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Partitions of every topic. Default: as many as the existing topics have, or 12.",
            show_default=False,
        ),
    ] = None,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Copies of every topic. Default: the cluster's.", show_default=False),
    ] = None,
    min_insync_replicas: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Copies that a write waits for. Default: the cluster's.", show_default=False),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: exit 1 when something is missing or differs.")
    ] = False,
    shorten_retention: Annotated[
        bool,
        typer.Option(
            "--shorten-retention",
            help="Shorten also what is kept for longer than leadstream needs. Kafka then deletes what is older.",
        ),
    ] = False,
    acls: Annotated[
        bool, typer.Option("--acls", help="Print who needs which rights, as arguments of kafka-acls.sh, and end.")
    ] = False,
    app: App = DEFAULT_APP,
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
) -> None:
    """Create missing topics, put settings right, report drift.

    A wrong number of partitions can't be put right: leads would part from their state. It is reported, as is a wrong
    number of copies, and the exit code is 1. Topics that you keep for longer than leadstream needs are reported and
    left so. In production, keep three copies and let writes wait for two.

    Examples:

        leadstream topics

        leadstream topics --partitions 24 --replication-factor 3 --min-insync-replicas 2 --bootstrap kafka-1:9092

        leadstream topics --check

        leadstream topics --acls | xargs -L 1 kafka-acls.sh --bootstrap-server kafka-1:9092
    """
    from streams.access import kafka_acls
    from streams.kafka import ensure_topics
    from streams.provisioning import Replication
    from streams.topics import relay_memory_topic, relay_retries_topic

    if acls:
        print("\n".join(kafka_acls(app)))
        return
    if replication_factor is not None and (min_insync_replicas or 1) > replication_factor:
        raise UsageError(
            f"No write can wait for {min_insync_replicas} copies of {replication_factor}: "
            "--min-insync-replicas must not be above --replication-factor."
        )
    report = ensure_topics(
        bootstrap,
        partitions,
        app,
        (relay_memory_topic(app), relay_retries_topic(app)),
        replication=Replication(replication_factor, min_insync_replicas),
        change=not check,
        shorten=shorten_retention,
    )
    for name in report.created:
        print(f"created {name}")
    for drift in report.mended:
        print(f"mended  {drift.topic}: {drift.setting} was {drift.found}, is {drift.wanted}")
    for drift in report.drift:
        print(f"drift   {drift}", file=sys.stderr)
    for longer in report.longer:
        print(f"drift   {longer}", file=sys.stderr)
    if report.longer:
        print("What you keep for longer is left so; --shorten-retention makes Kafka delete it.", file=sys.stderr)
    if report.uncompared:
        print(f"unseen  the settings of {', '.join(report.uncompared)}", file=sys.stderr)
    if report.drift or report.uncompared:
        settings = {drift.setting: drift for drift in report.drift}
        for line in _advice(settings, check, bool(report.uncompared)):
            print(line, file=sys.stderr)
    if report.drift or report.uncompared or (check and report.longer):
        raise typer.Exit(1)
    if not report.created and not report.mended and not report.longer:
        print(f"All topics are there, {report.partitions} partitions each.")


def _advice(settings: dict[str, Drift], check: bool, unseen: bool) -> list[str]:
    advice = []
    if "number of partitions" in settings:
        found = settings.pop("number of partitions").found
        advice.append(
            "The number of partitions can't be changed with leads in place. Go on with the present one "
            f"(--partitions {found}), or replay the history to new topics (deploy/operations.md, More partitions)."
        )
    if settings.pop("replication factor", None) is not None:
        advice.append(
            "Clients can't change how many copies a topic has: use kafka-reassign-partitions.sh, or Cruise Control."
        )
    if settings.pop(RETENTION_OF_ERASURES, None) is not None:
        advice.append(
            "Who was erased comes back in a replay when events are kept for longer than erasures: keep erasures for as "
            "long (kafka-configs.sh --alter --add-config retention.ms=...), or the other topics for less."
        )
    if settings and check:
        advice.append("The same command without --check creates and mends, as a user who may see all topics.")
    elif settings or unseen:
        advice.append("This user may not see or change settings: log in as one who may (`leadstream topics --acls`).")
    return advice
