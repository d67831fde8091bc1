"""Task: how one task runs, and how it fails."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import PER_MINUTE, PER_SECOND
from laneway.observability.mixin.dashboards.panels import Heat, Lines, Number, Query, Table, Total
from laneway.observability.mixin.dashboards.promql import (
    LANE,
    buckets,
    counted,
    held,
    mean,
    per_minute,
    quantile,
    rate,
    told,
)

_T = "~$task"
_ENDED = rate(c.ATTEMPTS, "", task=_T)
_LIMIT = Query(told(c.TIME_LIMIT), "hard limit {{namespace}}/{{queue}}", target=True)
_FINISH = Query(
    told(c.SLO_THRESHOLD, LANE, slo="finish"), "target {{namespace}}/{{queue}}", target=True
)


def _share(**where: str) -> tuple[Query, ...]:
    return (Query(f"{rate(c.ATTEMPTS, '', task=_T, **where)} / {_ENDED}"),)


_NOW = Row(
    "Now",
    (
        Number(
            "Attempts", "Attempts that ended, whatever their outcome.", PER_SECOND, (Query(_ENDED),)
        ),
        Number(
            "Success",
            "Attempts that succeeded, of all that ended.",
            "percentunit",
            _share(outcome="success"),
            steps=((None, "red"), (0.9, "orange"), (0.99, "green")),
        ),
        Number(
            "Retries",
            "Attempts that will be tried again, of all that ended.",
            "percentunit",
            _share(outcome="retry"),
            steps=((None, "green"), (0.1, "orange"), (0.3, "red")),
        ),
        Number(
            "Run, p95",
            "95th percentile of an attempt's time in a slot.",
            "s",
            (Query(quantile(0.95, c.ATTEMPT_DURATION, "", task=_T)),),
        ),
        Number(
            "End to end, p95",
            "From the first publish (or the ETA) to the end, over all retries.",
            "s",
            (Query(quantile(0.95, c.END_TO_END, "", task=_T)),),
        ),
        Number(
            "In flight",
            "Attempts that run now.",
            "short",
            (Query(held(c.RUNNING, "", task=_T)),),
        ),
        Total(
            "Hard timeouts",
            "Attempts killed at the hard limit, in the time shown.",
            "short",
            (Query(counted(c.ATTEMPTS, "", task=_T, outcome="hard_timeout")),),
            steps=common.ANY_IS_BAD,
        ),
        Total(
            "Failed for good",
            "Tasks that ended with an error, in the time shown.",
            "short",
            (Query(f"{counted(c.ERRORS, '', task=_T, final='true')} or vector(0)"),),
            steps=common.ANY_IS_BAD,
        ),
    ),
)

_RUN = Row(
    "In a slot",
    (
        Heat(
            "Runs",
            "Each cell: attempts that took so long, failed and killed ones included.",
            "s",
            (Query(buckets(c.ATTEMPT_DURATION, task=_T), "{{le}}", exemplar=True),),
        ),
        Lines(
            "Run, percentiles, against the limit",
            "An attempt's time in a slot, and the lane's hard limit.",
            "s",
            (*common.spread(c.ATTEMPT_DURATION, task=_T), _LIMIT),
        ),
        Lines(
            "Run p95 by class",
            "ok, retry (comes back by intent), error, killed, dropped (not judged).",
            "s",
            (
                Query(
                    quantile(0.95, c.ATTEMPT_DURATION, "class", task=_T),
                    "{{class}}",
                    exemplar=True,
                ),
            ),
        ),
    ),
)

_WHOLE = Row(
    "End to end",
    (
        Heat(
            "First publish to end",
            "Each cell: tasks that took so long, over all their retries.",
            "s",
            (Query(buckets(c.END_TO_END, task=_T), "{{le}}", exemplar=True),),
        ),
        Lines(
            "First publish to end, percentiles, against the target",
            "Over all retries, with the lane's finishTarget.",
            "s",
            (*common.spread(c.END_TO_END, task=_T), _FINISH),
        ),
        Lines(
            "Attempts a task",
            "Attempts that a task had taken when it ended.",
            "short",
            (
                Query(mean(c.TASK_ATTEMPTS, "task", task=_T), "mean {{task}}"),
                Query(quantile(0.99, c.TASK_ATTEMPTS, "task", task=_T), "p99 {{task}}"),
            ),
        ),
    ),
)

_ENDS = Row(
    "How attempts end",
    (
        common.outcomes(task=_T),
        Lines(
            "Errors by type",
            "Attempts that ended in an error.",
            PER_MINUTE,
            (Query(per_minute(c.ERRORS, "error_type", task=_T), "{{error_type}}"),),
            stacked=True,
        ),
        Table(
            "Errors",
            "In the time shown; final: the task ended with it.",
            "short",
            (Query(counted(c.ERRORS, "queue, task, error_type, final", task=_T), column="Times"),),
            labels=("queue", "task", "error_type", "final"),
            sort="Times",
        ),
    ),
)

_AGAIN = Row(
    "Limits and retries",
    (
        Lines(
            "Retry delay",
            "Delay chosen before the next attempt.",
            "s",
            (
                Query(quantile(0.5, c.RETRY_DELAY, "task", task=_T), "p50 {{task}}"),
                Query(quantile(0.95, c.RETRY_DELAY, "task", task=_T), "p95 {{task}}"),
            ),
        ),
        Lines(
            "Limits met",
            "Attempts that met the soft limit (handled: they still succeeded) or were killed at the "
            "hard one.",
            PER_MINUTE,
            (
                Query(per_minute(c.SOFT_TIMEOUTS, "handled", task=_T), "soft, handled {{handled}}"),
                Query(per_minute(c.ATTEMPTS, "", task=_T, outcome="hard_timeout"), "hard"),
            ),
        ),
        Lines(
            "Delivered again, or put off",
            "Deliveries of a message that had been delivered before, and attempts that a rate limit "
            "put off.",
            PER_MINUTE,
            (
                Query(per_minute(c.REDELIVERED, "task", task=_T), "again {{task}}"),
                Query(per_minute(c.RATE_LIMITED, "task", task=_T), "put off {{task}}"),
            ),
        ),
    ),
)

_CLOCK = Row(
    "In and out",
    (
        Lines(
            "Published",
            "Tasks handed to the broker: first or retry, now or later.",
            PER_SECOND,
            (
                Query(
                    rate(c.PUBLISHED, "kind, delay, result", task=_T),
                    "{{kind}}, {{delay}}, {{result}}",
                ),
            ),
            12,
            stacked=True,
            colours=common.PUBLISHED,
        ),
        Lines(
            "Since the last success",
            "Of periodic tasks; others have no line. One that keeps growing has stopped.",
            "s",
            (Query(f"time() - {told(c.LAST_SUCCESS, f'{LANE}, task', task=_T)}", "{{task}}"),),
            12,
        ),
    ),
)

BOARD = Board(
    "task",
    "Task",
    "One task, or a few: how long it runs, how it ends, how often it comes back.",
    (_NOW, _RUN, _WHOLE, _ENDS, _AGAIN, _CLOCK),
    ("queue", "task"),
)
