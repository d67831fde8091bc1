"""All dashboards, and what none of them shows."""

from collections.abc import Mapping

from laneway.observability.mixin.dashboards import (
    failures,
    overview,
    queue,
    scaling,
    task,
    telemetry,
    workers,
)

BOARDS = (
    overview.BOARD,
    queue.BOARD,
    task.BOARD,
    failures.BOARD,
    workers.BOARD,
    scaling.BOARD,
    telemetry.BOARD,
)

# Catalogued metrics that are on no dashboard and in no alert, each with the reason.
UNSHOWN: Mapping[str, str] = {}
