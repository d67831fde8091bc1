"""Failures: what went wrong, what came back, and what could not run."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import BY_LANE, PER_MINUTE
from laneway.observability.mixin.dashboards.panels import Lines, Number, Query, Step, Table, Total
from laneway.observability.mixin.dashboards.promql import LANE, counted, per_minute, rate, told

_BAD = "~failure|rejected|soft_timeout|hard_timeout|worker_lost|terminated"
_KILLS = "~hard_timeout|worker_lost|terminated"
_RETRIES: tuple[Step, ...] = ((None, "green"), (0.1, "orange"), (0.3, "red"))


def _count(title: str, about: str, expr: str) -> Total:
    return Total(title, about, "short", (Query(expr),), steps=common.ANY_IS_BAD)


_NOW = Row(
    "Now and in the time shown",
    (
        Number(
            "Retries",
            "Attempts that will be tried again, of all that ended.",
            "percentunit",
            (Query(f"sum ({rate(c.ATTEMPTS, outcome='retry')}) / sum ({common.ENDED})"),),
            steps=_RETRIES,
        ),
        _count(
            "Failed for good",
            "Tasks that ended with an error.",
            f"{counted(c.ERRORS, '', final='true')} or vector(0)",
        ),
        _count(
            "Processes lost",
            "Attempts whose process died under them.",
            counted(c.ATTEMPTS, "", outcome="worker_lost"),
        ),
        _count(
            "Hard timeouts",
            "Attempts killed at the hard limit.",
            counted(c.ATTEMPTS, "", outcome="hard_timeout"),
        ),
        _count(
            "Delivered again",
            "Deliveries of a message that had been delivered before.",
            f"{counted(c.REDELIVERED, '')} or vector(0)",
        ),
        _count(
            "New dead letters",
            "Messages made dead letters.",
            f"{counted(c.DEAD_LETTERED, '')} or vector(0)",
        ),
        _count("Dead letters", "Kept now.", f"sum ({told(c.DEAD_LETTERS)})"),
        Number(
            "Oldest dead letter",
            "Time since it died; 0 if there is none.",
            "s",
            (Query(f"max ({told(c.DEAD_LETTER_AGE)})"),),
        ),
    ),
)

_ATTEMPTS = Row(
    "Attempts that went wrong",
    (
        Lines(
            "By outcome",
            "Attempts in the classes error and killed.",
            PER_MINUTE,
            (Query(per_minute(c.ATTEMPTS, "outcome", outcome=_BAD), "{{outcome}}"),),
            stacked=True,
            colours=common.OUTCOMES,
        ),
        Lines(
            "Share of attempts that went wrong",
            "Of those that ended, by lane.",
            "percentunit",
            (Query(f"{rate(c.ATTEMPTS, outcome=_BAD)} / {common.ENDED}", BY_LANE),),
        ),
        Lines(
            "Share of retries",
            "Of the attempts that ended, by lane. Rising: a retry storm.",
            "percentunit",
            (Query(f"{rate(c.ATTEMPTS, outcome='retry')} / {common.ENDED}", BY_LANE),),
            limits=((0.3, "red"),),
        ),
        Lines(
            "Errors by type",
            "Attempts that ended in an error.",
            PER_MINUTE,
            (Query(per_minute(c.ERRORS, "error_type"), "{{error_type}}"),),
            stacked=True,
        ),
        Table(
            "Errors",
            "In the time shown; final: the task ended with it.",
            "short",
            (Query(counted(c.ERRORS, f"{LANE}, task, error_type, final"), column="Times"),),
            16,
            labels=("namespace", "queue", "task", "error_type", "final"),
            sort="Times",
        ),
    ),
)

_DEAD = Row(
    "Dead letters",
    (
        Lines(
            "Kept",
            "Dead letters of each lane. Replay or discard brings it down.",
            "short",
            (Query(told(c.DEAD_LETTERS), BY_LANE),),
        ),
        Lines(
            "New, by reason",
            "Messages made dead letters.",
            PER_MINUTE,
            (Query(per_minute(c.DEAD_LETTERED, "queue, reason"), "{{queue}} {{reason}}"),),
        ),
        Lines(
            "Oldest",
            "Time since the oldest dead letter kept died.",
            "s",
            (Query(told(c.DEAD_LETTER_AGE), BY_LANE),),
        ),
    ),
)

_LOST = Row(
    "Lost and found",
    (
        Lines(
            "Killed",
            "Attempts ended by the hard limit, by the death of their process, or by order.",
            PER_MINUTE,
            (
                Query(
                    per_minute(c.ATTEMPTS, "queue, outcome", outcome=_KILLS),
                    "{{queue}} {{outcome}}",
                ),
            ),
        ),
        Lines(
            "Processes that ended",
            "Pool processes, by reason. A signal 9 that nobody sent is the kernel, out of memory.",
            PER_MINUTE,
            (Query(per_minute(c.CHILD_EXITS, "reason"), "{{reason}}"),),
        ),
        Lines(
            "Largest process",
            "Resident memory of the largest pool process of each lane.",
            "bytes",
            (Query(told(c.CHILD_RSS, agg="max"), BY_LANE),),
        ),
        Lines(
            "Delivered again",
            "By task. One task alone, again and again: its messages kill what runs them.",
            PER_MINUTE,
            (Query(f"topk (10, {per_minute(c.REDELIVERED, 'task')})", "{{task}}"),),
        ),
        Lines(
            "Given back, and ended late",
            "Messages given back because their worker was gone, and tasks whose end came after "
            "their worker had been given up.",
            PER_MINUTE,
            (
                Query(per_minute(c.RECOVERED), f"given back {BY_LANE}"),
                Query(per_minute(c.LATE_ENDS), f"late {BY_LANE}"),
            ),
        ),
        Lines(
            "Soft limit met",
            "handled is true if the attempt still succeeded: a near miss.",
            PER_MINUTE,
            (Query(per_minute(c.SOFT_TIMEOUTS, "task, handled"), "{{task}} handled {{handled}}"),),
        ),
        Table(
            "Delivered again, most first",
            "In the time shown.",
            "short",
            (
                Query(counted(c.REDELIVERED, f"{LANE}, task"), column="Again"),
                Query(counted(c.ATTEMPTS, f"{LANE}, task", outcome="worker_lost"), column="Lost"),
                Query(
                    counted(c.ATTEMPTS, f"{LANE}, task", outcome="hard_timeout"),
                    column="Hard timeouts",
                ),
            ),
            24,
            6,
            labels=("namespace", "queue", "task"),
            sort="Again",
        ),
    ),
)

BOARD = Board(
    "failures",
    "Failures",
    "What went wrong, what came back, what was lost and found, and what could not run.",
    (_NOW, _ATTEMPTS, _DEAD, _LOST),
)
