"""The shapes of PromQL that dashboards are made of."""

from __future__ import annotations

from streams.monitoring.dashboards.panels import RANGE, RATE, Query


def summed(expr: str, *by: str) -> str:
    """The sum over all series, or one for each value of the labels `by`."""
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def rate(counter: str, *by: str) -> str:
    """So many a second, over time."""
    return summed(f"rate({counter}[{RATE}])", *by)


def count(counter: str, *by: str, window: str = RANGE) -> str:
    """So many in the window, by default in all that is shown."""
    return summed(f"increase({counter}[{window}])", *by)


def quantile(share: float, histogram: str, *by: str, window: str = RATE) -> str:
    """What `share` of the observations in the window do not exceed."""
    return f"histogram_quantile({share}, {summed(f'rate({histogram}_bucket[{window}])', 'le', *by)})"


def half_and_nearly_all(histogram: str, *by: str) -> tuple[Query, Query]:
    """The median and the 99th percentile over time, as two lines for each value of the labels `by`."""
    names = "".join(f"{{{{{label}}}}} " for label in by)
    return (
        Query(quantile(0.5, histogram, *by), f"{names}p50"),
        Query(quantile(0.99, histogram, *by), f"{names}p99"),
    )
