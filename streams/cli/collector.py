"""`leadstream collector`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import (
    DEFAULT_BOOTSTRAP,
    LOOPBACK,
    Bootstrap,
    LogFormat,
    LogFormatOption,
    MetricsHost,
    SchemaRegistry,
)
from streams.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(collector)


def collector(
    bootstrap: Bootstrap = DEFAULT_BOOTSTRAP,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen on this address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Listen on this port; 0 takes a free one.")] = 8080,
    write_keys: Annotated[
        Path | None, typer.Option(help="Whose events are taken: a YAML list of name and key.", show_default=False)
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Take any write key, and unsigned bookings: for development.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(help="What trackers' event names mean; without it the default mapping.")
    ] = None,
    assets: Annotated[
        Path | None, typer.Option(help="Where download links lead: YAML of name and url.", show_default=False)
    ] = None,
    booking_secret_file: Annotated[
        Path | None, typer.Option(help="The secret that booking webhooks are signed with.", show_default=False)
    ] = None,
    truncate_addresses: Annotated[
        bool,
        typer.Option(
            "--truncate-addresses",
            help="Keep no more of an address than its network (/24, /48); dead letters hold payloads as they came.",
        ),
    ] = False,
    trusted_proxies: Annotated[
        str, typer.Option(metavar="NETWORKS", help="Believe X-Forwarded-For of these, such as 10.0.0.0/8,::1.")
    ] = "",
    consent_category: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Pass over Segment and RudderStack events that deny this category.", show_default=False
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve Prometheus metrics (/metrics) on this port.", show_default=False),
    ] = None,
    metrics_host: MetricsHost = LOOPBACK,
    schema_registry: SchemaRegistry = None,
    log_format: LogFormatOption = LogFormat.text,
    print_mapping: Annotated[
        bool, typer.Option("--print-mapping", help="Print the default mapping, to begin one's own with, and end.")
    ] = False,
) -> None:
    """Take events over HTTP: from Segment's, RudderStack's and Snowplow's trackers, and from our own tracker.js.

    Runs in the foreground and prints `ready HOST:PORT` when the broker and its topics are found; missing topics are
    created. An event is confirmed (2xx) when the broker has it. Without the broker, trackers are told to come back
    (503). A page of a website includes http://HOST:PORT/tracker.js; the README has the snippet and the other trackers.

    Examples:

        leadstream collector --open

        leadstream collector --host 0.0.0.0 --write-keys keys.yaml --assets assets.yaml --metrics-port 9101

        leadstream collector --print-mapping > mapping.yaml

    Files, each read once at the start; none is written:

    \b
      --write-keys           - {name: website, key: "16 characters or more", events_per_second: 1000}
                             a list; Snowplow's trackers give the key as their application id
      --assets               guide: {url: "https://cdn.example/guide.pdf", title: Guide, funnel_stage: BOTTOM}
                             where GET /d/guide?l=LEAD leads
      --mapping              which event of a tracker becomes what; see --print-mapping
      --booking-secret-file  one line: what Calendly calls the signing key

    Ports: events and /health/live, /health/started, /health/ready on --host and --port (plain HTTP: end TLS before it,
    and name what does in --trusted-proxies); /metrics on --metrics-host and --metrics-port, nowhere unless given.

    Kafka: it writes the input topics and dead-letters and reads nothing. It keeps no state: start as many as needed
    behind a load balancer; each uses one core.

    SIGTERM: it takes no more connections, answers what is at hand and ends, after five seconds with a broker that is
    slow and 50 at the worst. Have the load balancer let go of it before.

    Exit codes: 0 after SIGTERM or SIGINT, 1 when it can't go on, 2 for a wrong option or file.
    """
    if print_mapping:
        from streams.collector.mapping import default_mapping

        print(default_mapping(), end="")
        return
    if open_ == (write_keys is not None):
        raise UsageError("give either --write-keys FILE, or --open to take any key (for development).")
    from streams.collector.downloads import read_assets
    from streams.collector.keys import WriteKeys, read_write_keys
    from streams.collector.mapping import read_mapping
    from streams.collector.privacy import networks
    from streams.collector.reception import Settings
    from streams.collector.server import Serving, read_secret, run_collector
    from streams.monitoring.logs import set_up_logging

    set_up_logging("collector", log_format)
    settings = Settings(
        WriteKeys(None) if write_keys is None else read_write_keys(write_keys),
        read_mapping(mapping),
        {} if assets is None else read_assets(assets),
        None if booking_secret_file is None else read_secret(booking_secret_file),
        networks(one for one in trusted_proxies.split(",") if one.strip()),
        consent_category,
    )
    serving = Serving(host, port, bootstrap, schema_registry, metrics_host, metrics_port, truncate_addresses)
    run_collector(serving, settings)
