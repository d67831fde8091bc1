"""Making a dead letter of a message that cannot run, and telling so."""

from dataclasses import dataclass
from typing import Any

from laneway.observability.logs import get_logger
from laneway.observability.outcomes import Outcome
from laneway.services.worker.hold import Hold
from laneway.services.worker.lane import Lane

logger = get_logger(__name__)

KINDS = (
    "delivery limit",
    "invalid task",
    "malformed envelope",
    "refused content type",
    "task failed",
    "too large",
    "undecodable body",
    "unknown task",
)
"""What dead letters die of."""

NO_TASK = "__none__"
"""For what names no task."""


@dataclass(frozen=True)
class Burial:
    """Why a message becomes a dead letter. `kind` is one of a few words, `reason` says more."""

    kind: str
    reason: str
    task_id: str | None = None
    task: str | None = None
    attempted: bool = False
    """Whether its attempt is counted elsewhere; else it counts as rejected."""


def bury(lane: Lane, hold: Hold, burial: Burial) -> None:
    """Make a message a dead letter of its lane, count it and log it."""
    hold.settle("bury", f"{burial.kind}\n{burial.reason}")
    tell(lane, burial)


def tell(lane: Lane, burial: Burial) -> None:
    """Count and log a dead letter."""
    lane.metrics.dead_lettered.inc(queue=lane.name, reason=burial.kind)
    logger.warning(
        "dead letter",
        queue=lane.name,
        task_id=burial.task_id,
        task=burial.task,
        kind=burial.kind,
        reason=burial.reason,
    )
    if not burial.attempted:
        task = burial.task or NO_TASK
        lane.attempts.count_without_request(lane.name, task, Outcome.REJECTED, burial.task_id)


def named(headers: Any, kind: str, reason: str | None = None) -> Burial:
    """A burial that names task and id, as far as the headers do."""
    found = headers if isinstance(headers, dict) else {}
    return Burial(kind, reason or kind, _name(found.get("id")), _name(found.get("task")))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None
