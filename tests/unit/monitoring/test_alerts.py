from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.alert_rules import RULES, RUNBOOK, alerts, quick_rules
from tests.prometheus import promtool

pytestmark = pytest.mark.prometheus

SCENARIOS = sorted(Path(__file__).parent.glob("alert_scenarios*.yaml"))
ALERTS = {rule["alert"]: rule for rule in alerts()}


def test_promtool_accepts_the_rules_and_their_quick_form(tmp_path: Path) -> None:
    quick = tmp_path / "quick.yaml"
    quick.write_text(quick_rules())
    for path in (RULES, quick):
        done = promtool("check", "rules", str(path))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scenarios", SCENARIOS, ids=lambda path: path.stem)
def test_each_scenario_has_the_alerts_that_it_should(scenarios: Path) -> None:
    done = promtool("test", "rules", str(scenarios))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_scenario() -> None:
    fired = {
        case["alertname"]
        for path in SCENARIOS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_how_bad_it_is_what_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == f"deploy/{RUNBOOK.name}"
    assert anchor == name.lower()
    section = _sections()[name]
    for part in ("**Means.**", "**Confirm.**", "**Do.**"):
        assert part in section, f"the runbook's section on {name} has no {part}"


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_runbook_speaks_of_no_alert_that_is_not_there() -> None:
    assert {name for name in _sections() if name.startswith("Leadstream")} == set(ALERTS)
