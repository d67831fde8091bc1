"""Calling off what is delayed: a revocation brings it forward, so that its state tells at once."""

from threading import Thread
from typing import Any

import redis
from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from laneway.observability.logs import get_logger
from laneway.services.worker.lane import Lane
from laneway.tasks.broker.delayed import bring_forward

logger = get_logger(__name__)


def bring_revoked_forward(lane: Lane) -> None:
    """Let the command `revoke` look for delayed messages as well.

    Celery holds them in its memory and finds them there; here they wait in Redis.
    """
    known = Panel.data["revoke"]

    def revoke(state: Any, task_id: Any, terminate: bool = False, **options: Any) -> Any:
        answer = known(state, task_id, terminate=terminate, **options)
        ids = [name for name in maybe_list(task_id) or [] if isinstance(name, str)]
        # Not in the event loop: a lane may have very many delayed.
        Thread(target=_bring_forward, args=(lane, ids), name="revoke", daemon=True).start()
        return answer

    Panel.data["revoke"] = revoke


def _bring_forward(lane: Lane, task_ids: list[str]) -> None:
    try:
        bring_forward(lane.client, lane.name, task_ids)
    except redis.exceptions.RedisError as error:
        logger.warning(
            "a delayed task that was revoked is told so only when it is due",
            queue=lane.name,
            error_type=type(error).__name__,
        )
