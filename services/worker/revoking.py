"""What a revocation does beyond Celery's own.

Celery notes it in the worker's memory and looks there when a task is handed to the pool. Here a
task may wait in the pool as well, may be delayed in Redis, and may come up when this worker is gone.
"""

from collections.abc import Callable
from threading import Thread
from typing import Any

import redis
from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from laneway.observability.logs import get_logger
from laneway.services.worker.lane import Lane
from laneway.tasks.broker.delayed import bring_forward
from laneway.tasks.broker.revocations import remember

logger = get_logger(__name__)


LOOK_AT_WHAT_RUNS = (
    "active",
    "dump_active",
    "query_task",
    "revoke",
    "revoke_by_stamped_headers",
    "terminate",
)
"""Remote commands that would miss a task which has begun a moment ago: the pool tells of it later."""


def observe_revocations(lane: Lane) -> None:
    """Let Celery's commands that revoke reach what waits in the pool, in Redis, or for longer."""
    for name in LOOK_AT_WHAT_RUNS:
        Panel.data[name] = _refreshed(Panel.data[name])
    by_id, by_stamp = Panel.data["revoke"], Panel.data["revoke_by_stamped_headers"]

    def revoke(state: Any, task_id: Any, terminate: bool = False, **options: Any) -> Any:
        answer = by_id(state, task_id, terminate=terminate, **options)
        ids = [name for name in maybe_list(task_id) or [] if isinstance(name, str)]
        state.consumer.reconsider(lambda request: request.id in ids)
        # Not in the event loop: a lane may have very many delayed.
        Thread(target=_keep, args=(lane, ids), name="revoke", daemon=True).start()
        return answer

    def revoke_by_stamped_headers(state: Any, headers: Any, **options: Any) -> Any:
        answer = by_stamp(state, headers, **options)
        state.consumer.reconsider(lambda request: bool(request.stamped_headers))
        return answer

    Panel.data["revoke"] = revoke
    Panel.data["revoke_by_stamped_headers"] = revoke_by_stamped_headers


def _refreshed(command: Callable[..., Any]) -> Callable[..., Any]:
    def refreshed(state: Any, *args: Any, **options: Any) -> Any:
        state.consumer.pool.refresh()
        return command(state, *args, **options)

    return refreshed


def _keep(lane: Lane, task_ids: list[str]) -> None:
    """Tell workers to come of it; a delayed task is made due, so that its state tells at once."""
    try:
        for task_id in task_ids:
            remember(lane.client, task_id)
        bring_forward(lane.client, lane.name, task_ids)
    except redis.exceptions.RedisError as error:
        logger.warning(
            "a revocation is known to the present workers alone, and told when a task is due",
            queue=lane.name,
            error_type=type(error).__name__,
        )
