"""Dashboards as code: *Pipeline* for those who keep it running, *Funnel* for those who live on what comes out.

`panels` says what a dashboard is and `promql` what it asks, `pipeline` and `funnel` are the two, `grafana` writes their
JSON, `pictures` plots the same queries.
"""

from streams.monitoring.dashboards.funnel import FUNNEL
from streams.monitoring.dashboards.panels import Board
from streams.monitoring.dashboards.pipeline import PIPELINE

BOARDS: tuple[Board, ...] = (PIPELINE, FUNNEL)

__all__ = ["BOARDS", "FUNNEL", "PIPELINE", "Board"]
