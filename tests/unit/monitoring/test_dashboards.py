from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from streams.monitoring.dashboards import BOARDS, Board
from streams.monitoring.dashboards.grafana import to_json
from tests.processes import leadstream

GRAFANA = Path(__file__).parents[3] / "deploy" / "grafana"
NAMES = [board.name for board in BOARDS]


def panels(board: Board) -> list[dict[str, Any]]:
    return [one for one in json.loads(to_json(board))["panels"] if one["type"] != "row"]


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_the_committed_file_is_what_the_code_makes(board: Board) -> None:
    path = GRAFANA / "dashboards" / f"{board.name}.json"
    assert path.read_text() == to_json(board), "run `leadstream dashboards`"


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_each_panel_says_what_it_shows_in_which_unit_and_asks_the_chosen_source(board: Board) -> None:
    found = panels(board)
    assert len({one["title"] for one in found}) == len(found) == len(board.panels)
    for one in found:
        assert one["description"].endswith("."), one["title"]
        assert one["fieldConfig"]["defaults"]["unit"], one["title"]
        for target in one["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_rates_are_over_what_grafana_knows_to_be_long_enough(board: Board) -> None:
    for panel in board.panels:
        for query in panel.queries:
            windows = set(re.findall(r"\[(.+?)\]", query.expr))
            assert windows <= {"$__rate_interval", "$__range", "1h", "6h", "30d"}, panel.title


@pytest.mark.parametrize("board", BOARDS, ids=NAMES)
def test_ids_are_unique_and_rows_are_full(board: Board) -> None:
    all_panels = json.loads(to_json(board))["panels"]
    ids = [one["id"] for one in all_panels]
    assert len(set(ids)) == len(ids)
    for one in all_panels:
        assert one["gridPos"]["x"] + one["gridPos"]["w"] <= 24


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    assert leadstream("dashboards", "--check", "--out", str(tmp_path)).returncode == 1
    assert leadstream("dashboards", "--out", str(tmp_path)).returncode == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["funnel.json", "pipeline.json"]
    assert leadstream("dashboards", "--check", "--out", str(tmp_path)).returncode == 0
    (tmp_path / "funnel.json").write_text("{}")
    done = leadstream("dashboards", "--check", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "funnel.json" in done.stderr


def test_the_pictures_of_the_documentation_are_there() -> None:
    for name in NAMES:
        assert "<svg" in (GRAFANA / "pictures" / f"{name}.svg").read_text()[:2000]
