"""What a dashboard's queries answer, asked of a Prometheus server over its HTTP API."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from streams.errors import LeadstreamError
from streams.monitoring.dashboards.panels import RANGE, RATE, Query

_ANSWER_SECONDS = 30
_POINTS = 240


class Line(NamedTuple):
    """A series: its name in the legend, and values at times (Unix seconds)."""

    name: str
    times: list[float]
    values: list[float]


class Server:
    """A Prometheus server, looked at for the `seconds` that end at `end` (Unix seconds). Raises LeadstreamError."""

    def __init__(self, url: str, end: float, seconds: float) -> None:
        self._url = url.rstrip("/")
        self.end = end
        self.seconds = seconds
        self._step = max(1.0, seconds / _POINTS)
        targets = self._get("targets", state="active")["activeTargets"]
        scrape = max((_seconds_in(target["scrapeInterval"]) for target in targets), default=15.0)
        #: As Grafana puts it in for `$__rate_interval`.
        self._rate = max(self._step + scrape, 4 * scrape)

    def over_time(self, query: Query) -> list[Line]:
        begin = self.end - self.seconds
        found = self._get("query_range", query=self._filled(query), start=begin, end=self.end, step=self._step)
        return [_line(query, one["metric"], one["values"]) for one in found["result"]]

    def at_the_end(self, query: Query) -> list[Line]:
        """Lines of one point each."""
        found = self._get("query", query=self._filled(query), time=self.end)
        if found["resultType"] == "scalar":
            return [_line(query, {}, [found["result"]])]
        return [_line(query, one["metric"], [one["value"]]) for one in found["result"]]

    def _filled(self, query: Query) -> str:
        return query.expr.replace(RATE, f"{self._rate:.0f}s").replace(RANGE, f"{self.seconds:.0f}s")

    def _get(self, path: str, **parameters: Any) -> Any:
        address = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=_ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise LeadstreamError(f"Prometheus refuses {parameters}: {error.read().decode()}") from None
        except (OSError, ValueError) as error:
            raise LeadstreamError(f"No Prometheus answers at {self._url}: {error}") from None


def _line(query: Query, labels: Mapping[str, str], points: list[tuple[float, str]]) -> Line:
    name = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), query.legend)
    return Line(name, [float(at) for at, _ in points], [float(value) for _, value in points])


def _seconds_in(duration: str) -> float:
    """Prometheus' own writing of a scrape interval, such as 1m30s."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", duration))
