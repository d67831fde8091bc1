"""One case of an alert for promtool: series that go in, and whether it fires."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["fires", "silent", "absent", "reset"]
KINDS: tuple[Kind, ...] = ("fires", "silent", "absent", "reset")

STEP = "30s"
"""Between two values of a series, and between two evaluations."""

LANE = {"namespace": "prod", "queue": "docs"}
TASK = {**LANE, "task": "docs.read"}


@dataclass(frozen=True)
class Case:
    """What is scraped, and what is told at a moment.

    Attributes:
        series: Values by series, in promtool's notation: `0+2x10` is 0, 2, … 20.
        labels: Labels that are told with it; None if it must not fire.
        description: What is told in words; `summary` likewise.
    """

    alert: str
    kind: Kind
    at: str
    series: Mapping[str, str]
    labels: Mapping[str, str] | None = None
    summary: str = ""
    description: str = ""
    severity: str = "ticket"
    note: str = ""

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.alert, self.severity, self.kind, self.note)))


@dataclass(frozen=True)
class Series:
    """Writes the name of a series with the labels that most share."""

    labels: Mapping[str, str] = field(default_factory=lambda: LANE)

    def __call__(self, metric: str, pod: str = "w1", **labels: str) -> str:
        every = {**self.labels, "pod": pod, "instance": f"{pod}:9100", **labels}
        listed = ", ".join(f'{name.rstrip("_")}="{value}"' for name, value in every.items())
        return f"laneway_{metric}{{{listed}}}"


lane = Series()
task = Series(TASK)
process = Series({"namespace": "prod"})

NOTHING = {process("build_info", version="1"): "1x200"}
"""What is scraped where the series of an alert are absent."""


def absent(alert: str, severity: str = "ticket") -> Case:
    """It is silent where its series are absent."""
    return Case(alert, "absent", "40m", NOTHING, severity=severity)


def unit_test(case: Case, alert: Any, links: Any) -> dict[str, Any]:
    """The case as promtool reads it."""
    firing = (
        f'ALERTS{{alertname="{alert.alertname}", severity="{case.severity}", alertstate="firing"}}'
    )
    samples = []
    told: list[dict[str, Any]] = []
    if case.labels is not None:
        labels = {
            "alertname": alert.alertname,
            "alertstate": "firing",
            "severity": case.severity,
            **case.labels,
        }
        listed = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        samples = [{"labels": f"ALERTS{{{listed}}}", "value": 1}]
        told = [{"exp_labels": {"severity": case.severity, **case.labels}}]
        told[0]["exp_annotations"] = _annotations(case, alert, links)
    found: dict[str, Any] = {
        "name": case.name,
        "interval": STEP,
        "input_series": [{"series": k, "values": v} for k, v in case.series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": case.at, "exp_samples": samples}],
    }
    if case.summary:
        found["alert_rule_test"] = [
            {"eval_time": case.at, "alertname": alert.alertname, "exp_alerts": told}
        ]
    return found


def _annotations(case: Case, alert: Any, links: Any) -> dict[str, str]:
    """The words are the case's own; in the links only labels are filled in."""
    links_alone = alert.annotations(links)
    filled = {"summary": case.summary, "description": case.description}
    for name in ("runbook_url", "dashboard_url"):
        url = links_alone[name]
        for label in ("namespace", "queue", "task"):
            value = (case.labels or {}).get(label, "")
            url = url.replace(f"{{{{ $labels.{label} }}}}", value)
        filled[name] = url
    return filled
