"""The alerts that take hours and weeks in life, each provoked as the runbook tells of it: it fires, can be confirmed,
is mended as the runbook says, and stops.

The rules are the real ones with windows of seconds (`tests/alert_rules.py`). What makes the others fire (standstill,
lag, dead letters, restores, an absent broker) is in `test_operations.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.modelfile import read_text
from tests.alert_rules import quick_rules
from tests.operations_bed import Bed, bookings, event, publish, running_bed
from tests.processes import end, eventually, leadstream
from tests.relay_bed import running_relay, webhook
from tests.servers import Answer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.prometheus]

#: So that what is due by the clock is due within seconds.
GRACE = ("grace: 2m\n", "grace: 2s\n")
SLA = ("respond_within: 24h", "respond_within: 2s")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.yaml"
    text, _ = read_text()
    assert SLA[0] in text
    assert GRACE[0] in text
    path.write_text(text.replace(*GRACE))
    return path


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("alerts")
    rules = folder / "rules.yaml"
    rules.write_text(quick_rules())
    logs = ("--log-format", "json")
    with running_bed(folder / "bed", [rules], *logs, of_worker=("--model", str(model))) as running:
        # Each partition's clock begins, and goes on with the wall clock's from then on.
        publish(running, bookings("first", 40))
        counted = "sum(leads_event_to_qualification_seconds_count)"
        eventually(lambda: running.prometheus.value(counted) == 40, "the first do not become SQLs")
        yield running


def messages(bed: Bed, program: str, level: str) -> list[str]:
    lines = [json.loads(line) for line in bed.log_of(program).splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["level"] == level]


@pytest.mark.long
def test_events_that_come_late_burn_the_budget(bed: Bed) -> None:
    burns = ("LeadstreamBudgetBurnsFast", "LeadstreamBudgetBurns", "LeadstreamBudgetBurnsSlowly")
    # As the runbook confirms it: what took longer than a second.
    counts = "sum(leads_event_to_qualification_seconds_count)"
    slow = f'{counts} - sum(leads_event_to_qualification_seconds_bucket{{le="1.0"}})'
    before = bed.prometheus.value(slow)
    assert before is not None
    with bed.worker.silence():
        publish(bed, bookings("late", 40))
        old = "max(leads_consumer_lag_seconds)"
        eventually(lambda: (bed.prometheus.value(old) or 0) > 2, "nothing waits")
    eventually(lambda: bed.prometheus.value(slow) == before + 40, "not all are counted as late")
    bed.prometheus.await_alerts(*burns)
    bed.prometheus.await_quiet(*burns)


@pytest.mark.long
def test_a_worker_that_is_started_again_and_again_is_alarmed_of(bed: Bed) -> None:
    began = 'process_start_time_seconds{job="leadstream-worker"}'
    for _ in range(2):
        before = bed.prometheus.value(began)
        assert bed.worker.process is not None
        bed.worker.process.kill()
        bed.worker.process.wait(20)
        bed.worker.start()
        eventually(lambda before=before: bed.prometheus.value(began) not in (None, before), "no new process is seen")  # type: ignore[misc]
    bed.prometheus.await_alerts("LeadstreamRestarts")
    bed.worker.await_ready()
    bed.prometheus.await_quiet("LeadstreamRestarts")


def test_the_last_relay_that_is_gone_from_discovery_is_alarmed_of_where_one_was(bed: Bed) -> None:
    assert "LeadstreamTargetGone" not in bed.prometheus.firing()
    bed.prometheus.discover("leadstream-relay", [])
    bed.prometheus.await_alerts("LeadstreamTargetGone")
    assert not bed.prometheus.now('up{job="leadstream-relay"}')
    assert "LeadstreamTargetDown" not in bed.prometheus.firing()
    bed.prometheus.discover("leadstream-relay", [bed.ports.relay])
    bed.prometheus.await_quiet("LeadstreamTargetGone")


def test_a_target_that_fails_is_alarmed_of_and_what_was_parked_can_be_sent_again(bed: Bed) -> None:
    bed.subscriber.always = Answer(503, {"error": "refused-7 was too much for us"})
    try:
        publish(bed, bookings("refused", 20))
        bed.prometheus.await_alerts("LeadstreamRelayTargetFails", "LeadstreamRelayParks")
    finally:
        heard, bed.subscriber.always = len(bed.subscriber.heard), None
    bootstrap = ("--bootstrap", bed.broker.bootstrap)
    listed = leadstream("dead-letters", "list", "--consumer", "relay:crm", *bootstrap)
    assert "HTTP 503: refused-7 was too much for us (after 6 tries)" in listed.stdout
    again = leadstream("dead-letters", "retry", "--all", "--consumer", "relay:crm", *bootstrap)
    assert again.returncode == 0, again.stderr
    wanted = {f"refused-{number}" for number in range(20)}
    eventually(
        lambda: wanted <= {one.json["data"]["lead_id"] for one in bed.subscriber.heard[heard:]},
        "not all come after all",
    )
    bed.prometheus.await_quiet("LeadstreamRelayTargetFails", "LeadstreamRelayParks")
    # A line when it is left alone, one for all that were parked within a minute, one at the end; and not what it said.
    said = [re.sub(r"[0-9./]+", "N", one) for one in messages(bed, "relay", "WARNING") if one.startswith("crm")]
    assert said == [
        "crm is left alone for N s: HTTP N",
        "crm: N parked since the start, now sql-events offset N; `leadstream dead-letters list` says why",
        "crm takes events again",
    ]


@pytest.mark.long
def test_mqls_that_stop_coming_are_alarmed_of(bed: Bed) -> None:
    fits = {"email": "a@b.example", "employees": 500, "industry": "software", "job_title": "Director"}
    leads = [f"warm-{number}" for number in range(20)]
    publish(bed, [event("lead-profiles", lead, **fits) for lead in leads])
    publish(bed, [event("downloads", lead, asset_id="a", funnel_stage="BOTTOM") for lead in leads])
    bed.prometheus.await_alerts("LeadstreamMqlRateCollapsed")
    bed.prometheus.await_quiet("LeadstreamMqlRateCollapsed")


@pytest.mark.long
def test_sales_that_makes_less_of_its_leads_than_before_is_alarmed_of(bed: Bed) -> None:
    publish(bed, bookings("good", 60))
    publish(bed, [event("sales-feedback", f"good-{n}", disposition="OPPORTUNITY") for n in range(60)])
    sqls = 'sum(increase(leads_qualifications_total{stage="SQL"}[20s]))'
    eventually(lambda: (bed.prometheus.value(sqls) or 0) > 50, "no SQLs come")
    eventually(lambda: (bed.prometheus.value(sqls) or 0) < 1, "SQLs do not stop coming")
    assert "LeadstreamSqlConversionFell" not in bed.prometheus.firing()
    publish(bed, bookings("bad", 60))
    bed.prometheus.await_alerts("LeadstreamSqlConversionFell")
    bed.prometheus.await_quiet("LeadstreamSqlConversionFell")


@pytest.mark.long
def test_sales_that_does_not_answer_is_alarmed_of(bed: Bed, model: Path) -> None:
    given = model.read_text()
    model.write_text(given.replace(*SLA))
    accepted = 'leads_model_changes_total{outcome="accepted"}'
    eventually(lambda: bed.prometheus.value(accepted), "the model is not taken")
    publish(bed, bookings("unanswered", 20))
    bed.prometheus.await_alerts("LeadstreamSlaBreaches")
    model.write_text(given)
    bed.prometheus.await_quiet("LeadstreamSlaBreaches")


def test_a_subscriber_that_wants_no_more_is_alarmed_of_until_the_relay_is_started_again(bed: Bed) -> None:
    bed.subscriber.always = Answer(410)
    publish(bed, bookings("unwanted", 5))
    bed.prometheus.await_alerts("LeadstreamRelayTargetFails")
    assert "crm takes no more events" in messages(bed, "relay", "ERROR")[-1]
    bed.subscriber.always = None
    end(bed.relay)
    targets = {"crm": webhook(bed.subscriber.url)}
    metrics = ("--metrics-port", str(bed.ports.relay))
    with running_relay(bed.broker.bootstrap, bed.folder / "relay", targets, *metrics):
        bed.prometheus.await_quiet("LeadstreamRelayTargetFails", "LeadstreamTargetDown")
