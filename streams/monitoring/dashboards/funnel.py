"""The dashboard *Funnel*: what came of the leads, for those who live on it.

Counts are increases over the range that is shown, not cohorts: a lead may become an MQL in one month and an SQL in the
next. Over a quarter the difference is small.
"""

from __future__ import annotations

from streams.monitoring.dashboards.panels import RANGE, RATE, Board, Panel, Query, Section
from streams.monitoring.dashboards.promql import count, quantile


def _by_source(stage: str) -> str:
    qualified = f'leads_qualifications_total{{stage="{stage}"}}'
    return f"sort_desc({count(qualified, 'channel')} > 0)"


_MQLS = count('leads_qualifications_total{stage="MQL"}')
_SQLS = count('leads_qualifications_total{stage="SQL"}')
_FROM_MQL = count('leads_transitions_total{from_stage="mql", to_stage="sql"}')
_OPPORTUNITIES = count('leads_transitions_total{from_stage="sql", to_stage="opportunity"}')
_WON = count('leads_transitions_total{from_stage!="customer", to_stage="customer"}')
_BREACHED = count('leads_transitions_total{cause="SLA_BREACHED"}')

_RESULT = Section(
    "In the range that is shown",
    (
        Panel("MQLs", "Leads that became marketing qualified.", "short", "number", (Query(_MQLS),), 4),
        Panel("SQLs", "Leads that were handed to sales.", "short", "number", (Query(_SQLS),), 4),
        Panel("Customers", "Leads that sales won.", "short", "number", (Query(_WON),), 4),
        Panel(
            "MQL to SQL",
            "MQLs that went on to be SQLs, of all MQLs.",
            "percentunit",
            "number",
            (Query(f"{_FROM_MQL} / {_MQLS}"),),
            4,
        ),
        Panel(
            "SQL to opportunity",
            "SQLs of which sales made an opportunity, of all SQLs.",
            "percentunit",
            "number",
            (Query(f"{_OPPORTUNITIES} / {_SQLS}"),),
            4,
        ),
        Panel(
            "SQL to customer",
            "Leads that were won, of all SQLs.",
            "percentunit",
            "number",
            (Query(f"{_WON} / {_SQLS}"),),
            4,
        ),
    ),
)

_QUALIFIED = Section(
    "Who qualifies, and where they come from",
    (
        Panel(
            "Qualified by route",
            "MQLs and SQLs, by where they were sent.",
            "short",
            "bars",
            (Query(count("leads_qualifications_total", "stage", "route", window=RATE), "{{stage}} {{route}}"),),
            12,
        ),
        Panel(
            "MQLs by source",
            "By the medium of the first touch.",
            "short",
            "ranks",
            (Query(_by_source("MQL"), "{{channel}}"),),
            6,
        ),
        Panel(
            "SQLs by source",
            "By the medium of the first touch.",
            "short",
            "ranks",
            (Query(_by_source("SQL"), "{{channel}}"),),
            6,
        ),
    ),
)

_STAGES = Section(
    "Stages",
    (
        Panel(
            "Leads by stage",
            "Everybody that is known now, without those known by another id as well.",
            "short",
            "lines",
            (Query('sum by (stage) (leads_tracked{stage!~"alias|erased"})', "{{stage}}"),),
            8,
        ),
        Panel(
            "Time in a stage, median",
            "Of those who left it in the range that is shown.",
            "s",
            "ranks",
            (Query(f"sort_desc({quantile(0.5, 'leads_stage_seconds', 'stage', window=RANGE)} > 0)", "{{stage}}"),),
            8,
        ),
        Panel(
            "Why stages change",
            "Lifecycle events by cause.",
            "short",
            "bars",
            (Query(count("leads_transitions_total", "cause", window=RATE), "{{cause}}"),),
            8,
        ),
    ),
)

_SALES = Section(
    "Sales",
    (
        Panel(
            "Response",
            "From an SQL to sales' first answer.",
            "s",
            "ranks",
            (
                Query(quantile(0.5, "leads_sales_response_seconds", window=RANGE), "median"),
                Query(quantile(0.9, "leads_sales_response_seconds", window=RANGE), "9 of 10"),
            ),
            6,
        ),
        Panel(
            "Answered within the SLA",
            "SQLs that were not breached, of all SQLs. The time allowed is the model's `sla.respond_within`.",
            "percentunit",
            "number",
            (Query(f"1 - {_BREACHED} / {_SQLS}"),),
            6,
            ((0.0, "red"), (0.8, "yellow"), (0.95, "green")),
        ),
        Panel(
            "Recycled by reason",
            "Leads that sales sent back to rest, by the model's reasons.",
            "short",
            "ranks",
            (Query(f"sort_desc({count('leads_rested_total', 'reason')})", "{{reason}}"),),
            6,
        ),
        Panel(
            "Cooled and given up",
            "MQLs that cooled before they were SQLs, and SQLs that nobody answered.",
            "short",
            "ranks",
            (
                Query(count('leads_transitions_total{cause="COOLED"}'), "cooled"),
                Query(count('leads_transitions_total{cause="GAVE_UP"}'), "given up"),
            ),
            6,
        ),
    ),
)

FUNNEL = Board(
    "funnel",
    "leadstream: Funnel",
    "MQLs and SQLs, their sources and conversion, time in stages, and sales' answers.",
    "now-28d",
    (_RESULT, _QUALIFIED, _STAGES, _SALES),
)
