"""What several dashboards show alike."""

from laneway.observability import catalogue as c
from laneway.observability.metric import Metric
from laneway.observability.mixin.dashboards.panels import Heat, Lines, Number, Query, Step
from laneway.observability.mixin.dashboards.promql import (
    LANE,
    buckets,
    depth,
    quantile,
    rate,
    recorded,
    told,
)

PER_SECOND = "suffix:/s"
PER_MINUTE = "suffix:/min"
BY_LANE = "{{namespace}}/{{queue}}"
QUANTILES = (0.5, 0.95, 0.99)

# Recording rules; the names are an agreement with the rules' folder.
UTILISATION = recorded("queue:laneway_utilisation:ratio5m")
SERVICE = recorded("queue:laneway_service:rate5m")
ARRIVALS = recorded("queue:laneway_arrivals:rate5m")
DRAIN_ETA = recorded("queue:laneway_drain_eta:seconds")

OUTCOMES = {
    "success": "green",
    "retry": "yellow",
    "requeued": "light-yellow",
    "failure": "red",
    "rejected": "semi-dark-red",
    "soft_timeout": "orange",
    "hard_timeout": "dark-orange",
    "worker_lost": "dark-red",
    "terminated": "purple",
    "ignored": "light-blue",
    "revoked": "blue",
    "expired": "semi-dark-blue",
    "cancelled": "dark-blue",
    "shutdown_requeued": "super-light-blue",
}
# What was published, by "kind, delay, result".
PUBLISHED = {
    "first, now, ok": "green",
    "first, later, ok": "blue",
    "retry, now, ok": "light-yellow",
    "retry, later, ok": "yellow",
    "first, now, error": "red",
    "first, later, error": "semi-dark-red",
    "retry, now, error": "dark-red",
    "retry, later, error": "orange",
}
BUSY: tuple[Step, ...] = ((None, "green"), (0.8, "orange"), (0.95, "red"))
ANY_IS_BAD: tuple[Step, ...] = ((None, "green"), (1, "red"))
ENDED = rate(c.ATTEMPTS)

_WAIT = "Time from ready (published, or its ETA) to a slot; backoff and countdown are not counted."


def slo_errors(window: str, **where: str) -> str:
    """Share of bad events, over one of the windows that are recorded."""
    return recorded(f"queue:laneway_slo_errors:ratio_rate{window}", **where)


def budget(**where: str) -> str:
    """Share of events that may be bad."""
    return f"(1 - {told(c.SLO_OBJECTIVE, f'{LANE}, slo', **where)})"


def burn(window: str, **where: str) -> str:
    """How many times faster than allowed the error budget is spent."""
    return f"{slo_errors(window, **where)} / on (namespace, queue, slo) {budget(**where)}"


def spread(metric: Metric, **where: str) -> tuple[Query, ...]:
    """Median, 95th and 99th percentile over all that is chosen, with exemplars."""
    return tuple(
        Query(quantile(share, metric, "", **where), f"p{share * 100:.0f}", exemplar=True)
        for share in QUANTILES
    )


def ready_now() -> Number:
    """How much is ready."""
    return Number(
        "Ready", "Messages that could be taken now.", "short", (Query(f"sum ({depth()})"),)
    )


def oldest_now() -> Number:
    """How long the first in line has waited."""
    return Number(
        "Oldest ready",
        "How long the oldest ready message has waited; 0 if none waits.",
        "s",
        (Query(f"max ({told(c.QUEUE_OLDEST_AGE)}) or vector(0)"),),
    )


def dead_now() -> Number:
    """How many dead letters there are."""
    return Number(
        "Dead letters",
        "Messages that could not run and are kept.",
        "short",
        (Query(f"sum ({told(c.DEAD_LETTERS)})"),),
        steps=((None, "green"), (1, "orange")),
    )


def busiest_now() -> Number:
    """How busy the busiest lane is."""
    return Number(
        "Busiest lane",
        "Utilisation of the lane that is used most.",
        "percentunit",
        (Query(f"max ({UTILISATION})"),),
        steps=BUSY,
    )


def outcomes(**where: str) -> Lines:
    """How attempts end."""
    return Lines(
        "Attempts by outcome",
        "Attempts that ended, by how.",
        PER_SECOND,
        (Query(rate(c.ATTEMPTS, "outcome", **where), "{{outcome}}"),),
        stacked=True,
        colours=OUTCOMES,
    )


def wait_heat(width: int = 12) -> Heat:
    """Queue waits as a heatmap."""
    queries = (Query(buckets(c.QUEUE_WAIT), "{{le}}", exemplar=True),)
    return Heat("Waits", f"{_WAIT} Each cell: tasks that waited so long.", "s", queries, width)


def wait_spread(width: int = 12) -> Lines:
    """Queue waits as percentiles."""
    return Lines("Wait, percentiles", _WAIT, "s", spread(c.QUEUE_WAIT), width)


def start_target() -> Query:
    """The line under which a wait is good."""
    return Query(told(c.SLO_THRESHOLD, LANE, slo="start"), f"target {BY_LANE}", target=True)


def wait_by_lane(width: int = 12) -> Lines:
    """Each lane's 95th percentile against its own target."""
    return Lines(
        "Wait p95 against the target",
        "95th percentile of the wait, and the lane's waitTarget as a dashed line.",
        "s",
        (Query(quantile(0.95, c.QUEUE_WAIT, LANE), BY_LANE, exemplar=True), start_target()),
        width,
    )


def flow(width: int = 12) -> Lines:
    """Arrivals and service of each lane."""
    return Lines(
        "Arrivals and service",
        "Tasks that became ready and attempts that ended, over five minutes. Arrivals above "
        "service: the lane fills.",
        PER_SECOND,
        (Query(ARRIVALS, f"in {BY_LANE}"), Query(SERVICE, f"out {BY_LANE}")),
        width,
    )


def utilisation(width: int = 12) -> Lines:
    """How busy the slots of each lane are."""
    return Lines(
        "Utilisation",
        "Share of slot time that was busy, over five minutes. Near 1, waits grow fast.",
        "percentunit",
        (Query(UTILISATION, BY_LANE),),
        width,
        limits=((0.9, "red"),),
        top=1,
    )


def ready(width: int = 12) -> Lines:
    """Depth of each lane."""
    return Lines(
        "Ready",
        "Messages that could be taken now, all priorities together.",
        "short",
        (Query(depth(), BY_LANE),),
        width,
    )


def oldest(width: int = 12) -> Lines:
    """Age of what waits longest in each lane."""
    return Lines(
        "Oldest ready message",
        "How long the oldest ready message has waited, and the lane's waitTarget. No line while a "
        "lane is empty.",
        "s",
        (Query(told(c.QUEUE_OLDEST_AGE), BY_LANE), start_target()),
        width,
    )


def drain_eta(width: int = 12) -> Lines:
    """When the lanes will be empty."""
    return Lines(
        "Time until empty",
        "What is ready, over what service exceeds arrivals by: when the lane is empty if both go "
        "on so.",
        "s",
        (Query(DRAIN_ETA, BY_LANE),),
        width,
    )
