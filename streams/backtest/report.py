"""What a replay says to revenue people: how many qualified, and whether those were the ones who bought."""

from __future__ import annotations

import csv
from typing import Any, TextIO

from streams.backtest.replay import Replay
from streams.qualification.events import Qualified
from streams.qualification.fit import fit_of
from streams.qualification.interest import interest_at

_OUTCOMES = {"WON": "won", "LOST": "lost", "REJECTED": "lost"}


def summary(result: Replay) -> dict[str, Any]:
    """The replay in numbers, for `--json`.

    `outcomes` relates qualification to sales' answers: of the leads that became customers, and of those that were lost
    or rejected, how many had been an MQL or SQL by then.
    """
    qualified_at: dict[str, int] = {}
    counts = {"MQL": 0, "SQL": 0}
    paths: dict[str, int] = {}
    for one in result.transitions:
        if isinstance(one, Qualified):
            record = one.record
            counts[record["stage"]] += 1
            if record["path"]:
                paths[record["path"]] = paths.get(record["path"], 0) + 1
            qualified_at.setdefault(result.person(record["lead_id"]), record["occurred_at"])
    outcomes: dict[str, dict[str, bool]] = {"won": {}, "lost": {}}
    for lead_id, disposition, answered_at in result.answers:
        outcome = _OUTCOMES.get(disposition)
        if outcome is not None:
            person = result.person(lead_id)
            had_qualified = qualified_at.get(person, answered_at) < answered_at
            outcomes[outcome].setdefault(person, had_qualified)
    stages: dict[str, int] = {}
    for lead in result.leads.values():
        stages[lead.stage] = stages.get(lead.stage, 0) + 1
    return {
        "model": result.model.version,
        "until": result.until,
        "events": result.events,
        "rejected": len(result.rejected),
        "ignored": dict(sorted(result.ignored.items())),
        "leads": len(result.leads),
        "stages": dict(sorted(stages.items())),
        "mql_events": counts["MQL"],
        "sql_events": counts["SQL"],
        "sql_paths": dict(sorted(paths.items())),
        "outcomes": {name: _share(leads) for name, leads in outcomes.items()},
    }


def write_scores(result: Replay, out: TextIO) -> None:
    """The scores of all leads as of the last event, as CSV, best first. `score` is interest plus fit, in points."""
    rows = []
    for lead in result.leads.values():
        interest = interest_at(lead, result.model, result.until)
        fit = fit_of(lead.profile, result.model)
        rows.append((lead.lead_id, interest + fit, interest, fit, lead.stage))
    rows.sort(key=lambda row: (-row[1], row[0]))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("lead_id", "score", "interest", "fit", "stage"))
    writer.writerows(rows)


def _share(qualified: dict[str, bool]) -> dict[str, Any]:
    leads, had = len(qualified), sum(qualified.values())
    return {"leads": leads, "qualified": had, "share": had / leads if leads else None}
