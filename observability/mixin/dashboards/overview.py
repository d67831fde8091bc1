"""Overview: is all well, lane by lane, and if not, where to look."""

from laneway.observability import catalogue as c
from laneway.observability.mixin.dashboards import common
from laneway.observability.mixin.dashboards.board import Board, Row
from laneway.observability.mixin.dashboards.common import BY_LANE, PER_SECOND
from laneway.observability.mixin.dashboards.panels import Bars, Lines, Number, Query, Table
from laneway.observability.mixin.dashboards.promql import (
    LANE,
    depth,
    held,
    pick,
    quantile,
    rate,
    told,
)

_SLO = f"{BY_LANE} {{{{slo}}}}"

_NOW = Row(
    "Now",
    (
        Number(
            "Ready",
            "Messages that could be taken now, over all lanes.",
            "short",
            (Query(f"sum ({depth()})"),),
        ),
        Number(
            "Oldest ready",
            "How long the oldest ready message of all lanes has waited.",
            "s",
            (Query(f"max ({told(c.QUEUE_OLDEST_AGE)}) or vector(0)"),),
        ),
        Number(
            "Attempts",
            "Attempts that ended, whatever their outcome.",
            PER_SECOND,
            (Query(f"sum ({common.ENDED})"),),
        ),
        Number(
            "Success",
            "Attempts that succeeded, of all that ended.",
            "percentunit",
            (Query(f"sum ({rate(c.ATTEMPTS, outcome='success')}) / sum ({common.ENDED})"),),
            steps=((None, "red"), (0.9, "orange"), (0.99, "green")),
        ),
        common.busiest_now(),
        Number(
            "Workers",
            "Workers that hold a lease, over all lanes.",
            "short",
            (Query(f"sum ({told(c.QUEUE_WORKERS)})"),),
            steps=((None, "red"), (1, "green")),
        ),
        common.dead_now(),
        Number(
            "Broker",
            "1 if every process reaches its Redis.",
            "short",
            (Query(f"min ({pick(c.BROKER_UP)})"),),
            steps=((None, "red"), (1, "green")),
        ),
    ),
)

_LANES = Row(
    "Lanes",
    (
        Table(
            "Every lane",
            "One row for each lane, as it is now. A burn of 1 spends the error budget exactly.",
            "short",
            (
                Query(depth(), column="Ready"),
                Query(f"{told(c.QUEUE_OLDEST_AGE)} or {depth()} * 0", column="Oldest", unit="s"),
                Query(f"{quantile(0.95, c.QUEUE_WAIT, LANE)}", column="Wait p95", unit="s"),
                Query(common.ARRIVALS, column="In", unit=PER_SECOND),
                Query(common.SERVICE, column="Out", unit=PER_SECOND),
                Query(common.UTILISATION, column="Utilisation", unit="percentunit"),
                Query(held(c.SLOTS), column="Slots"),
                Query(told(c.QUEUE_WORKERS), column="Workers"),
                Query(
                    f"1 - max by ({LANE}) ({common.slo_errors('1d', slo='start')})",
                    column="Started in time, 1 d",
                    unit="percentunit",
                ),
                Query(f"max by ({LANE}) ({common.burn('1h')})", column="Worst burn, 1 h"),
                Query(f"max by ({LANE}) ({common.burn('6h')})", column="Worst burn, 6 h"),
                Query(told(c.DEAD_LETTERS), column="Dead letters"),
            ),
            24,
            6,
            labels=("namespace", "queue"),
            sort="Ready",
        ),
    ),
)

_OBJECTIVES = Row(
    "Objectives",
    (
        Lines(
            "Error budget burn, 1 h",
            "How many times faster than allowed each objective spends its error budget. 14.4 "
            "spends two per cent of a month's budget in an hour.",
            "short",
            (Query(common.burn("1h"), _SLO),),
            limits=((1, "orange"), (14.4, "red")),
        ),
        Lines(
            "Error budget burn, 6 h",
            "The same over six hours. 6 spends five per cent of a month's budget.",
            "short",
            (Query(common.burn("6h"), _SLO),),
            limits=((1, "orange"), (6, "red")),
        ),
        Bars(
            "Error budget left, 3 d",
            "What three days have left of the share of events that may be bad.",
            "percentunit",
            (Query(f"clamp_min (1 - {common.burn('3d')}, 0)", _SLO),),
            steps=((None, "red"), (0.1, "orange"), (0.5, "green")),
            top=1,
        ),
    ),
)

_WAITS = Row("Waits", (common.wait_heat(), common.wait_spread()))

_LOAD = Row(
    "Load",
    (
        common.ready(8),
        common.oldest(8),
        common.wait_by_lane(8),
        common.flow(8),
        common.utilisation(8),
        common.outcomes(),
    ),
)

_GATEWAY = Row(
    "Gateway",
    (
        Lines(
            "Requests by status",
            "Requests that the gateway answered.",
            PER_SECOND,
            (Query(rate(c.HTTP_REQUESTS, "status"), "{{status}}"),),
            stacked=True,
        ),
        Lines(
            "Requests by route",
            "Requests that the gateway answered; the route is a template.",
            PER_SECOND,
            (Query(rate(c.HTTP_REQUESTS, "method, route"), "{{method}} {{route}}"),),
        ),
        Lines(
            "Time to the answer, p95",
            "95th percentile, by route.",
            "s",
            (
                Query(
                    quantile(0.95, c.HTTP_DURATION, "method, route"),
                    "{{method}} {{route}}",
                    exemplar=True,
                ),
            ),
        ),
    ),
)

BOARD = Board(
    "overview",
    "Overview",
    "Whether all is well, lane by lane: objectives, waits, load, and the gateway.",
    (_NOW, _LANES, _OBJECTIVES, _WAITS, _LOAD, _GATEWAY),
)
