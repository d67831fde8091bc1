"""Cases of the alerts on the flow of a lane."""

from observed.alert_case import LANE, TASK, Case, absent, lane, task

_WAITING = {lane("queue_depth", priority="0"): "5x100", lane("queue_delayed"): "0x100"}
_IDLE = {lane("slots", state="idle"): "2x100", lane("slots", state="busy"): "0x100"}
_FULL = {lane("slots", state="idle"): "0x100", lane("slots", state="busy"): "2x100"}
_LONG = {
    lane("running_oldest_seconds"): "300x100",
    lane("time_limit_seconds"): "600x100",
}
_NO_END = {task("attempts_total", outcome="success"): "7x100"}

STUCK = [
    Case(
        "QueueStuck",
        "fires",
        "12m",
        # A second pod reads the same depth: it is one backlog.
        {**_WAITING, lane("queue_depth", "w2", priority="0"): "5x100", **_IDLE, **_NO_END},
        LANE,
        "Lane docs stands still",
        "5 messages wait on lane docs. It has workers with room, or with tasks beyond their limit, "
        "and no attempt has ended for five minutes.",
        "page",
    ),
    Case(
        "QueueStuck",
        "fires",
        "12m",
        {**_WAITING, **_FULL, **_NO_END, **_LONG, lane("running_oldest_seconds"): "601x100"},
        LANE,
        severity="page",
        note="beyond-the-limit",
    ),
    Case(
        "QueueStuck",
        "silent",
        "30m",
        {**_WAITING, **_FULL, **_NO_END, **_LONG},
        severity="page",
        note="long-tasks",
    ),
    absent("QueueStuck", "page"),
    Case(
        "QueueStuck",
        "reset",
        "20m",
        {**_WAITING, **_IDLE, task("attempts_total", outcome="success"): "900+2x15 0+2x80"},
        severity="page",
    ),
]

_GATEWAY = {
    lane("queue_depth", "g1", priority="0"): "3x100",
    lane("queue_unacked", "g1"): "0x100",
}

NO_CONSUMERS = [
    Case(
        "NoConsumers",
        "fires",
        "10m",
        {**_GATEWAY, lane("queue_workers", "g1"): "0x100"},
        LANE,
        "Lane docs has messages and no worker",
        "3 messages lie on lane docs, and no worker of it is alive.",
        "page",
    ),
    Case(
        "NoConsumers",
        "fires",
        "10m",
        {
            lane("queue_depth", "g1", priority="0"): "0x100",
            lane("queue_unacked", "g1"): "2x100",
            lane("queue_workers", "g1"): "0x100",
        },
        LANE,
        severity="page",
        note="claimed-by-the-dead",
    ),
    Case(
        "NoConsumers",
        "silent",
        "10m",
        {**_GATEWAY, lane("queue_workers", "g1"): "0x100", **_IDLE},
        severity="page",
        note="kombu-transport",
    ),
    Case(
        "NoConsumers",
        "silent",
        "10m",
        {**_GATEWAY, lane("queue_workers", "g1"): "1x100"},
        severity="page",
    ),
    absent("NoConsumers", "page"),
    Case(
        "NoConsumers",
        "reset",
        "10m",
        {**_GATEWAY, lane("queue_workers", "g1"): "1x10 0x2 1x80"},
        severity="page",
        note="a-rollout",
    ),
]


def _published(values: str, **labels: str) -> dict[str, str]:
    labels = {"kind": "first", "delay": "now", "result": "ok", **labels}
    return {task("published_total", "g1", **labels): values}


NEVER_RUN = [
    Case(
        "EnqueuedNeverRun",
        "fires",
        "60m",
        {**_published("0+1x150"), task("attempts_total", outcome="success"): "0x150"},
        TASK,
        "docs.read is published to lane docs and never runs",
        "docs.read was published to lane docs 40 times, 20 to 40 minutes ago. No attempt of it has "
        "ended since, and none is running.",
    ),
    Case(
        "EnqueuedNeverRun",
        "silent",
        "60m",
        {**_published("0+1x150"), task("attempts_total", outcome="success"): "0+1x150"},
    ),
    Case(
        "EnqueuedNeverRun",
        "silent",
        "60m",
        {**_published("0+1x150", delay="later"), **_published("0+1x150", task="__unknown__")},
        note="delayed-or-unknown",
    ),
    Case(
        "EnqueuedNeverRun",
        "silent",
        "60m",
        {**_published("0+1x150"), task("running"): "1x150"},
        note="runs-still",
    ),
    absent("EnqueuedNeverRun"),
    Case(
        "EnqueuedNeverRun",
        "reset",
        "60m",
        {**_published("90x60 0x90"), task("attempts_total", outcome="success"): "90x60 0x90"},
    ),
]

SATURATED = [
    Case(
        "Saturated",
        "fires",
        "25m",
        {**_WAITING, **_FULL, lane("slot_busy_seconds_total"): "0+58.5x100"},
        LANE,
        "The workers of lane docs are full",
        "The slots of lane docs are busy 97.5% of the time, and messages wait.",
    ),
    Case(
        "Saturated",
        "silent",
        "25m",
        {
            **_WAITING,
            **_FULL,
            lane("slot_busy_seconds_total"): "0+60x100",
            lane("queue_depth", priority="0"): "0x100",
        },
        note="nothing-waits",
    ),
    Case(
        "Saturated",
        "silent",
        "25m",
        {**_WAITING, **_FULL, lane("slot_busy_seconds_total"): "0+40x100"},
    ),
    absent("Saturated"),
    Case(
        "Saturated",
        "reset",
        "25m",
        {**_WAITING, **_FULL, lane("slot_busy_seconds_total"): "9000+40x30 0+40x70"},
    ),
]


def _every_ten_minutes(times: int, rest: str = "") -> str:
    return " ".join(f"{600 * number}x19" for number in range(times)) + rest


SCHEDULE = [
    Case(
        "ScheduleMissed",
        "fires",
        "75m",
        {task("last_success_timestamp_seconds"): _every_ten_minutes(4, " 2400x200")},
        TASK,
        "The periodic task docs.read has not succeeded when it should have",
        "docs.read of lane docs succeeded last 35m 0s ago: more than twice its usual gap.",
    ),
    Case(
        "ScheduleMissed",
        "silent",
        "75m",
        {task("last_success_timestamp_seconds"): _every_ten_minutes(9)},
    ),
    absent("ScheduleMissed"),
    Case(
        "ScheduleMissed",
        "reset",
        "52m",
        {
            task("last_success_timestamp_seconds"): _every_ten_minutes(3),
            # The pod is gone, and its successor says nothing until it has succeeded.
            task("last_success_timestamp_seconds", "w2"): "_x79 2400x19 3000x19",
        },
        note="a-new-pod",
    ),
]

LANE_CASES = [*STUCK, *NO_CONSUMERS, *NEVER_RUN, *SATURATED, *SCHEDULE]
