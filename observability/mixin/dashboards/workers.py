"""Workers: slots, processes, the event loop, and what lies between them and Redis."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import BY_LANE, PER_MINUTE
from laneway.observability.mixin.dashboards.panels import Heat, Lines, Number, Query, Table, Total
from laneway.observability.mixin.dashboards.promql import (
    LANE,
    RATE,
    buckets,
    counted,
    held,
    per_minute,
    pick,
    quantile,
    rate,
    told,
)

_POD = "namespace, queue, pod"
_PODS = f"{BY_LANE} {{{{pod}}}}"
_STATES = {"busy": "orange", "idle": "green", "starting": "blue"}

_NOW = Row(
    "Now",
    (
        Number(
            "Workers",
            "Workers that hold a lease.",
            "short",
            (Query(f"sum ({told(c.QUEUE_WORKERS)})"),),
            steps=((None, "red"), (1, "green")),
        ),
        Number("Slots", "Slots, busy or not.", "short", (Query(held(c.SLOTS, "")),)),
        Number(
            "Busy", "Slots that run an attempt.", "short", (Query(held(c.SLOTS, "", state="busy")),)
        ),
        Number(
            "Reserved",
            "Messages claimed that no slot has begun with.",
            "short",
            (Query(held(c.RESERVED, "")),),
        ),
        Number(
            "Draining",
            "Workers that finish before they stop.",
            "short",
            (Query(held(c.DRAINING, "")),),
        ),
        Number(
            "Longest run",
            "Age of the attempt that has been in flight longest.",
            "s",
            (Query(told(c.RUNNING_OLDEST, "")),),
        ),
        Total(
            "Processes ended",
            "Pool processes that ended in the time shown.",
            "short",
            (Query(f"{counted(c.CHILD_EXITS, '')} or vector(0)"),),
        ),
        Number(
            "Loop lag, p99",
            "How late event loops came to a call they had to make.",
            "s",
            (Query(quantile(0.99, c.LOOP_LAG, "")),),
            steps=((None, "green"), (0.1, "orange"), (1, "red")),
        ),
    ),
)

_SLOTS = Row(
    "Slots",
    (
        Lines(
            "Slots by state",
            "Over all pods that are chosen.",
            "short",
            (Query(held(c.SLOTS, "state"), "{{state}}"),),
            stacked=True,
            colours=_STATES,
        ),
        Lines(
            "Busy share by pod",
            "Slot time that was busy, over slots.",
            "percentunit",
            (
                Query(
                    f"sum by ({_POD}) (rate({pick(c.SLOT_BUSY)}[{RATE}])) / {held(c.SLOTS, _POD)}",
                    _PODS,
                ),
            ),
            top=1,
        ),
        Lines(
            "Reserved",
            "Messages claimed that no slot has begun with.",
            "short",
            (Query(held(c.RESERVED), BY_LANE),),
        ),
        Lines(
            "Longest run against the limit",
            "Age of the attempt in flight longest, and the lane's hard limit.",
            "s",
            (
                Query(told(c.RUNNING_OLDEST), BY_LANE),
                Query(told(c.TIME_LIMIT), f"hard limit {BY_LANE}", target=True),
            ),
        ),
        Table(
            "Pods",
            "One row for each pod of a lane.",
            "short",
            (
                Query(held(c.SLOTS, _POD), column="Slots"),
                Query(held(c.SLOTS, _POD, state="busy"), column="Busy"),
                Query(held(c.RESERVED, _POD), column="Reserved"),
                Query(told(c.CONSUMING, _POD), column="Consuming"),
                Query(told(c.DRAINING, _POD), column="Draining"),
                Query(told(c.RUNNING_OLDEST, _POD), column="Longest run", unit="s"),
                Query(told(c.CHILD_RSS, _POD, agg="sum"), column="Memory", unit="bytes"),
            ),
            16,
            labels=("namespace", "queue", "pod"),
        ),
    ),
)

_PROCESSES = Row(
    "Processes",
    (
        Lines(
            "Processes that ended",
            "Pool processes, by reason.",
            PER_MINUTE,
            (Query(per_minute(c.CHILD_EXITS, "reason"), "{{reason}}"),),
            stacked=True,
        ),
        Lines(
            "Memory",
            "Resident memory: of the largest pool process of a lane, and of all of a pod.",
            "bytes",
            (
                Query(told(c.CHILD_RSS, agg="max"), f"largest process {BY_LANE}"),
                Query(told(c.CHILD_RSS, agg="sum"), f"largest pod {BY_LANE}"),
            ),
        ),
        Lines(
            "Processors used",
            "Processor seconds each second, by the pool processes of a lane.",
            "short",
            (Query(rate(c.CHILD_CPU), BY_LANE),),
            stacked=True,
        ),
    ),
)

_STOPPING = Row(
    "Taking and stopping",
    (
        Lines(
            "Workers that take",
            "Workers that take from their lane.",
            "short",
            (Query(held(c.CONSUMING), BY_LANE),),
        ),
        Lines(
            "Workers that drain",
            "Workers that finish before they stop.",
            "short",
            (Query(held(c.DRAINING), BY_LANE),),
        ),
        Table(
            "Tasks of workers that stopped",
            "What became of the tasks that ran when a worker was told to stop, in the time shown.",
            "short",
            (Query(counted(c.SHUTDOWN_TASKS, f"{LANE}, fate"), column="Tasks"),),
            labels=("namespace", "queue", "fate"),
            sort="Tasks",
        ),
        Lines(
            "Cut off by drains",
            "Tasks that ran and were given back as their worker ran out of time to drain, ever.",
            "short",
            (Query(told(c.DRAIN_REQUEUED), BY_LANE),),
        ),
    ),
)

_LOOP = Row(
    "Event loop and broker",
    (
        Heat(
            "Loop lag",
            "How late the event loop of a worker came to a call that it had to make each second. "
            "It renews leases and answers probes.",
            "s",
            (Query(buckets(c.LOOP_LAG), "{{le}}"),),
        ),
        Lines(
            "Loop lag, percentiles",
            "The same, by quantile.",
            "s",
            tuple(
                Query(quantile(share, c.LOOP_LAG, ""), f"p{share * 100:.0f}")
                for share in common.QUANTILES
            ),
        ),
        Lines(
            "Redis's answers, p99",
            "Time until Redis answered a worker, by operation.",
            "s",
            (Query(quantile(0.99, c.BROKER_OP, "op"), "{{op}}"),),
        ),
        Lines(
            "Connections made anew",
            "To the broker, by pod.",
            PER_MINUTE,
            (Query(per_minute(c.BROKER_RECONNECTS, "namespace, pod"), "{{namespace}}/{{pod}}"),),
        ),
        Lines(
            "Broker reached",
            "1 while every process of a namespace reaches its Redis.",
            "short",
            (Query(f"min by (namespace) ({pick(c.BROKER_UP)})", "{{namespace}}"),),
            top=1,
        ),
        Lines(
            "Redis's memory",
            "What it uses, and its maxmemory (0 if it has none).",
            "bytes",
            (
                Query(told(c.BROKER_MEMORY, "namespace"), "used {{namespace}}"),
                Query(told(c.BROKER_MEMORY_LIMIT, "namespace"), "limit {{namespace}}", target=True),
            ),
        ),
    ),
)

BOARD = Board(
    "workers",
    "Workers",
    "Slots, processes, drains, the event loop, and Redis as workers feel it.",
    (_NOW, _SLOTS, _PROCESSES, _STOPPING, _LOOP),
)
