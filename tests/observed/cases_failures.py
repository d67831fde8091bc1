"""Cases of the alerts on tasks that are killed, lost, repeated or given up."""

from observed.alert_case import LANE, TASK, Case, absent, lane, task


def _attempts(**values: str) -> dict[str, str]:
    return {task("attempts_total", outcome=outcome): each for outcome, each in values.items()}


def _counted(alert: str, series: str, at: str, rising: str, told: tuple[str, str]) -> list[Case]:
    """Cases of an alert on one counter: it rises, it stands, it is not there, it begins anew."""
    return [
        Case(alert, "fires", at, {series: rising}, LANE, *told),
        Case(alert, "silent", at, {series: "9x200"}),
        absent(alert),
        Case(alert, "reset", at, {series: "9x15 0x185"}),
    ]


HUNG = [
    Case(
        "HungTask",
        "fires",
        "25m",
        {lane("running_oldest_seconds"): "0+30x60", lane("time_limit_seconds"): "600x60"},
        LANE,
        "A task of lane docs runs on far beyond its limit",
        "A task of lane docs has run for 25m 0s, more than twice the lane's hard limit. Its slot is "
        "lost to others.",
    ),
    Case(
        "HungTask",
        "silent",
        "25m",
        {lane("running_oldest_seconds"): "1100x60", lane("time_limit_seconds"): "600x60"},
    ),
    absent("HungTask"),
    Case(
        "HungTask",
        "reset",
        "25m",
        {lane("running_oldest_seconds"): "0+30x42 0+30x20", lane("time_limit_seconds"): "600x60"},
        note="a-restart",
    ),
]

TIMEOUTS = [
    Case(
        "HardTimeouts",
        "fires",
        "10m",
        _attempts(hard_timeout="0x5 1x5 2x5 4x50"),
        TASK,
        "docs.read is killed at its hard limit",
        "4 attempts of docs.read on lane docs were killed at the hard limit within 30 minutes. Those "
        "tasks have failed.",
    ),
    Case("HardTimeouts", "silent", "10m", _attempts(hard_timeout="0x5 1x5 2x50")),
    absent("HardTimeouts"),
    Case("HardTimeouts", "reset", "10m", _attempts(hard_timeout="9x10 0x50")),
]

LOST = [
    Case(
        "WorkerLost",
        "fires",
        "10m",
        {lane("recovered_total"): "0x9 4x60", **_attempts(worker_lost="0x60")},
        LANE,
        "Workers or processes of lane docs die while they run tasks",
        "4 tasks of lane docs lost their process or their worker within 15 minutes, for example by "
        "the kernel's out-of-memory killer. They run again.",
        note="a-whole-worker",
    ),
    Case("WorkerLost", "fires", "10m", _attempts(worker_lost="0x9 1x60"), LANE, note="a-process"),
    Case(
        "WorkerLost",
        "silent",
        "10m",
        {lane("recovered_total"): "9x60"} | _attempts(failure="0+5x60"),
    ),
    absent("WorkerLost"),
    Case(
        "WorkerLost",
        "reset",
        "10m",
        {lane("recovered_total"): "9x10 0x60", **_attempts(worker_lost="9x10 0x60")},
    ),
]

LEASE = _counted(
    "LeaseLost",
    lane("late_ends_total"),
    "10m",
    "0x9 3x60",
    (
        "Tasks of lane docs ran twice: a worker's lease ran out",
        (
            "3 tasks of lane docs ended after their worker's lease had run out. Their messages were given "
            "to another worker and ran there too."
        ),
    ),
)

CRASHES = [
    Case(
        "ChildCrashLoop",
        "fires",
        "20m",
        {lane("child_exits_total", reason="sigsegv"): "0+1x60", **_attempts(hard_timeout="0x60")},
        LANE,
        "Pool processes of lane docs die again and again",
        "20 pool processes of lane docs died within ten minutes, those that were killed at a limit or "
        "on request not counted.",
    ),
    Case(
        "ChildCrashLoop",
        "fires",
        "20m",
        {lane("child_exits_total", reason="error"): "0+1x60"},
        LANE,
        note="before-any-task",
    ),
    Case(
        "ChildCrashLoop",
        "silent",
        "20m",
        {
            lane("child_exits_total", reason="sigkill"): "0+1x60",
            lane("child_exits_total", reason="recycled"): "0+9x60",
            **_attempts(hard_timeout="0+1x60"),
        },
        note="killed-at-the-limit",
    ),
    absent("ChildCrashLoop"),
    Case(
        "ChildCrashLoop",
        "reset",
        "20m",
        {lane("child_exits_total", reason="sigsegv"): "90x30 0x60"},
    ),
]

