"""Keeping a message that cannot run."""

import time
from typing import Any

from laneway.services.worker.lane import Lane
from laneway.tasks.broker.dead_letters import DeadLetter, bury


def bury_message(
    lane: Lane, message: Any, reason: str, *, worker: str, deliveries: int = 1
) -> None:
    """Put a kombu message among its lane's dead letters and count it."""
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
    _keep(lane, letter)


def bury_entry(lane: Lane, entry: str, reason: str, *, worker: str) -> None:
    """Put what lay on the lane and is no message among its dead letters and count it."""
    _keep(lane, DeadLetter(reason, None, None, worker, 1, time.time(), {"entry": entry}))


def _keep(lane: Lane, letter: DeadLetter) -> None:
    bury(lane.client, lane.name, letter, lane.queue.dead_letter_retention)
    lane.metrics.dead_lettered.inc(queue=lane.name, reason=_kind(letter.reason))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(body: Any) -> Any:
    return body.decode(errors="backslashreplace") if isinstance(body, bytes) else body


def _kind(reason: str) -> str:
    """A label of few values out of a reason with details."""
    return reason.rpartition("(")[2].rstrip(")")
