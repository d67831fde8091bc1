"""From a line or a row to the dashboard of the lane or task that it is about."""

import re
from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.models import dashboard as sdk

QUEUE_UID = "laneway-queue"
TASK_UID = "laneway-task"

# Which dashboard shows more of what a label names.
_BOARDS = {"queue": (QUEUE_UID, "Queue"), "task": (TASK_UID, "Task")}
_VARIABLES = ("namespace", "queue", "task")


def of_legends(legends: Iterable[str]) -> list[sdk.DashboardLink]:
    """Links of lines that have such legends."""
    labels = set(re.findall(r"{{(\w+)}}", " ".join(legends)))
    return [_link(label, labels, "${__field.labels.%s}") for label in _BOARDS if label in labels]


def of_columns(labels: Sequence[str]) -> Iterable[tuple[str, sdk.DashboardLink]]:
    """Columns of a table that have a link, and the link."""
    return [
        (label, _link(label, set(labels), "${__data.fields.%s}"))
        for label in _BOARDS
        if label in labels
    ]


def _link(label: str, labels: set[str], value: str) -> sdk.DashboardLink:
    uid, title = _BOARDS[label]
    # What the line does not say stays as it is chosen here.
    chosen = [
        f"var-{name}={value % name}" if name in labels else f"${{{name}:queryparam}}"
        for name in _VARIABLES[: _VARIABLES.index(label) + 1]
    ]
    query = "&".join(["${datasource:queryparam}", *chosen, "${__url_time_range}"])
    return sdk.DashboardLink(title=f"{title}: {value % label}", url=f"/d/{uid}?{query}")
