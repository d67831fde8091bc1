"""The message headers that observability reads and writes.

Times are seconds since the epoch, as decimal strings.
"""

import math
from collections.abc import Mapping
from typing import Any

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
ENQUEUED_AT = "laneway_enqueued_at"
FIRST_ENQUEUED_AT = "laneway_first_enqueued_at"
"""Kept through retries: where end-to-end time begins."""
PREVIOUS = "laneway_prev"
"""`traceparent` of the attempt that this message retries."""
ORIGIN = "laneway_origin"
"""`traceparent` of the first send, kept through retries, so that all attempts are its children."""

PERIODIC = "periodic_task_name"
"""Celery's beat says so which entry of its schedule a message comes from."""

Headers = Mapping[str, Any]


def format_time(time_s: float) -> str:
    """A time as a header's value."""
    return f"{time_s:.6f}"


def read_time_s(headers: Headers, name: str) -> float | None:
    """A time from a header; None if it is missing or nonsense, since anyone may publish."""
    value = headers.get(name)
    if value is None:
        return None
    try:
        time_s = float(value)
    except (TypeError, ValueError):
        return None
    return time_s if math.isfinite(time_s) and time_s > 0 else None


def texts(headers: Headers, *names: str) -> dict[str, str]:
    """Those of the named headers that are there and are text."""
    found = {name: headers.get(name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}
