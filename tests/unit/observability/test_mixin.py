"""Recording rules and alerts: what they name exists, and the files are what the code makes."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

import queries
from laneway.observability.mixin import write
from laneway.observability.mixin.alert import Alert, Dashboard, Links
from laneway.observability.mixin.alerts import ALERT_GROUPS, ALERTS
from laneway.observability.mixin.rules import RULE_GROUPS, RecordingRule
from laneway.services.worker.listener import GAVE_UP
from laneway.services.worker.pool.exits import RECYCLED, exit_reason

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
RULE_FILES = ROOT / "charts" / "laneway" / "files" / "rules"
RULES = [rule for group in RULE_GROUPS for rule in group.rules]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.record)
every_alert = pytest.mark.parametrize(
    "alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}"
)


@every_rule
def test_a_rule_reads_what_is_catalogued(rule: RecordingRule) -> None:
    assert queries.problems(rule.expr) == []


@every_rule
def test_a_rule_keeps_the_labels_that_its_level_names(rule: RecordingRule) -> None:
    labels = {"namespace", "queue"}
    if rule.record.startswith("task:"):
        labels |= {"task"}
    if ":laneway_slo_" in rule.record:
        labels |= {"slo"}
    if rule.record == "queue:laneway_slo_events:rate5m":
        labels |= {"result"}
    assert queries.result_labels(rule.expr) == labels


def test_the_names_that_others_rely_on_are_recorded() -> None:
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    assert {rule.record for rule in RULES} >= {
        "queue:laneway_utilisation:ratio5m",
        "queue:laneway_service:rate5m",
        "queue:laneway_arrivals:rate5m",
        "queue:laneway_drain_eta:seconds",
        *(f"queue:laneway_slo_errors:ratio_rate{window}" for window in windows),
    }


@every_alert
def test_an_alert_reads_what_is_catalogued(alert: Alert) -> None:
    assert queries.problems(alert.expr) == []


@every_alert
def test_an_alert_tells_of_labels_that_its_query_keeps(alert: Alert) -> None:
    annotations = alert.annotations(Links())
    told = set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values())))
    assert told <= queries.result_labels(alert.expr)


@every_alert
def test_an_alert_says_all_that_its_reader_needs(alert: Alert) -> None:
    annotations = alert.annotations(Links())
    assert set(annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert all(annotations.values())
    assert alert.severity in {"page", "ticket"}
    assert "$value" not in annotations["summary"]
    dashboard = annotations["dashboard_url"].removeprefix("https://grafana.example.com/d/")
    assert dashboard.split("?")[0] in get_args(Dashboard)
    assert "var-queue=" in dashboard


def test_no_two_alerts_are_the_same() -> None:
    assert len({(alert.name, alert.severity) for alert in ALERTS}) == len(ALERTS)


def test_no_value_becomes_a_label() -> None:
    """An alert with such a label would be a new one at each evaluation."""
    content = yaml.safe_load(write.rule_files()["laneway.alerts.yaml"])
    labels = [rule["labels"] for group in content["groups"] for rule in group["rules"]]
    assert len(labels) == len(ALERTS)
    assert {frozenset(each) for each in labels} == {frozenset({"severity"})}
    assert not any("$" in value for each in labels for value in each.values())


def test_the_committed_files_are_what_the_code_makes() -> None:
    committed = {path.name: path.read_text() for path in RULE_FILES.iterdir()}
    assert committed == write.rule_files(), "run: make rules"


def test_links_lead_where_the_operator_says(tmp_path: Path) -> None:
    write.main([str(tmp_path), "--runbooks", "https://wiki/books", "--grafana", "https://g"])

    content = yaml.safe_load((tmp_path / "laneway.alerts.yaml").read_text())
    assert [group["name"] for group in content["groups"]] == list(ALERT_GROUPS)
    first = content["groups"][0]["rules"][0]["annotations"]
    assert first["runbook_url"] == "https://wiki/books/start-latency-burn.md"
    assert first["dashboard_url"].startswith("https://g/d/laneway-overview?")


def test_words_that_alerts_look_for_are_those_that_workers_say() -> None:
    assert "delivery limit" in GAVE_UP
    assert [exit_reason(0), exit_reason(RECYCLED)] == ["exit", "recycled"]
    expressions = " ".join(alert.expr for alert in ALERTS)
    assert 'reason="delivery limit"' in expressions
    assert 'reason!~"exit|recycled"' in expressions
