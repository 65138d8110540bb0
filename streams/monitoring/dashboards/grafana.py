"""A dashboard as Grafana reads it, by Grafana's own SDK."""

from __future__ import annotations

from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, Threshold, ThresholdsMode

from streams.monitoring.dashboards.panels import Board, Panel, Query

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT = 8
_NUMBER_HEIGHT = 5


def to_json(board: Board) -> str:
    """The dashboard's file, for Grafana 10 and later; the same at each call."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"leadstream-{board.name}")
        .description(board.description)
        .tags(["leadstream"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(board.since, "now")
        .refresh("30s")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    numbers = count(1)
    for section in board.sections:
        built.with_row(dashboard.Row(section.title).id(next(numbers)))
        low = all(panel.kind == "number" for panel in section.panels)
        for panel in section.panels:
            built.with_panel(
                _panel(panel).id(next(numbers)).height(_NUMBER_HEIGHT if low else _HEIGHT).span(panel.width)
            )
    return str(JSONEncoder(sort_keys=True, indent=2).encode(built.build())) + "\n"


def _panel(panel: Panel) -> Any:
    if panel.kind == "number":
        made: Any = _number(panel)
    elif panel.kind == "ranks":
        made = bargauge.Panel().orientation(VizOrientation.HORIZONTAL).min(0)
        if panel.unit == "short":
            made.decimals(0)
        made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    else:
        made = _over_time(panel)
    made.title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    for number, query in enumerate(panel.queries):
        made.with_target(_target(query, "ABCDEF"[number], instant=panel.kind in ("number", "ranks")))
    return made


def _number(panel: Panel) -> Any:
    made = stat.Panel().graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE)
    made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    made.decimals(1 if panel.unit == "percentunit" else 0)
    if panel.steps:
        first, *rest = panel.steps
        steps = [Threshold(value=None, color=first[1]), *(Threshold(value=at, color=colour) for at, colour in rest)]
        made.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return made


def _over_time(panel: Panel) -> Any:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    made = timeseries.Panel().min(0).legend(legend.show_legend(True)).show_points(VisibilityMode.NEVER)
    made.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if panel.kind == "bars":
        made.draw_style(GraphDrawStyle.BARS).fill_opacity(80)
        made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    else:
        made.draw_style(GraphDrawStyle.LINE).fill_opacity(5)
    return made


def _target(query: Query, ref_id: str, instant: bool) -> Any:
    made = prometheus.Dataquery().expr(query.expr).ref_id(ref_id).datasource(_SOURCE)
    if query.legend:
        made.legend_format(query.legend)
    return made.instant() if instant else made.range()
