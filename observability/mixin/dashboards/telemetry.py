"""Telemetry: whether what the other dashboards show can be believed."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import BY_LANE, PER_MINUTE
from laneway.observability.mixin.dashboards.panels import Lines, Number, Query, Table, Total
from laneway.observability.mixin.dashboards.promql import counted, per_minute, pick, quantile

# Prometheus's own series of the targets that are ours: it writes them beside each scrape.
_OURS = f"on (namespace, pod) {pick(c.BUILD)}"
_SERIES = 'scrape_samples_scraped{namespace=~"$namespace"}'
_SCRAPE = 'scrape_duration_seconds{namespace=~"$namespace"}'
_POD = "{{namespace}}/{{pod}}"
_BUDGET = 3_000

_NOW = Row(
    "Now and in the time shown",
    (
        Number(
            "Processes",
            "Processes that serve metrics.",
            "short",
            (Query(f"count ({pick(c.BUILD)})"),),
        ),
        Number(
            "Series, largest",
            f"Of one process; the budget is {_BUDGET}.",
            "short",
            (Query(f"max ({_SERIES} and {_OURS})"),),
            steps=((None, "green"), (_BUDGET * 0.8, "orange"), (_BUDGET, "red")),
        ),
        Number(
            "Slowest scrape",
            "Time that Prometheus took for one process.",
            "s",
            (Query(f"max ({_SCRAPE} and {_OURS})"),),
        ),
        Total(
            "Lost",
            "Spans or readings that were lost.",
            "short",
            (Query(f"{counted(c.TELEMETRY_DROPPED, '')} or vector(0)"),),
            steps=common.ANY_IS_BAD,
        ),
        Number(
            "Waiting to be sent",
            "Spans that wait to be sent to the collector.",
            "short",
            (Query(f"sum ({pick(c.TELEMETRY_QUEUE)}) or vector(0)"),),
        ),
        Number(
            "Age of the numbers",
            "Since a process last heard from the broker: the slowest.",
            "s",
            (Query(f"max (time() - {pick(c.PROBE_SUCCESS)})"),),
            steps=((None, "green"), (30, "orange"), (60, "red")),
        ),
        Total(
            "Clock skew",
            "Attempts that began before they were published, by their clocks.",
            "short",
            (Query(f"{counted(c.CLOCK_SKEW, '')} or vector(0)"),),
            steps=common.ANY_IS_BAD,
        ),
        Number(
            "Versions",
            "Different builds that run. More than one for long: a rollout hangs.",
            "short",
            (Query(f"count (count by (version, celery, python) ({pick(c.BUILD)}))"),),
            steps=((None, "green"), (2, "orange")),
        ),
    ),
)

_SCRAPES = Row(
    "Scrapes",
    (
        Lines(
            "Series by process",
            "What one scrape brings; the line is the budget.",
            "short",
            (Query(f"{_SERIES} and {_OURS}", _POD),),
            limits=((_BUDGET, "red"),),
        ),
        Lines("Time to scrape", "By process.", "s", (Query(f"{_SCRAPE} and {_OURS}", _POD),)),
        Lines(
            "Age of the broker's numbers",
            "By process that asks.",
            "s",
            (Query(f"time() - max by (namespace, pod) ({pick(c.PROBE_SUCCESS)})", _POD),),
            limits=((60, "red"),),
        ),
    ),
)

_LOSS = Row(
    "Losses",
    (
        Lines(
            "Lost",
            "Spans or readings that were lost, by signal and reason.",
            PER_MINUTE,
            (Query(per_minute(c.TELEMETRY_DROPPED, "signal, reason"), "{{signal}} {{reason}}"),),
        ),
        Lines(
            "Waiting to be sent",
            "Spans that wait to be sent to the collector.",
            "short",
            (
                Query(
                    f"sum by (namespace, pod, signal) ({pick(c.TELEMETRY_QUEUE)})",
                    f"{_POD} {{{{signal}}}}",
                ),
            ),
        ),
        Lines(
            "Asking the broker, p99",
            "Time that asking the broker what its lanes hold took.",
            "s",
            (Query(quantile(0.99, c.PROBE_DURATION, "namespace, pod"), _POD),),
        ),
    ),
)

_CLOCKS = Row(
    "Clocks and versions",
    (
        Lines(
            "Clock skew",
            "Attempts that began more than a second before they were published: waits of that lane "
            "are too short by so much.",
            PER_MINUTE,
            (Query(per_minute(c.CLOCK_SKEW), BY_LANE),),
        ),
        Table(
            "Builds",
            "What runs where.",
            "short",
            (Query(pick(c.BUILD)),),
            hidden=("job", "instance", "Value"),
            labels=("namespace", "pod", "version", "celery", "python"),
        ),
        Table(
            "Configurations",
            "A hash of each lane's catalogue entry. Two of one lane for long: a rollout hangs.",
            "short",
            (Query(pick(c.CONFIG)),),
            hidden=("job", "instance", "Value"),
            labels=("namespace", "pod", "queue", "hash"),
        ),
    ),
)

BOARD = Board(
    "telemetry",
    "Telemetry",
    "Whether the other dashboards can be believed: scrapes, losses, clocks, versions.",
    (_NOW, _SCRAPES, _LOSS, _CLOCKS),
)
