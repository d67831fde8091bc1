"""What an alert is, and how it becomes an entry of a rule file."""

import re
from dataclasses import dataclass
from typing import Literal

Severity = Literal["page", "ticket"]
Scope = Literal["lane", "task", "platform"]
Dashboard = Literal[
    "laneway-overview",
    "laneway-queue",
    "laneway-task",
    "laneway-failures",
    "laneway-workers",
    "laneway-scaling",
    "laneway-telemetry",
]

PREFIX = "Laneway"

_VARIABLES: dict[Scope, str] = {
    "lane": "&var-queue={{ $labels.queue }}",
    "task": "&var-queue={{ $labels.queue }}&var-task={{ $labels.task }}",
    "platform": "&var-queue=$__all",
}


@dataclass(frozen=True)
class Links:
    """Where the links of alerts lead.

    Attributes:
        runbooks: The folder of the runbooks, as a URL.
        grafana: Grafana's own address.
    """

    runbooks: str = "https://github.com/laneway/laneway/blob/main/docs/runbooks"
    grafana: str = "https://grafana.example.com"


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: In CamelCase, without the prefix.
        severity: `page` wakes somebody, `ticket` waits for the morning.
        expr: True when something is wrong.
        lasting: How long it must be so before anybody is told; empty for at once.
        summary: One line: what is wrong, and where.
        description: What it means, with the number.
        dashboard: Where to look first.
        scope: What its labels name.
    """

    name: str
    severity: Severity
    expr: str
    lasting: str
    summary: str
    description: str
    dashboard: Dashboard
    scope: Scope = "lane"

    @property
    def alertname(self) -> str:
        """Its name as Prometheus has it."""
        return PREFIX + self.name

    @property
    def runbook(self) -> str:
        """The file of its runbook in `docs/runbooks`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.name).lower() + ".md"

    def annotations(self, links: Links) -> dict[str, str]:
        """What is told with it; Prometheus fills in labels and value."""
        where = "?var-namespace={{ $labels.namespace }}" + _VARIABLES[self.scope]
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{links.runbooks}/{self.runbook}",
            "dashboard_url": f"{links.grafana}/d/{self.dashboard}{where}",
        }
