"""Alerts on tasks that are killed, lost, repeated or given up."""

from collections.abc import Iterator

from laneway.observability.mixin.alert import Alert
from laneway.observability.mixin.promql import LANE, TASK, increase, most, rate

COUNT = '{{ $value | printf "%.0f" }}'

TIMED_OUT = increase('laneway_attempts_total{outcome="hard_timeout"}', "30m", TASK)

# Processes that the worker killed itself, at a limit or on request, are no crashes.
CRASHES = increase('laneway_child_exits_total{reason!~"exit|recycled"}', "10m")
KILLED = 'laneway_attempts_total{outcome=~"hard_timeout|terminated|shutdown_requeued"}'
CRASHING = f"""{CRASHES}
- ({increase(KILLED, "10m")} or 0 * {CRASHES})
> 5"""

# A lost process is told by its worker; a lost worker by the one that gives back what it held.
LOST = f"""{increase('laneway_attempts_total{outcome="worker_lost"}', "15m")} > 0
or
{increase("laneway_recovered_total", "15m")} > 0"""

RETRYING = f"""{rate('laneway_attempts_total{outcome="retry"}', "10m")}
/ {rate("laneway_attempts_total", "10m")}
> 0.3
and on ({LANE}) {increase("laneway_attempts_total", "10m")} > 50"""

# One lost pod brings many messages back once; what brings them back for half an hour is the message.
REDELIVERED = increase("laneway_redelivered_total", "10m", TASK)
POISON = f"""{increase('laneway_dead_lettered_total{reason="delivery limit"}', "1h")} > 0
or
{most(f"min_over_time({REDELIVERED}[30m:5m])")} > 0"""

GROWING = f"""{increase("laneway_dead_lettered_total", "30m")} > 0
and on ({LANE}) {most("laneway_dead_letters")} > 0"""

# Counted in Redis, as a pod's own count ends with it; the lane's workers and the gateway tell it alike.
UNFINISHED = f"{most('increase(laneway_drain_requeued_total[1h])')} > 0"


def failure_alerts() -> Iterator[Alert]:
    """Each alert on what becomes of tasks."""
    yield from _limits()
    yield from _losses()
    yield from _processes()
    yield from _repeats()


def _limits() -> Iterator[Alert]:
    yield Alert(
        "HungTask",
        "ticket",
        expr=(
            f"{most('laneway_running_oldest_seconds')}\n"
            f"> on ({LANE}) 2 * {most('laneway_time_limit_seconds')}"
        ),
        lasting="2m",
        summary="A task of lane {{ $labels.queue }} runs on far beyond its limit",
        description=(
            "A task of lane {{ $labels.queue }} has run for {{ $value | humanizeDuration }}, more "
            "than twice the lane's hard limit. Its slot is lost to others."
        ),
        dashboard="laneway-workers",
    )
    yield Alert(
        "HardTimeouts",
        "ticket",
        expr=f"{TIMED_OUT} >= 3",
        lasting="",
        summary="{{ $labels.task }} is killed at its hard limit",
        description=(
            f"{COUNT} attempts of {{{{ $labels.task }}}} on lane {{{{ $labels.queue }}}} were "
            "killed at the hard limit within 30 minutes. Those tasks have failed."
        ),
        dashboard="laneway-task",
        scope="task",
    )


def _losses() -> Iterator[Alert]:
    yield Alert(
        "WorkerLost",
        "ticket",
        expr=LOST,
        lasting="",
        summary="Workers or processes of lane {{ $labels.queue }} die while they run tasks",
        description=(
            f"{COUNT} tasks of lane {{{{ $labels.queue }}}} lost their process or their worker "
            "within 15 minutes, for example by the kernel's out-of-memory killer. They run again."
        ),
        dashboard="laneway-failures",
    )
    yield Alert(
        "LeaseLost",
        "ticket",
        expr=f"{increase('laneway_late_ends_total', '15m')} > 0",
        lasting="",
        summary="Tasks of lane {{ $labels.queue }} ran twice: a worker's lease ran out",
        description=(
            f"{COUNT} tasks of lane {{{{ $labels.queue }}}} ended after their worker's lease had "
            "run out. Their messages were given to another worker and ran there too."
        ),
        dashboard="laneway-workers",
    )


def _processes() -> Iterator[Alert]:
    yield Alert(
        "ChildCrashLoop",
        "ticket",
        expr=CRASHING,
        lasting="5m",
        summary="Pool processes of lane {{ $labels.queue }} die again and again",
        description=(
            f"{COUNT} pool processes of lane {{{{ $labels.queue }}}} died within ten minutes, "
            "those that were killed at a limit or on request not counted."
        ),
        dashboard="laneway-workers",
    )
    yield Alert(
        "DrainLosingTasks",
        "ticket",
        expr=UNFINISHED,
        lasting="",
        summary="Workers of lane {{ $labels.queue }} stop before their tasks have ended",
        description=(
            '{{ $value | printf "%.0f" }} tasks of lane {{ $labels.queue }} were cut off within an hour '
            "because their worker was told to stop. They start anew on another."
        ),
        dashboard="laneway-workers",
    )


def _repeats() -> Iterator[Alert]:
    yield Alert(
        "RetryStorm",
        "ticket",
        expr=RETRYING,
        lasting="10m",
        summary="Most work of lane {{ $labels.queue }} is retries",
        description=(
            "{{ $value | humanizePercentage }} of the attempts on lane {{ $labels.queue }} end in "
            "a retry."
        ),
        dashboard="laneway-failures",
    )
    yield Alert(
        "PoisonMessage",
        "ticket",
        expr=POISON,
        lasting="",
        summary="A message of lane {{ $labels.queue }} takes its workers down",
        description=(
            "On lane {{ $labels.queue }} a message was given up after maxDeliveries, or messages "
            "of one task have come back again and again for half an hour."
        ),
        dashboard="laneway-failures",
    )
    yield Alert(
        "DeadLettersGrowing",
        "ticket",
        expr=GROWING,
        lasting="30m",
        summary="Lane {{ $labels.queue }} keeps making dead letters",
        description=(
            f"{COUNT} messages of lane {{{{ $labels.queue }}}} became dead letters within 30 "
            "minutes, and it goes on."
        ),
        dashboard="laneway-failures",
    )
