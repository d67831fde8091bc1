"""Alerts on the flow of a lane: whether what waits is taken, run and on time."""

from collections.abc import Iterator

from laneway.observability.mixin.alert import Alert
from laneway.observability.mixin.promql import (
    DEPTH,
    LANE,
    LAST_SUCCESS,
    SERVICE,
    SUCCESS_GAP,
    TASK,
    UTILISATION,
    increase,
    most,
    total,
)

RAN_OUT = f"""{most("laneway_running_oldest_seconds")}
    > on ({LANE}) {most("laneway_time_limit_seconds")}"""

# Slots that are all busy within their limits are a slow lane, not a stuck one.
STUCK = f"""{DEPTH} > 0
unless on ({LANE}) {SERVICE} > 0
and on ({LANE}) (
  {total('laneway_slots{state!="busy"}')} > 0
  or
  {RAN_OUT}
)"""

# What a worker that is gone had claimed lies there too. Workers on kombu's transport hold no lease
# and still have slots.
UNATTENDED = f"""{DEPTH} + {most("laneway_queue_unacked")} > 0
unless on ({LANE}) {most("laneway_queue_workers")} > 0
unless on ({LANE}) {total("laneway_slots")} > 0"""

# Delayed tasks are left out, and so are tasks that publisher or worker does not know by name. What
# was published in the last minutes may still wait.
PUBLISHED = 'laneway_published_total{delay="now", result="ok", task!~"__.*__"}'
NEVER_RUN = f"""sum by ({TASK}) (increase({PUBLISHED}[20m] offset 20m)) > 0
unless on ({TASK}) {increase("laneway_attempts_total", "40m", TASK)} > 0
unless on ({TASK}) {total("laneway_running", TASK)} > 0"""

# The usual gap is learned: rules do not know the schedule. The median forgets an outage.
MISSED = f"""time() - max_over_time({LAST_SUCCESS}[8d])
> on ({TASK}) 2 * quantile_over_time(0.5, {SUCCESS_GAP}[8d]) + 300"""


def lane_alerts() -> Iterator[Alert]:
    """Each alert on the flow of a lane."""
    yield from _standstill()
    yield from _delay()


def _standstill() -> Iterator[Alert]:
    yield Alert(
        "QueueStuck",
        "page",
        expr=STUCK,
        lasting="5m",
        summary="Lane {{ $labels.queue }} stands still",
        description=(
            "{{ $value | humanize }} messages wait on lane {{ $labels.queue }}. It has workers with "
            "room, or with tasks beyond their limit, and no attempt has ended for five minutes."
        ),
        dashboard="laneway-queue",
    )
    yield Alert(
        "NoConsumers",
        "page",
        expr=UNATTENDED,
        lasting="3m",
        summary="Lane {{ $labels.queue }} has messages and no worker",
        description=(
            "{{ $value | humanize }} messages lie on lane {{ $labels.queue }}, and no worker of it "
            "is alive."
        ),
        dashboard="laneway-scaling",
    )
    yield Alert(
        "EnqueuedNeverRun",
        "ticket",
        expr=NEVER_RUN,
        lasting="5m",
        summary="{{ $labels.task }} is published to lane {{ $labels.queue }} and never runs",
        description=(
            "{{ $labels.task }} was published to lane {{ $labels.queue }} "
            '{{ $value | printf "%.0f" }} times, 20 to 40 minutes ago. No attempt of it has ended '
            "since, and none is running."
        ),
        dashboard="laneway-task",
        scope="task",
    )


def _delay() -> Iterator[Alert]:
    yield Alert(
        "Saturated",
        "ticket",
        expr=f"{UTILISATION} > 0.9\nand on ({LANE}) {DEPTH} > 0",
        lasting="15m",
        summary="The workers of lane {{ $labels.queue }} are full",
        description=(
            "The slots of lane {{ $labels.queue }} are busy {{ $value | humanizePercentage }} of "
            "the time, and messages wait."
        ),
        dashboard="laneway-scaling",
    )
    yield Alert(
        "ScheduleMissed",
        "ticket",
        expr=MISSED,
        lasting="5m",
        summary="The periodic task {{ $labels.task }} has not succeeded when it should have",
        description=(
            "{{ $labels.task }} of lane {{ $labels.queue }} succeeded last "
            "{{ $value | humanizeDuration }} ago: more than twice its usual gap."
        ),
        dashboard="laneway-task",
        scope="task",
    )
