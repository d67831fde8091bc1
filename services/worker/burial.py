"""Keeping a message that cannot run."""

import time
from typing import Any

from laneway.observability.logs import get_logger
from laneway.observability.outcomes import Outcome
from laneway.services.worker.lane import Lane
from laneway.tasks.broker.dead_letters import DeadLetter, bury

logger = get_logger(__name__)

NO_TASK = "__none__"
"""For what names no task."""


def bury_message(
    lane: Lane,
    message: Any,
    reason: str,
    *,
    worker: str,
    deliveries: int = 1,
    attempted: bool = False,
) -> None:
    """Put a kombu message among its lane's dead letters, and say so.

    Args:
        lane: whose message it is.
        message: as kombu gave it.
        reason: why it cannot run; a short label for it may stand last, in brackets.
        worker: name of the worker that says so.
        deliveries: how often it was tried.
        attempted: whether its attempt is counted elsewhere; else it counts as rejected.
    """
    headers = message.headers if isinstance(message.headers, dict) else {}
    letter = DeadLetter(
        reason=reason,
        task_id=_name(headers.get("id")),
        task=_name(headers.get("task")),
        worker=worker,
        deliveries=deliveries,
        died_at_s=time.time(),
        message={
            "headers": message.headers,
            "properties": message.properties,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "body": _text(message.body),
        },
    )
    _keep(lane, letter, attempted=attempted)


def bury_entry(lane: Lane, entry: str, reason: str, *, worker: str) -> None:
    """Put what lay on the lane and is no message among its dead letters and count it."""
    letter = DeadLetter(reason, None, None, worker, 1, time.time(), {"entry": entry})
    _keep(lane, letter, attempted=False)


def _keep(lane: Lane, letter: DeadLetter, *, attempted: bool) -> None:
    bury(lane.client, lane.name, letter, lane.queue.dead_letter_retention)
    lane.metrics.dead_lettered.inc(queue=lane.name, reason=_kind(letter.reason))
    logger.warning(
        "dead letter",
        queue=lane.name,
        task_id=letter.task_id,
        task=letter.task,
        reason=letter.reason,
        deliveries=letter.deliveries,
    )
    if not attempted:
        task = letter.task or NO_TASK
        lane.attempts.count_without_request(lane.name, task, Outcome.REJECTED, letter.task_id)


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(body: Any) -> Any:
    return body.decode(errors="backslashreplace") if isinstance(body, bytes) else body


def _kind(reason: str) -> str:
    """A label of few values out of a reason with details."""
    return reason.rpartition("(")[2].rstrip(")")
