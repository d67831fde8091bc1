"""Scaling: what asks for more slots, what there is, and whether the numbers are fresh."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import BY_LANE
from laneway.observability.mixin.dashboards.panels import Lines, Number, Query
from laneway.observability.mixin.dashboards.promql import depth, held, pick, quantile, told

_PROBE_AGE = f"time() - max by (namespace) ({pick(c.PROBE_SUCCESS)})"

_NOW = Row(
    "Now",
    (
        common.ready_now(),
        common.oldest_now(),
        Number("Capacity", "Slots, busy or not.", "short", (Query(held(c.SLOTS, "")),)),
        Number(
            "Workers",
            "Workers that hold a lease.",
            "short",
            (Query(f"sum ({told(c.QUEUE_WORKERS)})"),),
        ),
        common.busiest_now(),
        Number(
            "Time until empty",
            "Of the lane that takes longest.",
            "s",
            (Query(f"max ({common.DRAIN_ETA})"),),
        ),
        Number(
            "Ready a slot",
            "Messages ready for each slot there is.",
            "short",
            (Query(f"sum ({depth()}) / {held(c.SLOTS, '')}"),),
        ),
        Number(
            "Age of the numbers",
            "Time since the broker last told what its lanes hold.",
            "s",
            (Query(f"max ({_PROBE_AGE})"),),
            steps=((None, "green"), (30, "orange"), (60, "red")),
        ),
    ),
)

_DEMAND = Row("What asks for more", (common.ready(8), common.oldest(8), common.wait_by_lane(8)))

_SUPPLY = Row(
    "What there is",
    (
        Lines(
            "Capacity",
            "Slots of each lane, busy or not.",
            "short",
            (Query(held(c.SLOTS), BY_LANE),),
        ),
        Lines(
            "Workers",
            "Workers of each lane that hold a lease.",
            "short",
            (Query(told(c.QUEUE_WORKERS), BY_LANE),),
        ),
        common.utilisation(8),
    ),
)

_BALANCE = Row(
    "Balance",
    (
        common.flow(8),
        common.drain_eta(8),
        Lines(
            "Not yet taken, and held",
            "Messages delayed until their time, and messages that workers hold.",
            "short",
            (
                Query(told(c.QUEUE_DELAYED), f"delayed {BY_LANE}"),
                Query(told(c.QUEUE_UNACKED), f"held {BY_LANE}"),
            ),
        ),
    ),
)

_PROBES = Row(
    "Freshness",
    (
        Lines(
            "Age of the numbers",
            "Time since the broker last told what its lanes hold: the freshest answer of a "
            "namespace. Old numbers scale wrongly.",
            "s",
            (Query(_PROBE_AGE, "{{namespace}}"),),
            12,
            limits=((60, "red"),),
        ),
        Lines(
            "Time to ask",
            "Time that asking the broker what its lanes hold took.",
            "s",
            tuple(
                Query(quantile(share, c.PROBE_DURATION, ""), f"p{share * 100:.0f}")
                for share in common.QUANTILES
            ),
            12,
        ),
    ),
)

BOARD = Board(
    "scaling",
    "Scaling",
    "What asks for more slots, what there is, whether they balance, and how fresh the numbers are.",
    (_NOW, _DEMAND, _SUPPLY, _BALANCE, _PROBES),
)