DRAIN = [
    Case(
        "DrainLosingTasks",
        "fires",
        "20m",
        # Every pod and the gateway tell the lane's count alike; the one that drained is gone.
        {
            lane("drain_requeued_total", pod="gateway"): "5x10 7x60",
            lane("drain_requeued_total", pod="w1"): "5x10 _x60",
            lane("drain_requeued_total", pod="w2"): "5x10 7x60",
        },
        LANE,
        "Workers of lane docs stop before their tasks have ended",
        "2 tasks of lane docs were cut off within an hour because their worker was told to stop. They "
        "start anew on another.",
    ),
    Case(
        "DrainLosingTasks",
        "silent",
        "20m",
        # A pod that begins to tell of what was counted long before.
        {
            lane("drain_requeued_total"): "_x10 5x60",
            lane("shutdown_tasks_total", fate="finished"): "0x10 4x60",
        },
    ),
    absent("DrainLosingTasks"),
    Case(
        "DrainLosingTasks",
        "reset",
        "90m",
        {lane("drain_requeued_total"): "3x10 0x200"},
        note="emptied-redis",
    ),
]

RETRIES = [
    Case(
        "RetryStorm",
        "fires",
        "25m",
        _attempts(retry="0+4x60", success="0+6x60"),
        LANE,
        "Most work of lane docs is retries",
        "40% of the attempts on lane docs end in a retry.",
    ),
    Case("RetryStorm", "silent", "25m", _attempts(retry="0+2x60", success="0+8x60")),
    Case(
        "RetryStorm",
        "silent",
        "25m",
        _attempts(retry="0+1x60", success="0+1x60"),
        note="little-traffic",
    ),
    absent("RetryStorm"),
    Case("RetryStorm", "reset", "25m", _attempts(retry="900+1x30 0+1x30", success="9+9x30 0+9x30")),
]

_POISON = (
    "A message of lane docs takes its workers down",
    (
        "On lane docs a message was given up after maxDeliveries, or messages of one task have come back "
        "again and again for half an hour."
    ),
)

POISON = [
    Case(
        "PoisonMessage",
        "fires",
        "20m",
        {lane("dead_lettered_total", reason="delivery limit"): "0x10 1x60"},
        LANE,
        *_POISON,
    ),
    Case(
        "PoisonMessage",
        "fires",
        "45m",
        {task("redelivered_total"): "0+1x100"},
        LANE,
        *_POISON,
        note="comes-back",
    ),
    Case(
        "PoisonMessage",
        "silent",
        "20m",
        {
            task("redelivered_total"): "0x20 80x60",
            lane("dead_lettered_total", reason="unknown task"): "0+1x60",
        },
        note="one-lost-pod",
    ),
    absent("PoisonMessage"),
    Case(
        "PoisonMessage",
        "reset",
        "45m",
        {
            task("redelivered_total"): "80x40 0x60",
            lane("dead_lettered_total", reason="delivery limit"): "9x40 0x60",
        },
    ),
]

DEAD = [
    Case(
        "DeadLettersGrowing",
        "fires",
        "60m",
        {
            lane("dead_lettered_total", reason="unknown task"): "0+1x150",
            # Each pod reads what all have made.
            lane("dead_letters"): "0+1x150",
            lane("dead_letters", "w2"): "0+1x150",
        },
        LANE,
        "Lane docs keeps making dead letters",
        "60 messages of lane docs became dead letters within 30 minutes, and it goes on.",
    ),
    Case(
        "DeadLettersGrowing",
        "silent",
        "35m",
        {
            lane("dead_lettered_total", reason="unknown task"): "0x10 1x100",
            lane("dead_letters"): "0x10 1x100",
        },
        note="one-alone",
    ),
    absent("DeadLettersGrowing"),
    Case(
        "DeadLettersGrowing",
        "reset",
        "60m",
        {
            lane("dead_lettered_total", reason="unknown task"): "9x60 0x90",
            lane("dead_letters"): "9x150",
        },
    ),
]

FAILURE_CASES = [
    *(HUNG + TIMEOUTS + LOST + LEASE + CRASHES),
    *(DRAIN + RETRIES + POISON + DEAD),
]
