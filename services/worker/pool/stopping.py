"""Turning the event loop's wheels by hand while a pool ends: Celery's loop has ended before it."""

import time
from collections.abc import Callable
from typing import Any

from celery.concurrency.prefork import _run_ready_callbacks

from laneway.observability.logs import get_logger

logger = get_logger(__name__)

TURN_S = 0.05


def turn_while(
    busy: Callable[[], object],
    turn: Callable[[float], None],
    hub: Any,
    limit_s: float | None = None,
) -> None:
    """Call `turn` with a time to wait, again and again, for as long as `busy` or the limit says.

    Meanwhile timers go off, leases are renewed with them, and acknowledgements are sent. Celery has
    a thread of its own do that.
    """
    deadline_s = None if limit_s is None else time.monotonic() + limit_s
    while busy() and (deadline_s is None or time.monotonic() < deadline_s):
        turn(TURN_S)
        if hub is None:
            continue
        try:
            hub.fire_timers()
            _run_ready_callbacks(hub)
        except Exception as error:
            logger.exception("a timer failed while the pool ends", error_type=type(error).__name__)
