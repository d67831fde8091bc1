"""Queue: all about one lane, or a few."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import BY_LANE, PER_MINUTE, PER_SECOND
from laneway.observability.mixin.dashboards.panels import Lines, Number, Query, Table
from laneway.observability.mixin.dashboards.promql import (
    LANE,
    counted,
    held,
    mean,
    per_minute,
    pick,
    quantile,
    rate,
    told,
)

_SLO = f"{BY_LANE} {{{{slo}}}}"

_SUM = f"increase({pick(c.ATTEMPT_DURATION, '_sum')}[$__range])"
_COUNT = f"increase({pick(c.ATTEMPT_DURATION, '_count')}[$__range])"

_NOW = Row(
    "Now",
    (
        common.ready_now(),
        common.oldest_now(),
        Number(
            "Held by workers",
            "Messages taken and not yet acknowledged.",
            "short",
            (Query(f"sum ({told(c.QUEUE_UNACKED)})"),),
        ),
        Number(
            "Delayed",
            "Messages that wait for their time: an ETA, a retry or a rate limit.",
            "short",
            (Query(f"sum ({told(c.QUEUE_DELAYED)})"),),
        ),
        Number(
            "Time until empty",
            "If arrivals and service go on as they do.",
            "s",
            (Query(f"max ({common.DRAIN_ETA})"),),
        ),
        Number("Running", "Attempts in flight.", "short", (Query(f"sum ({held(c.RUNNING)})"),)),
        Number(
            "Utilisation",
            "Share of slot time that was busy, over five minutes.",
            "percentunit",
            (Query(f"max ({common.UTILISATION})"),),
            steps=common.BUSY,
        ),
        common.dead_now(),
    ),
)

_WAITING = Row(
    "Waiting",
    (
        common.wait_heat(),
        Lines(
            "Wait, percentiles, against the target",
            "Time from ready to a slot, over all kinds, and the lane's waitTarget.",
            "s",
            (*common.spread(c.QUEUE_WAIT), common.start_target()),
            12,
        ),
        Lines(
            "Wait p95 by kind",
            "first: a task's first attempt. retry: a later one. redelivered: after a loss. claimed: "
            "the producer told no time, so the wait is counted from the claim.",
            "s",
            (Query(quantile(0.95, c.QUEUE_WAIT, "kind"), "{{kind}}", exemplar=True),),
        ),
        Lines(
            "Waiting in the worker, p95",
            "From the claim of a message to its slot. High beside a short wait in the lane: workers "
            "claim more than they can start.",
            "s",
            (Query(quantile(0.95, c.PREFETCH_WAIT), BY_LANE),),
        ),
        common.oldest(8),
    ),
)

_BACKLOG = Row(
    "What the broker holds",
    (
        Lines(
            "Messages",
            "Ready by priority (0 goes first), held by workers, and delayed.",
            "short",
            (
                Query(
                    f"sum by (priority) ({told(c.QUEUE_DEPTH, f'{LANE}, priority')})",
                    "ready, priority {{priority}}",
                ),
                Query(f"sum ({told(c.QUEUE_UNACKED)})", "held by workers"),
                Query(f"sum ({told(c.QUEUE_DELAYED)})", "delayed"),
            ),
            stacked=True,
        ),
        common.flow(8),
        common.drain_eta(8),
    ),
)

_OUTCOMES = Row(
    "Outcomes and objectives",
    (
        common.outcomes(),
        Lines(
            "Bad events, 1 h, against the budget",
            "Share of tasks that started late, finished late or failed, and the share that the "
            "lane's objective leaves.",
            "percentunit",
            (
                Query(common.slo_errors("1h"), _SLO),
                Query(common.budget(), f"budget {_SLO}", target=True),
            ),
        ),
        Lines(
            "Bad events",
            "Tasks that missed an objective.",
            PER_MINUTE,
            (Query(per_minute(c.SLO_EVENTS, f"{LANE}, slo", result="bad"), _SLO),),
        ),
    ),
)

_TASKS = Row(
    "Where the time goes",
    (
        Lines(
            "Slots used by task",
            "Slot seconds each second: how many slots a task keeps busy. The ten largest.",
            "short",
            (
                Query(
                    f"topk (10, {rate(c.ATTEMPT_DURATION, 'task', '_sum')})",
                    "{{task}}",
                ),
            ),
            stacked=True,
        ),
        Lines(
            "In flight by task",
            "Attempts in flight.",
            "short",
            (Query(held(c.RUNNING, "task"), "{{task}}"),),
            stacked=True,
        ),
        Lines(
            "Put off by a rate limit",
            "Attempts put off because the task's rate limit was reached.",
            PER_MINUTE,
            (Query(per_minute(c.RATE_LIMITED, "task"), "{{task}}"),),
        ),
        Table(
            "Tasks",
            "What each task did in the time shown.",
            "short",
            (
                Query(counted(c.ATTEMPTS, f"{LANE}, task"), column="Attempts"),
                Query(counted(c.ATTEMPTS, f"{LANE}, task", outcome="success"), column="Succeeded"),
                Query(counted(c.ATTEMPTS, f"{LANE}, task", outcome="retry"), column="Retried"),
                Query(
                    counted(c.ATTEMPTS, f"{LANE}, task", outcome="~failure|.*_timeout|worker_lost"),
                    column="Failed or killed",
                ),
                Query(
                    f"sum by ({LANE}, task) ({_SUM}) / sum by ({LANE}, task) ({_COUNT})",
                    column="Mean run",
                    unit="s",
                ),
            ),
            24,
            6,
            labels=("namespace", "queue", "task"),
            sort="Attempts",
        ),
    ),
)

_PUBLISHING = Row(
    "Publishing",
    (
        Lines(
            "Published",
            "Tasks handed to the broker: first or retry, now or later.",
            PER_SECOND,
            (Query(rate(c.PUBLISHED, "kind, delay, result"), "{{kind}}, {{delay}}, {{result}}"),),
            stacked=True,
            colours=common.PUBLISHED,
        ),
        Lines(
            "Time to publish, p99",
            "99th percentile until the broker took a task.",
            "s",
            (Query(quantile(0.99, c.PUBLISH_DURATION, "result"), "{{result}}"),),
        ),
        Lines(
            "Size of arguments",
            "Of a task's arguments as they were handed to the broker. Large ones fill Redis.",
            "bytes",
            (
                Query(mean(c.PUBLISHED_BYTES, LANE), f"mean {BY_LANE}"),
                Query(quantile(0.99, c.PUBLISHED_BYTES, LANE), f"p99 {BY_LANE}"),
            ),
        ),
    ),
)

BOARD = Board(
    "queue",
    "Queue",
    "One lane, or a few: who waits and how long, what the broker holds, where the time goes.",
    (_NOW, _WAITING, _BACKLOG, _OUTCOMES, _TASKS, _PUBLISHING),
)
