"""Queries of the dashboards, put together from catalogue entries.

Every query filters by the dashboard's variables. Two kinds of gauges want different sums: what every
process tells alike (the broker's) is taken once, `told`; what each has of its own is added up, `held`.
"""

from laneway.observability.catalogue import QUEUE_DEPTH
from laneway.observability.metric import Metric

LANE = "namespace, queue"
RATE = "$__rate_interval"


def pick(metric: Metric, part: str = "", **where: str) -> str:
    """The series of a metric that the variables let through.

    Args:
        metric: The catalogue entry.
        part: `_bucket`, `_sum` or `_count` of a histogram.
        where: More matchers: `state="busy"`; a value may begin with `~` (matches) or `!` (is not).
            `class` is spelt `class_`.
    """
    return f"{metric.name}{part}{{{_matchers(where, has_queue='queue' in metric.labels)}}}"


def recorded(name: str, **where: str) -> str:
    """The series of a recording rule, which all have a namespace and a queue."""
    return f"{name}{{{_matchers(where, has_queue=True)}}}"


def told(metric: Metric, by: str = LANE, **where: str) -> str:
    """A gauge that every process tells alike, or of which the largest counts."""
    return f"max {_by(by)}({pick(metric, **where)})"


def held(metric: Metric, by: str = LANE, **where: str) -> str:
    """A gauge of which each process has its own part."""
    return f"sum {_by(by)}({pick(metric, **where)})"


def depth(by: str = LANE) -> str:
    """Messages ready in a lane: each priority once, then all of them."""
    return f"sum {_by(by)}({told(QUEUE_DEPTH, f'{LANE}, priority')})"


def rate(metric: Metric, by: str = LANE, part: str = "", **where: str) -> str:
    """How fast a counter grows, each second."""
    return f"sum {_by(by)}(rate({pick(metric, part, **where)}[{RATE}]))"


def per_minute(metric: Metric, by: str = LANE, **where: str) -> str:
    """How fast a counter of rare events grows, each minute: so that it can be read."""
    return f"60 * {rate(metric, by, **where)}"


def counted(metric: Metric, by: str = LANE, **where: str) -> str:
    """By how much a counter grew in the dashboard's range, the first event included.

    `increase()` does not see the step by which a series begins, so that an error which came once
    would be shown as none.
    """
    series = pick(metric, **where)
    highest = f"max_over_time({series}[$__range])"
    before = f"({series} offset $__range or {highest} * 0)"
    return f"sum {_by(by)}({highest} - {before})"


def quantile(share: float, metric: Metric, by: str = LANE, **where: str) -> str:
    """A quantile of a histogram."""
    buckets = rate(metric, f"{by}, le" if by else "le", "_bucket", **where)
    return f"histogram_quantile({share}, {buckets})"


def mean(metric: Metric, by: str = LANE, **where: str) -> str:
    """The mean of a histogram; for sizes and counts, never for waits."""
    return f"{rate(metric, by, '_sum', **where)} / {rate(metric, by, '_count', **where)}"


def buckets(metric: Metric, **where: str) -> str:
    """A histogram as a heatmap takes it: how many more in each bucket."""
    return f"sum by (le) (increase({pick(metric, '_bucket', **where)}[{RATE}]))"


def _by(labels: str) -> str:
    return f"by ({labels}) " if labels else ""


def _matchers(where: dict[str, str], *, has_queue: bool) -> str:
    given = {"namespace": "~$namespace"} | ({"queue": "~$queue"} if has_queue else {}) | where
    return ", ".join(_matcher(name.rstrip("_"), value) for name, value in given.items())


def _matcher(name: str, value: str) -> str:
    if value.startswith("~"):
        return f'{name}=~"{value[1:]}"'
    if value.startswith("!"):
        return f'{name}!="{value[1:]}"'
    return f'{name}="{value}"'
