"""Pieces of PromQL that rules and alerts share.

Pods export the same lane more than once, so every expression says how its metric adds up: what a
pod measures of itself is summed, what each process reads from the broker is one number, its `max`.
`namespace` is a label of the target; on a single machine there is none, and nothing changes.
"""

LANE = "namespace, queue"
TASK = "namespace, queue, task"
OBJECTIVE = "namespace, queue, slo"

PROCESS = "namespace, pod, instance"
"""What tells one scraped process from another: on a single machine only `instance` does."""

DEPTH = "queue:laneway_depth:sum"
WAITING = "queue:laneway_waiting:sum"
SERVICE = "queue:laneway_service:rate5m"
ARRIVALS = "queue:laneway_arrivals:rate5m"
UTILISATION = "queue:laneway_utilisation:ratio5m"
SLO_EVENTS = "queue:laneway_slo_events:rate5m"
SLO_ERRORS = "queue:laneway_slo_errors:ratio_rate"
LAST_SUCCESS = "task:laneway_last_success:max"
SUCCESS_GAP = "task:laneway_success_gap:seconds"


def increase(series: str, window: str, labels: str = LANE) -> str:
    """How much counters of all pods rose within the window."""
    return f"sum by ({labels}) (increase({series}[{window}]))"


def rate(series: str, window: str, labels: str = LANE) -> str:
    """How much counters of all pods rise a second."""
    return f"sum by ({labels}) (rate({series}[{window}]))"


def total(series: str, labels: str = LANE) -> str:
    """What each pod has of its own, together."""
    return f"sum by ({labels}) ({series})"


def most(series: str, labels: str = LANE) -> str:
    """The greatest of what pods say; the one number, if they all read it from the broker."""
    return f"max by ({labels}) ({series})"
