"""Storing failures that the worker's parent finds, so that nobody waits for them in vain."""

from typing import Any

from celery.app.task import Context

from laneway.observability.logs import get_logger
from laneway.services.worker.lane import STORE_ERRORS

logger = get_logger(__name__)


def store_failure(
    backend: Any, task_id: str, error: Exception, request: Any, **options: Any
) -> None:
    """Store a task's failure; with the result store away it is only said that it was not."""
    try:
        backend.mark_as_failure(task_id, error, request=request, **options)
    except STORE_ERRORS as away:
        logger.warning("a failure was not stored", task_id=task_id, error_type=type(away).__name__)


def fail_message(backend: Any, headers: dict[str, Any], error: Exception) -> None:
    """Store the failure of a message that never became a request, if it tells its task's id."""
    task_id = headers.get("id")
    if isinstance(task_id, str):
        store_failure(backend, task_id, error, Context(headers))
